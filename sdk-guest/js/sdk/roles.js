// The three kinds of plugins: from what an author writes to the functions of the contract.

import { payload } from "./payload.js";
import { described } from "./failure.js";
import { toFindings, toPlan, toVerdict } from "./answers.js";

export function detector(plugin) {
  const one = configured("detector", plugin, "inspect");
  const inspect = guarded((call) => toFindings(plugin.inspect(call, payload, one.settings())));
  return { role: "detector", configure: one.configure, inspect };
}

export function rule(plugin) {
  const one = configured("rule", plugin, "decide");
  const decide = guarded((call, findings) => toVerdict(plugin.decide(call, payload, findings, one.settings())));
  return { role: "rule", configure: one.configure, decide };
}

export function router(plugin) {
  const one = configured("router", plugin, "route");
  const route = guarded((call, findings, reasons) =>
    toPlan(plugin.route(call, payload, findings, reasons, one.settings())));
  return { role: "router", configure: one.configure, route };
}

/** What `configure` of the plugin made, and the contract's `configure` that calls it. */
function configured(role, plugin, main) {
  if (typeof plugin?.[main] !== "function") {
    throw new Error(`${role}: give an object with a function ${main}`);
  }
  let made;
  const configure = guarded((text) => {
    const config = text.trim() === "" ? {} : JSON.parse(text);
    if (plugin.configure === undefined) {
      if (!isEmpty(config)) throw new Error("this plugin has no configuration");
      made = { settings: undefined };
      return;
    }
    const settings = plugin.configure(config);
    if (settings instanceof Promise) throw new Error("configure returned a promise: nothing can be waited for in a plugin");
    made = { settings };
  });
  const settings = () => {
    if (made === undefined) throw new Error("the plugin was called before it was configured");
    return made.settings;
  };
  return { configure, settings };
}

const isEmpty = (config) => JSON.stringify(config) === "{}";

/** The function with what it throws turned into the text of the contract's error. */
const guarded = (run) => (...given) => {
  try {
    return run(...given);
  } catch (error) {
    throw described(error);
  }
};
