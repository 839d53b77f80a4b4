"""A language model asked by the host, with budget and deadline. Asks for `judge`."""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

from ._call import failure
from ._host import capability
from .config import PluginError

_judge = capability("judge")


class JudgeError(PluginError):
    """There is no answer. `kind` is `unavailable`, `budget-spent`, `timed-out` or `bad-answer`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"the judge gave no answer: {kind}" + (f": {text}" if text else ""))
        self.kind = kind


def ask(template: str, variables: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> Any:
    """The answer to a prompt template registered with the host, as `json.loads` reads it."""
    pairs = list(variables.items()) if isinstance(variables, Mapping) else list(variables)
    answer = failure(JudgeError, _judge.ask, _judge.Question(template, pairs))
    return json.loads(answer)
