// Preloaded: what the programs of this folder import comes from the packages that the set-up installed.

import { registerHooks } from 'node:module';

const here = new URL('.', import.meta.url).href;
const tools = new URL('../../target/tools/node/', import.meta.url).href;

registerHooks({
  resolve(name, context, next) {
    const ours = context.parentURL?.startsWith(here) && !name.startsWith('.');
    return next(name, ours ? { ...context, parentURL: tools } : context);
  },
});
