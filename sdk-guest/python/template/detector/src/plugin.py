"""A detector: finds forbidden words."""

from portcullis import Call, Detector, Finding, Payload, PluginError, is_number, is_texts, keys, log

MOST = 100
"""Findings of one call; more would tell nobody anything."""


class Words(Detector):
    # Runs once per configuration; what it leaves in `self` is there in every call.
    def configure(self, config: object) -> None:
        config = keys(config, "words", "score")
        words, score = config.get("words"), config.get("score", 0.9)
        if not is_texts(words, least=1):
            raise PluginError("words: give a list of at least one word")
        for index, word in enumerate(words):
            if word == "":
                raise PluginError(f"words[{index}]: an empty word would be found everywhere")
        if not is_number(score, least=0, most=1):
            raise PluginError("score: use a number from 0 to 1")
        self.words, self.score = words, score

    # Runs once per call. Nothing that it changes is seen by the next call.
    def inspect(self, call: Call, payload: Payload) -> list[Finding]:
        findings = self.find(payload)
        if findings:
            log.debug("%d words found", len(findings))
        return findings

    def find(self, payload: Payload) -> list[Finding]:
        findings: list[Finding] = []
        for text in payload.texts():
            for word in self.words:
                for span in text.find(word):
                    findings.append(Finding("word.forbidden", self.score, f"a forbidden word: {word}", [span]))
                    if len(findings) == MOST:
                        return findings
        return findings
