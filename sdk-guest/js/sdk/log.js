import { write } from "portcullis:plugin/log@1.0.0";

const at = (level) => (...parts) => write(level, parts.map(shown).join(" ").toWellFormed());

export const log = {
  trace: at("trace"),
  debug: at("debug"),
  info: at("info"),
  warn: at("warn"),
  error: at("error"),
};

function shown(part) {
  if (part instanceof Error) return `${part.name}: ${part.message}`;
  if (typeof part !== "object" || part === null) return String(part);
  try {
    return JSON.stringify(part) ?? String(part);
  } catch {
    return "[an object that cannot be shown]";
  }
}
