// Portcullis plugins in TypeScript and JavaScript: the plugin contract 1.0.0, as JavaScript sees it.

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/**
 * Where in its life a call is looked at: `call` before the tool runs (the payload is the arguments), `result` after it ran
 * (its output), `listing` for a tool list on its way to the agent, `message` for other text on its way to the model.
 */
export type Phase = "call" | "result" | "listing" | "message";

/** One tool call, without its payload. */
export interface Call {
  /** UUID of the call; the same in every phase. */
  readonly id: string;
  readonly phase: Phase;
  /** Owner of the traffic. */
  readonly tenant: string;
  /** Who makes the call, from its credential. */
  readonly agent: string;
  /** The run of the agent this call belongs to. */
  readonly session: string | null;
  /** What the agent is for. */
  readonly persona: string | null;
  /** What the user asked for in this session, when known. */
  readonly task: string | null;
  /** Name of the upstream that owns the tool. */
  readonly upstream: string | null;
  /** Name of the tool. */
  readonly tool: string;
  /** SHA-256 of the canonical payload, 32 bytes. */
  readonly digest: Uint8Array;
}

/** A piece of one text of the payload, in bytes of UTF-8. The methods of {@link Text} make them from JavaScript's indexes. */
export interface Span {
  /** Index into `payload.texts()`. */
  text: number;
  /** First byte. */
  start: number;
  /** One past the last byte. */
  end: number;
}

/** One string of the payload, decoded. */
export interface Text {
  /** Its index in `payload.texts()`. */
  readonly index: number;
  /** Its RFC 6901 pointer. */
  readonly pointer: string;
  readonly value: string;
  /** The span from one index of `value` to another. Half of a surrogate pair is widened to the whole character. */
  span(start: number, end: number): Span;
  /** The span of the whole text. */
  whole(): Span;
  /** Where a word stands, from left to right, ASCII letters in either case; at most `most` places. */
  find(word: string, most?: number): Span[];
  /** Where a pattern matches, with the match itself; at most `most` places. */
  matches(pattern: RegExp, most?: number): { match: RegExpExecArray; span: Span }[];
}

/** The payload of the call at hand. */
export interface Payload {
  /** The payload as JSON text, exactly as received. */
  raw(): string;
  /** Every string in the payload (member names excluded), in document order. */
  texts(): Text[];
  /** Every distinct member name, in order of first appearance. */
  names(): string[];
  /** The JSON text at an RFC 6901 pointer, exactly as received, or null. */
  get(pointer: string): string | null;
  /** The value at an RFC 6901 pointer (the whole payload without one), or undefined. Large numbers lose digits: see `get`. */
  value(pointer?: string): Json | undefined;
}

/** What a detector saw. */
export interface Finding {
  /** Dotted category, for instance `secret.token`. */
  category: string;
  /** Confidence, 0 to 1. */
  score: number;
  /** One sentence for the person who decides. Never quote the payload: messages are logged. */
  message: string;
  /** Where; left out or empty if the finding is about the whole payload. */
  spans?: Span[];
}

/** A finding of an earlier plugin. */
export interface AttributedFinding {
  /** Name of the plugin in the pipeline. */
  readonly plugin: string;
  readonly finding: Readonly<Required<Finding>>;
}

/** Why. */
export interface Reason {
  /** Stable, lower case, at most 64 bytes, for instance `destructive_command`. */
  code: string;
  /** One sentence for people. */
  message: string;
}

/** Text to put in place of a span. */
export interface Replacement {
  span: Span;
  value: string;
}

/** What a rule decides: made by {@link allow}, {@link redact}, {@link review} or {@link deny}. */
export type Verdict =
  | { tag: "allow" }
  | { tag: "redact"; val: { reasons: Reason[]; replacements: Replacement[] } }
  | { tag: "review"; val: Reason[] }
  | { tag: "deny"; val: Reason[] };

/** Nothing against it. */
export function allow(): Verdict;
/** Forward, with these replacements made. */
export function redact(code: string, message: string, replacements: Replacement[]): Verdict;
/** A person decides. */
export function review(code: string, message: string): Verdict;
/** Refuse. */
export function deny(code: string, message: string): Verdict;

/** Somebody who may decide: made by {@link role} or {@link operator}. */
export type Approver = { tag: "role"; val: string } | { tag: "operator"; val: string };
/** Any operator with this role. */
export function role(name: string): Approver;
/** This operator. */
export function operator(name: string): Approver;

/** After `afterSeconds` without a decision, also ask these. */
export interface Step {
  /** Counted from the moment the call was parked. */
  afterSeconds: number;
  approvers: Approver[];
  /** Through which channels; none if left out. */
  channels?: string[];
}

/** A router's answer. */
export interface Plan {
  /** Who may decide; at least one. */
  approvers: Approver[];
  /** How many must approve; 1 if left out. One refusal refuses. */
  quorum?: number;
  /** After this long without a decision the call is denied. */
  deadlineSeconds: number;
  /** Through which channels they are told; none if left out. */
  channels?: string[];
  /** Who is asked later. */
  escalation?: Step[];
  /** What the approver reads first. */
  summary: string;
  /** Whether arguments may be changed before release; false if left out. */
  mayModify?: boolean;
}

/** A plugin as the build wants it: the default export of `src/plugin`. */
export interface Plugin {
  readonly role: "detector" | "rule" | "router";
}

interface Configured<Settings> {
  /**
   * Runs once per configuration; none at all is an empty object. What it returns is given to every call. What it throws is
   * shown to whoever configures: name the key and say what to write instead. Left out, the plugin takes no configuration.
   */
  configure?(config: Json): Settings;
}

/** Looks at calls and reports findings. An error counts as a failed plugin and follows its fail mode. */
export function detector<Settings = undefined>(plugin: Configured<Settings> & {
  inspect(call: Call, payload: Payload, settings: Settings): Finding[];
}): Plugin;

/** Decides calls, given what the detectors saw. */
export function rule<Settings = undefined>(plugin: Configured<Settings> & {
  decide(call: Call, payload: Payload, findings: AttributedFinding[], settings: Settings): Verdict;
}): Plugin;

/** Says who must approve a parked call. */
export function router<Settings = undefined>(plugin: Configured<Settings> & {
  route(call: Call, payload: Payload, findings: AttributedFinding[], reasons: Reason[], settings: Settings): Plan;
}): Plugin;

/** The configuration as an object with no members but these. Throws what to tell whoever configures. */
export function members<Name extends string>(config: Json, ...names: Name[]): { [name in Name]?: Json };
/** Whether a value is a list of texts. */
export function isStrings(value: Json | undefined): value is string[];

/** What a span covers; undefined if it does not fit these texts. */
export function covered(texts: Text[], span: Span): string | undefined;
/** UTF-8 of a text. */
export function encode(text: string): Uint8Array;
/** The text of UTF-8; throws if it is none. */
export function decode(bytes: Uint8Array): string;

/** Lines for the operator, at most 4 KiB each. `console` writes here, too. Never write arguments. */
export const log: {
  trace(...parts: unknown[]): void;
  debug(...parts: unknown[]): void;
  info(...parts: unknown[]): void;
  warn(...parts: unknown[]): void;
  error(...parts: unknown[]): void;
};

/** The time of the call. Asks for `clock`; then `Date` shows it, too. */
export const clock: {
  /** Milliseconds since the Unix epoch, the same for the whole call. */
  now(): number;
};

/** Small state of this plugin in one tenant, atomic, durable. Asks for `state`. */
export const state: {
  /** Adds to a counter over a sliding window (0 never forgets) and returns the sum with it. */
  increment(key: string, by?: number, windowSeconds?: number): number;
  /** The value under a key, or null. */
  get(key: string): Uint8Array | null;
  /** Replaces a value if it still equals `expected`; false if it does not. Null is no value. A ttl of 0 keeps it. */
  replace(key: string, expected: Uint8Array | string | null, value: Uint8Array | string | null, ttlSeconds?: number): boolean;
};

/** Labels that a session carries from call to call. Asks for `labels`. */
export const labels: {
  /** Adds a label; again with another value adds a second one. */
  add(label: string, value?: string): void;
  /** All labels of the session with their values, oldest first. */
  all(): [label: string, value: string][];
};

/** A language model asked by the host, with budget and deadline. Asks for `judge`. */
export const judge: {
  /** The answer to a prompt template registered with the host, as a value that fits the template's schema. */
  ask(template: string, variables?: { [name: string]: string }): Json;
};

/** Why a model gave no answer. */
export class JudgeError extends Error {
  readonly tag: "unavailable" | "budget-spent" | "timed-out" | "bad-answer";
}

/** An answer to a request. */
export interface Response {
  status: number;
  headers: [name: string, value: string][];
  body: Uint8Array;
  /** The body as text; throws if it is not UTF-8. */
  text(): string;
  /** The body as JSON; throws if it is not. */
  json(): Json;
}

/** Requests to granted hosts; redirects are not followed. Asks for `http`. */
export const http: {
  send(url: string, options?: {
    /** `GET` if left out. */
    method?: string;
    headers?: { [name: string]: string } | [name: string, value: string][];
    body?: string | Uint8Array;
  }): Response;
};

/** Why there is no answer. */
export class HttpError extends Error {
  readonly tag: "forbidden" | "unreachable" | "timed-out" | "too-large";
}

/** Secrets by name. Asks for `secrets`. */
export const secrets: {
  /** A placeholder that the host replaces in outgoing headers. */
  placeholder(name: string): string;
};

/** Read-only folders; best read in `configure`. Asks for `files`. */
export const files: {
  /** The bytes of `<folder name>/<relative path>`, at most 16 MiB. */
  read(path: string): Uint8Array;
  /** The same as text; throws if it is not UTF-8. */
  text(path: string): string;
  /** Names in a folder, sorted; folders end with `/`. */
  entries(path: string): string[];
};

declare global {
  interface Console {
    trace(...parts: unknown[]): void;
    debug(...parts: unknown[]): void;
    log(...parts: unknown[]): void;
    info(...parts: unknown[]): void;
    warn(...parts: unknown[]): void;
    error(...parts: unknown[]): void;
  }
  var console: Console;
}
