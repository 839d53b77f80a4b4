// The steps of a plan, for both lines of the TypeScript client: their calls have the same names. See README.md.

const texts = (blocks) => blocks.map((block) => block.text ?? '').join('\n');

async function take(client, [kind, name, argument]) {
  switch (kind) {
    case 'tools':
      return { names: (await client.listTools()).tools.map((tool) => tool.name).sort() };
    case 'resources':
      return { names: (await client.listResources()).resources.map((one) => one.uri).sort() };
    case 'read':
      return { text: texts((await client.readResource({ uri: name })).contents) };
    case 'prompt': {
      const answer = await client.getPrompt({ name, arguments: argument });
      return { text: texts(answer.messages.map((message) => message.content)) };
    }
    case 'call': {
      const answer = await client.callTool({ name, arguments: argument });
      const { isError = false, structuredContent = null } = answer;
      return { error: isError, text: texts(answer.content), structured: structuredContent };
    }
    default:
      throw new Error(`no such step: ${kind}`);
  }
}

/** Connects, takes the steps in their order, closes, and prints what was seen. */
export async function session(client, transport, plan, version) {
  await client.connect(transport);
  const steps = {};
  for (const [name, step] of Object.entries(plan.steps)) {
    try {
      steps[name] = await take(client, step);
    } catch (error) {
      if (typeof error.code !== 'number') throw error;
      steps[name] = { code: error.code, text: error.message };
    }
  }
  const seen = { version: version(client, transport), server: client.getServerVersion()?.name, steps };
  await client.close();
  console.log(JSON.stringify(seen));
}
