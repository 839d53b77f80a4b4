"""The three roles. A plugin is one class that derives from one of them, or functions of the same names."""

from __future__ import annotations

from typing import Any, Iterable, Sequence

from .payload import Payload
from .types import AttributedFinding, Call, Finding, Plan, Reason, Verdict


class Plugin:
    """What all roles have in common."""

    def configure(self, config: Any) -> None:
        """Runs once per configuration, before the plugin is frozen: prepare everything here. `config` is the configuration
        as `json.loads` reads it; none at all is an empty dictionary.

        Raise `PluginError` if it cannot be used.
        """


class Detector(Plugin):
    """Looks and reports."""

    def inspect(self, call: Call, payload: Payload) -> Iterable[Finding]:
        """Looks at one call. May as well be a generator."""
        raise NotImplementedError


class Rule(Plugin):
    """Decides."""

    def decide(self, call: Call, payload: Payload, findings: Sequence[AttributedFinding]) -> Verdict:
        """Decides one call, given what the detectors saw."""
        raise NotImplementedError


class Router(Plugin):
    """Says who must approve a parked call."""

    def route(
        self, call: Call, payload: Payload, findings: Sequence[AttributedFinding], reasons: Sequence[Reason]
    ) -> Plan:
        """Says who decides, given why the call was parked."""
        raise NotImplementedError
