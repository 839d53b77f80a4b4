"""What the host calls: takes the plugin in `src/plugin.py`, and translates. Nothing in here is for plugin authors."""

from __future__ import annotations

import json
from typing import Any, Callable

import portcullis_build  # type: ignore[import-not-found]
import wit_world  # type: ignore[import-not-found]
from componentize_py_types import Err  # type: ignore[import-not-found]
from wit_world.imports import payload as host_payload, types as wit  # type: ignore[import-not-found]

import portcullis
from portcullis import Detector, PluginError, Router, Rule, _sealed

try:
    from wit_world.imports import routing  # type: ignore[import-not-found]
except ImportError:
    routing = None  # Only routers need it.

_FUNCTIONS = {"inspect": Detector, "decide": Rule, "route": Router}


def _find() -> tuple[str, Any]:
    """The name of the role's function, and what has it."""
    import plugin

    name = next(name for name in _FUNCTIONS if hasattr(wit_world.WitWorld, name))
    base = _FUNCTIONS[name]
    classes = [
        one
        for one in vars(plugin).values()
        if isinstance(one, type) and issubclass(one, base) and one.__module__ == plugin.__name__
    ]
    # A class that others derive from is not the plugin.
    classes = [one for one in classes if not any(other is not one and issubclass(other, one) for other in classes)]
    if len(classes) > 1:
        names = " and ".join(one.__name__ for one in classes)
        raise ImportError(f"src/plugin.py holds {names}: a plugin is one class that derives from {base.__name__}")
    if classes:
        return name, classes[0]()
    if callable(getattr(plugin, name, None)):
        return name, plugin
    raise ImportError(f"src/plugin.py holds no class that derives from portcullis.{base.__name__}, and no function {name}")


class _Payload:
    """The payload of the call at hand, read from the host."""

    def raw(self) -> str:
        return host_payload.raw()

    def texts(self) -> list[portcullis.Text]:
        return [portcullis.Text(index, text.pointer, text.value) for index, text in enumerate(host_payload.texts())]

    def names(self) -> list[str]:
        return host_payload.names()

    def get(self, pointer: str) -> str | None:
        return host_payload.get(pointer)

    def json(self, pointer: str = "") -> Any:
        text = host_payload.get(pointer)
        return None if text is None else json.loads(text)


# Before the plugin is imported: it must see what stands in for the outside world.
_sealed.output()
if portcullis_build.SEALED:
    _sealed.close()

_PAYLOAD = _Payload()
_PHASES = {phase: portcullis.Phase[phase.name] for phase in wit.Phase}
_NAME, _PLUGIN = _find()
_FUNCTION = getattr(_PLUGIN, _NAME)
_OWN = (portcullis.__file__.rpartition("/")[0], __file__)
_sealed.built()


class WitWorld(wit_world.WitWorld):  # type: ignore[misc]
    def configure(self, config: str) -> None:
        configure = getattr(_PLUGIN, "configure", None)
        if configure is None:
            return
        _guarded(lambda: configure(json.loads(config) if config.strip() else {}), True)

    def inspect(self, call: Any) -> Any:
        def run() -> Any:
            found = _FUNCTION(_call(call), _PAYLOAD)
            # What a generator does is the plugin's own, too.
            return _made(_findings, list(found) if hasattr(found, "__next__") else found, "a list of findings")

        return _guarded(run, False)

    def decide(self, call: Any, findings: Any) -> Any:
        def run() -> Any:
            return _made(_verdict, _FUNCTION(_call(call), _PAYLOAD, _seen(findings)), "a verdict")

        return _guarded(run, False)

    def route(self, call: Any, findings: Any, reasons: Any) -> Any:
        def run() -> Any:
            why = [portcullis.Reason(reason.code, reason.message) for reason in reasons]
            return _made(_plan, _FUNCTION(_call(call), _PAYLOAD, _seen(findings), why), "a plan")

        return _guarded(run, False)


def _guarded(run: Callable[[], Any], with_text: bool) -> Any:
    """What it answers; every exception becomes the contract's error text."""
    try:
        return run()
    except BaseException as error:
        raise Err(_text(error, with_text)) from None
    finally:
        _sealed.flush()


def _made(translate: Callable[[Any], Any], answer: Any, wanted: str) -> Any:
    """The plugin's answer as the contract's records."""
    try:
        return translate(answer)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{_NAME} must return {wanted}: {type(error).__name__}") from None


def _text(error: BaseException, with_text: bool) -> str:
    """What is said of an exception. Only a `PluginError` speaks for itself: others may quote the payload, so of a call only
    their kind and place are told."""
    if isinstance(error, PluginError):
        return _clean(str(error))
    place, trace = "", error.__traceback__
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_OWN):
            place = f" in {file.rpartition('/')[2]} line {trace.tb_lineno}"
        trace = trace.tb_next
    return _clean(f"{type(error).__name__}{place}" + (f": {error}" if with_text and str(error) else ""))


def _clean(text: object) -> str:
    """Text that UTF-8 can hold."""
    if not isinstance(text, str):
        raise TypeError(f"a string is needed, not {type(text).__name__}")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _u32(number: int) -> int:
    if not isinstance(number, int) or not 0 <= number < 2**32:
        raise PluginError("places and times are whole numbers from 0 to 4294967295")
    return int(number)


def _call(call: Any) -> portcullis.Call:
    return portcullis.Call(
        call.id,
        _PHASES[call.phase],
        call.tenant,
        call.agent,
        call.session,
        call.persona,
        call.task,
        call.upstream,
        call.tool,
        call.digest,
    )


def _seen(findings: Any) -> list[portcullis.AttributedFinding]:
    def one(finding: Any) -> portcullis.Finding:
        spans = [portcullis.Span(span.text, span.start, span.end) for span in finding.spans]
        return portcullis.Finding(finding.category, finding.score, finding.message, spans)

    return [portcullis.AttributedFinding(given.plugin, one(given.finding)) for given in findings]


def _span(span: portcullis.Span) -> Any:
    return wit.Span(_u32(span.text), _u32(span.start), _u32(span.end))


def _findings(findings: Any) -> list[Any]:
    return [_finding(finding) for finding in findings]


def _finding(finding: portcullis.Finding) -> Any:
    spans = [_span(span) for span in finding.spans]
    return wit.Finding(_clean(finding.category), float(finding.score), _clean(finding.message), spans)


def _reasons(reasons: Any) -> list[Any]:
    return [wit.Reason(_clean(reason.code), _clean(reason.message)) for reason in reasons]


def _verdict(verdict: portcullis.Verdict) -> Any:
    match verdict:
        case portcullis.Allow():
            return wit.Verdict_Allow()
        case portcullis.Redact(reasons, replacements):
            made = [wit.Replacement(_span(one.span), _clean(one.value)) for one in replacements]
            return wit.Verdict_Redact(wit.Redaction(_reasons(reasons), made))
        case portcullis.Review(reasons):
            return wit.Verdict_Review(_reasons(reasons))
        case portcullis.Deny(reasons):
            return wit.Verdict_Deny(_reasons(reasons))
    raise TypeError(f"a verdict is needed, not {type(verdict).__name__}")


def _plan(plan: portcullis.Plan) -> Any:
    def approvers(given: Any) -> list[Any]:
        kinds = {portcullis.Role: routing.Approver_Role, portcullis.Operator: routing.Approver_Operator}
        return [kinds[type(one)](_clean(one.name)) for one in given]

    def names(given: Any) -> list[str]:
        return [_clean(name) for name in given]

    if not isinstance(plan, portcullis.Plan):
        raise TypeError(f"a plan is needed, not {type(plan).__name__}")
    steps = [
        routing.Step(_u32(step.after_seconds), approvers(step.approvers), names(step.channels)) for step in plan.escalation
    ]
    return routing.Plan(
        approvers(plan.approvers),
        _u32(plan.quorum),
        _u32(plan.deadline_seconds),
        names(plan.channels),
        steps,
        _clean(plan.summary),
        bool(plan.may_modify),
    )
