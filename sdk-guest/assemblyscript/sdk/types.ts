// The records of the plugin contract 1.0.0.

/** Where in its life a call is looked at. */
export enum Phase {
  /** Before the tool runs; the payload is the arguments. */
  Call,
  /** After the tool ran; the payload is its output. */
  Result,
  /** A tool list on its way to the agent; the payload is the array of definitions. */
  Listing,
  /** Other text on its way to the model. */
  Message,
}

/** One tool call, without its payload. */
export class Call {
  /** UUID of the call; the same in every phase. */
  id: string = "";
  phase: Phase = Phase.Call;
  /** Owner of the traffic. */
  tenant: string = "";
  /** Who makes the call, from its credential. */
  agent: string = "";
  /** The run of the agent this call belongs to. */
  session: string | null = null;
  /** What the agent is for. */
  persona: string | null = null;
  /** What the user asked for in this session, when known. */
  task: string | null = null;
  /** Name of the upstream that owns the tool. */
  upstream: string | null = null;
  /** Name of the tool. */
  tool: string = "";
  /** SHA-256 of the canonical payload, 32 bytes. */
  digest: Uint8Array = new Uint8Array(0);
}

/** A piece of one text of the payload, in bytes of UTF-8; made by the methods of `Text`. */
export class Span {
  constructor(
    /** Index into `payload.texts()`. */
    public text: u32,
    /** First byte. */
    public start: u32,
    /** One past the last byte. */
    public end: u32,
  ) {}
}

/** What a detector saw. */
export class Finding {
  score: f32;

  /** The score is brought into 0 to 1; NaN becomes 0. Without spans a finding is about the whole payload. */
  constructor(
    /** Dotted category, for instance `secret.token`. */
    public category: string,
    score: f64,
    /** One sentence for the person who decides. Never quote the payload: messages are logged. */
    public message: string,
    public spans: Span[] = [],
  ) {
    this.score = isNaN(score) ? 0 : f32(min(max(score, 0), 1));
  }
}

/** A finding of an earlier plugin. */
export class AttributedFinding {
  constructor(
    /** Name of the plugin in the pipeline. */
    public plugin: string,
    public finding: Finding,
  ) {}
}

/** Why. */
export class Reason {
  constructor(
    /** Stable, lower case, at most 64 bytes. */
    public code: string,
    /** One sentence for people. */
    public message: string,
  ) {}
}

/** Text to put in place of a span. */
export class Replacement {
  constructor(public span: Span, public value: string) {}
}

/** What a rule decides. */
export enum Decision {
  Allow,
  Redact,
  Review,
  Deny,
}

/** A rule's answer. */
export class Verdict {
  constructor(public decision: Decision, public reasons: Reason[] = [], public replacements: Replacement[] = []) {}

  /** Nothing against it. */
  static allow(): Verdict {
    return new Verdict(Decision.Allow);
  }
  /** Forward, with these replacements made. */
  static redact(code: string, message: string, replacements: Replacement[]): Verdict {
    return new Verdict(Decision.Redact, [new Reason(code, message)], replacements);
  }
  /** A person decides. */
  static review(code: string, message: string): Verdict {
    return new Verdict(Decision.Review, [new Reason(code, message)]);
  }
  /** Refuse. */
  static deny(code: string, message: string): Verdict {
    return new Verdict(Decision.Deny, [new Reason(code, message)]);
  }
}

/** Somebody who may decide. */
export class Approver {
  constructor(public isOperator: bool, public name: string) {}

  /** Any operator with this role. */
  static role(name: string): Approver {
    return new Approver(false, name);
  }
  /** This operator. */
  static operator(name: string): Approver {
    return new Approver(true, name);
  }
}

/** After some time without a decision, also ask these. */
export class Step {
  constructor(
    /** Counted from the moment the call was parked. */
    public afterSeconds: u32,
    public approvers: Approver[],
    public channels: string[] = [],
  ) {}
}

/** A router's answer. */
export class Plan {
  /** How many must approve. One refusal refuses. */
  quorum: u32 = 1;
  /** Through which channels they are told. */
  channels: string[] = [];
  /** Who is asked later. */
  escalation: Step[] = [];
  /** Whether arguments may be changed before release. */
  mayModify: bool = false;

  constructor(
    /** Who may decide; at least one. */
    public approvers: Approver[],
    /** After this long without a decision the call is denied. */
    public deadlineSeconds: u32,
    /** What the approver reads first. */
    public summary: string,
  ) {}
}
