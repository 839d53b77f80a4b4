import { ask } from "portcullis:plugin/judge@1.0.0";

import { asking, named } from "./failure.js";

export class JudgeError extends Error {
  constructor(problem) {
    super(named(problem));
    this.name = "JudgeError";
    this.tag = problem.tag;
  }
}

export const judge = {
  ask: (template, variables = {}) => {
    const question = { template, variables: Object.entries(variables) };
    return JSON.parse(asking(() => ask(question), (problem) => new JudgeError(problem)));
  },
};
