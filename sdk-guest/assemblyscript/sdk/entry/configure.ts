// `configure` of every role.

import * as plugin from "../../src/plugin";
import { Json, Kind } from "../json";
import { configured, takeConfig } from "../records";

export function configure(pointer: usize, length: usize): usize {
  const config = takeConfig(pointer, length);
  if (config === null) return configured("the configuration is not JSON");
  if (isDefined(plugin.configure)) return configured(plugin.configure(config));
  return configured(isNothing(config) ? null : "this plugin has no configuration");
}

function isNothing(config: Json): bool {
  return config.kind == Kind.Nothing || config.kind == Kind.Null || (config.kind == Kind.Object && config.items.length == 0);
}
