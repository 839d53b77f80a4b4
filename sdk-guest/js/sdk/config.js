export function members(config, ...names) {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new Error("the configuration is not a JSON object");
  }
  const unknown = Object.keys(config).find((key) => !names.includes(key));
  if (unknown !== undefined) throw new Error(`${unknown}: there is no such key`);
  return { ...config };
}

export const isStrings = (value) => Array.isArray(value) && value.every((one) => typeof one === "string");
