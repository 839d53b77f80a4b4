"""Write Portcullis plugins in Python.

A plugin is the file `src/plugin.py` with one class that derives from `Detector`, `Rule` or `Router`:

    from portcullis import Detector, Finding

    class Words(Detector):
        def inspect(self, call, payload):
            return [Finding("word.forbidden", 0.9, "a forbidden word", [span])
                    for text in payload.texts() for span in text.find("plutonium")]

Capabilities are modules: `log` is always there; `clock`, `state`, `labels`, `files`, `judge`, `http` and `secrets` can be
imported if `asks` in `plugin.toml` names them.
"""

from .config import PluginError, is_number, is_texts, is_whole, keys
from .payload import JsonPayload, Payload
from .roles import Detector, Plugin, Router, Rule
from .types import (
    Allow,
    Approver,
    AttributedFinding,
    Call,
    Deny,
    Finding,
    Operator,
    Phase,
    Plan,
    Reason,
    Redact,
    Replacement,
    Review,
    Role,
    Span,
    Step,
    Text,
    Verdict,
    allow,
    deny,
    redact,
    review,
)

__all__ = [
    "Allow",
    "Approver",
    "AttributedFinding",
    "Call",
    "Deny",
    "Detector",
    "Finding",
    "JsonPayload",
    "Operator",
    "Payload",
    "Phase",
    "Plan",
    "Plugin",
    "PluginError",
    "Reason",
    "Redact",
    "Replacement",
    "Review",
    "Role",
    "Router",
    "Rule",
    "Span",
    "Step",
    "Text",
    "Verdict",
    "allow",
    "deny",
    "is_number",
    "is_texts",
    "is_whole",
    "keys",
    "redact",
    "review",
]
