// Finds words that must not leave the house.

import { Call, Finding, Json, Payload, log } from "../sdk";

let words: string[] = [];
let score: f64 = 0;

/** Null, or what to tell whoever configures. */
export function configure(config: Json): string | null {
  const problem = config.check(["words", "score"]);
  if (problem !== null) return problem;
  const list = config.strings("words");
  if (list === null || list.length == 0) return "words: give a list of at least one word";
  const empty = list.indexOf("");
  if (empty >= 0) return `words[${empty}]: an empty word would be found everywhere`;
  words = list;
  score = config.number("score", 0.9);
  return score >= 0 && score <= 1 ? null : "score: use a number from 0 to 1";
}

export function inspect(call: Call, payload: Payload): Finding[] {
  const findings: Finding[] = [];
  const texts = payload.texts();
  for (let t = 0; t < texts.length; t++) {
    for (let w = 0; w < words.length; w++) {
      const spans = texts[t].find(words[w], 100 - findings.length);
      for (let s = 0; s < spans.length; s++) {
        findings.push(new Finding("word.forbidden", score, `a forbidden word: ${words[w]}`, [spans[s]]));
      }
    }
  }
  if (findings.length > 0) log.debug(`${findings.length} words found`);
  return findings;
}
