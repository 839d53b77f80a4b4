import { ask } from "portcullis:plugin/judge@1.0.0";

export class JudgeError extends Error {
  constructor(tag, val) {
    super(val === undefined || val === null ? tag : `${tag}: ${val}`);
    this.name = "JudgeError";
    this.tag = tag;
  }
}

export const judge = {
  ask: (template, variables = {}) => {
    try {
      return JSON.parse(ask({ template, variables: Object.entries(variables) }));
    } catch (error) {
      throw typeof error?.tag === "string" ? new JudgeError(error.tag, error.val) : error;
    }
  },
};
