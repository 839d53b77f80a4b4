import { AREA, mark, putList, putText, releaseTo, takeText } from "./abi";
import { fail } from "./failure";
import { Json } from "./json";

// @ts-ignore: decorator
@external("portcullis:plugin/judge@1.0.0", "ask")
declare function hostAsk(template: usize, length: usize, variables: usize, count: usize, area: usize): void;

/** A language model asked by the host, with budget and deadline. Asks for `judge`. */
export namespace judge {
  /** Why the last question has no answer: `unavailable`, `budget-spent`, `timed-out` or `bad-answer`; empty if it has one. */
  export let problem: string = "";

  /** The answer to a prompt template registered with the host, or null: then `judge.problem` says why. */
  export function ask(template: string, variables: Map<string, string>): Json | null {
    const before = mark();
    putText(AREA, template);
    const names = variables.keys();
    const list = putList(AREA + 8, names.length, 16);
    for (let index = 0; index < names.length; index++) {
      putText(list + 16 * index, names[index]);
      putText(list + 16 * index + 8, variables.get(names[index]));
    }
    hostAsk(load<u32>(AREA), load<u32>(AREA, 4), load<u32>(AREA, 8), load<u32>(AREA, 12), AREA);
    releaseTo(before);
    problem = "";
    if (load<u8>(AREA) == 0) {
      const answer = Json.parse(takeText(AREA + 4));
      return answer === null ? fail<Json | null>("the model's answer is not JSON") : answer;
    }
    switch (load<u8>(AREA, 4)) {
      case 0:
        takeText(AREA + 8);
        problem = "unavailable";
        break;
      case 1:
        problem = "budget-spent";
        break;
      case 2:
        problem = "timed-out";
        break;
      default:
        takeText(AREA + 8);
        problem = "bad-answer";
    }
    return null;
  }
}
