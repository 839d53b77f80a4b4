// Finds words that must not leave the house.

import { detector, isStrings, log, members } from "portcullis";

export default detector({
  configure(config) {
    const { words, score = 0.9 } = members(config, "words", "score");
    if (!isStrings(words) || words.length === 0) throw new Error("words: give a list of at least one word");
    const empty = words.indexOf("");
    if (empty >= 0) throw new Error(`words[${empty}]: an empty word would be found everywhere`);
    if (typeof score !== "number" || score < 0 || score > 1) throw new Error("score: use a number from 0 to 1");
    return { words, score };
  },

  inspect(call, payload, { words, score }) {
    const findings = [];
    for (const text of payload.texts()) {
      for (const word of words) {
        for (const span of text.find(word, 100 - findings.length)) {
          findings.push({ category: "word.forbidden", score, message: `a forbidden word: ${word}`, spans: [span] });
        }
      }
    }
    if (findings.length > 0) log.debug(`${findings.length} words found`);
    return findings;
  },
});
