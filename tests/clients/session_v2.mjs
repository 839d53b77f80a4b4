// A session of the TypeScript client of the second line, which speaks both eras. Plan and answer: README.md.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

import { session } from './steps.mjs';

const plan = JSON.parse(process.argv[2]);
const mode = { legacy: 'legacy', auto: 'auto', modern: { pin: '2026-07-28' } }[plan.mode];
const requestInit = { headers: { authorization: `Bearer ${plan.token}` } };
const transport = plan.command
  ? new StdioClientTransport({ command: plan.command[0], args: plan.command.slice(1) })
  : new StreamableHTTPClientTransport(new URL(plan.url), { requestInit });
const client = new Client({ name: 'second-line', version: '1' }, { versionNegotiation: { mode } });
await session(client, transport, plan, () => client.getNegotiatedProtocolVersion());
