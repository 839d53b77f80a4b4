// A session of the TypeScript client of the first line, which ends with 2025-11-25. Plan and answer: README.md.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { session } from './steps.mjs';

const plan = JSON.parse(process.argv[2]);
if (plan.mode !== 'legacy') throw new Error(`this client knows no ${plan.mode}`);

let agreed;
let transport;
if (plan.command) {
  transport = new StdioClientTransport({ command: plan.command[0], args: plan.command.slice(1) });
  // Over stdio nobody but the client keeps the revision, and it keeps it to itself.
  transport.setProtocolVersion = (version) => {
    agreed = version;
  };
} else {
  const requestInit = { headers: { authorization: `Bearer ${plan.token}` } };
  transport = new StreamableHTTPClientTransport(new URL(plan.url), { requestInit });
}
const client = new Client({ name: 'first-line', version: '1' });
await session(client, transport, plan, () => agreed ?? transport.protocolVersion);
