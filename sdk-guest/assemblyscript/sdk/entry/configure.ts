// `configure` of every role.

import * as plugin from "../../src/plugin";
import { Kind } from "../json";
import { configured, takeConfig } from "../records";

export function configure(pointer: usize, length: usize): usize {
  const config = takeConfig(pointer, length);
  if (config === null) return configured("the configuration is not JSON");
  if (isDefined(plugin.configure)) return configured(plugin.configure(config));
  const isEmpty = config.kind == Kind.Object && config.items.length == 0;
  return configured(isEmpty ? null : "this plugin has no configuration");
}
