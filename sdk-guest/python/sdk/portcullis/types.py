"""Records of the plugin contract. Plain data: they can be made and compared in ordinary tests, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import isnan
from typing import ClassVar, Iterable, Iterator, Sequence, Union


class Phase(Enum):
    """Where in its life a call is being looked at."""

    CALL = "call"
    """Before the tool runs; the payload is the arguments."""
    RESULT = "result"
    """After the tool ran; the payload is its output."""
    LISTING = "listing"
    """A tool list on its way to the agent; the payload is the array of definitions."""
    MESSAGE = "message"
    """Other text on its way to the model."""


@dataclass(slots=True)
class Call:
    """One tool call, without its payload: that is read through `Payload`."""

    id: str
    """UUID of the call; the same in every phase."""
    phase: Phase
    """What is being looked at."""
    tenant: str
    """Owner of the traffic."""
    agent: str
    """Who makes the call, from its credential."""
    session: str | None
    """The run of the agent this call belongs to."""
    persona: str | None
    """What the agent is for, from its registration or the caller."""
    task: str | None
    """What the user asked for in this session, when known."""
    upstream: str | None
    """Name of the upstream that owns the tool."""
    tool: str
    """Name of the tool."""
    digest: bytes
    """SHA-256 of the canonical payload, 32 bytes."""


@dataclass(slots=True)
class Span:
    """A piece of one decoded text of the payload, in bytes of its UTF-8. `Text.span` and `Text.find` make them."""

    text: int
    """Index into `Payload.texts()`."""
    start: int
    """First byte; must lie between two characters."""
    end: int
    """One past the last byte; must lie between two characters."""


@dataclass
class Text:
    """One string of the payload, decoded."""

    index: int
    """Its place in `Payload.texts()`."""
    pointer: str
    """RFC 6901 pointer of the string."""
    value: str
    """Its decoded content."""
    _small: ClassVar[bytes | None] = None

    def span(self, start: int, end: int) -> Span:
        """The span of `value[start:end]`, for instance `text.span(*match.span())`: indexes of a Python string count
        characters, spans count bytes."""
        if not 0 <= start <= end <= len(self.value):
            raise IndexError("a span outside of its text")
        if self.value.isascii():
            return Span(self.index, start, end)
        first = len(self.value[:start].encode())
        return Span(self.index, first, first + len(self.value[start:end].encode()))

    def whole(self) -> Span:
        """The span of the whole text."""
        return self.span(0, len(self.value))

    def find(self, word: str) -> Iterator[Span]:
        """Every occurrence of a word that does not overlap an earlier one, from left to right; ASCII letters in either
        case, everything else exactly. An empty word is nowhere."""
        if len(word) > len(self.value):
            return
        hay, needle = self._small, word.encode().lower()
        if hay is None:
            # bytes.lower() knows ASCII only, which is what is wanted.
            hay = self.value.encode().lower()
            # Kept for the next word; not a field, since most texts are never searched.
            self.__dict__["_small"] = hay
        at = hay.find(needle) if needle else -1
        while at >= 0:
            end = at + len(needle)
            yield Span(self.index, at, end)
            at = hay.find(needle, end)


@dataclass(slots=True)
class Finding:
    """What a detector saw."""

    category: str
    """Dotted category, for instance `injection.override` or `secret.token`."""
    score: float
    """Calibrated confidence, 0 to 1; brought into that range, and not-a-number becomes 0."""
    message: str
    """One sentence for the person who decides. Never quote the payload: messages are logged."""
    spans: Sequence[Span] = ()
    """Where; empty if the finding is about the whole payload."""

    def __post_init__(self) -> None:
        self.score = 0.0 if isnan(self.score) else min(max(float(self.score), 0.0), 1.0)


@dataclass(slots=True)
class AttributedFinding:
    """A finding of an earlier plugin, as a rule or router sees it."""

    plugin: str
    """Name of the plugin in the pipeline."""
    finding: Finding
    """What it saw."""


@dataclass(frozen=True)
class Reason:
    """Why; for programs and for people."""

    code: str
    """Stable, lower case, at most 64 bytes, for instance `destructive_command`."""
    message: str
    """One sentence for people."""


@dataclass(frozen=True)
class Replacement:
    """Text to put in place of a span."""

    span: Span
    """What is replaced."""
    value: str
    """With what, as decoded text."""


@dataclass
class Allow:
    """Nothing against it."""


@dataclass
class Redact:
    """Forward, with these replacements made; the host joins those that overlap."""

    reasons: Sequence[Reason]
    replacements: Sequence[Replacement]


@dataclass
class Review:
    """A person decides."""

    reasons: Sequence[Reason]


@dataclass
class Deny:
    """Refuse."""

    reasons: Sequence[Reason]


Verdict = Union[Allow, Redact, Review, Deny]
"""What a rule decides. The host merges the answers of all rules: deny, then review, then redact, then allow."""


def allow() -> Verdict:
    """Nothing against it."""
    return Allow()


def redact(replacements: Iterable[Replacement], code: str, message: str) -> Verdict:
    """Forward with replacements, for one reason."""
    return Redact([Reason(code, message)], list(replacements))


def review(code: str, message: str) -> Verdict:
    """A person decides, for one reason."""
    return Review([Reason(code, message)])


def deny(code: str, message: str) -> Verdict:
    """Refuse, for one reason."""
    return Deny([Reason(code, message)])


@dataclass(frozen=True)
class Role:
    """Any operator with this role."""

    name: str


@dataclass(frozen=True)
class Operator:
    """This operator."""

    name: str


Approver = Union[Role, Operator]
"""Somebody who may decide."""


@dataclass
class Step:
    """After a while without a decision, also ask these."""

    after_seconds: int
    """Counted from the moment the call was parked."""
    approvers: Sequence[Approver]
    """Who is asked."""
    channels: Sequence[str] = ()
    """Through which channels."""


@dataclass
class Plan:
    """Who decides, how many, until when, told where."""

    approvers: Sequence[Approver]
    """Who may decide; at least one."""
    quorum: int = 1
    """How many must approve; at least 1. One refusal refuses."""
    deadline_seconds: int = 900
    """After this long without a decision the call is denied; at least 1."""
    channels: Sequence[str] = ()
    """Through which channels they are told."""
    escalation: Sequence[Step] = field(default_factory=list)
    """Who is asked later."""
    summary: str = ""
    """What the approver reads first."""
    may_modify: bool = False
    """Whether arguments may be changed before release."""
