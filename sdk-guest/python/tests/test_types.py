"""`pytest sdk-guest/python/tests`: what works without the host."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "sdk"))

from portcullis import Finding, JsonPayload, PluginError, Span, Text, is_number, is_texts, is_whole, keys, log


def test_words_are_found_by_their_bytes() -> None:
    text = Text(3, "/t", "Größe GRÖßE größe aaa")
    assert list(text.find("größe")) == [Span(3, 0, 7), Span(3, 16, 23)]
    assert len(list(text.find("aa"))) == 1
    assert list(text.find("")) == []


def test_indexes_of_strings_become_bytes() -> None:
    text = Text(0, "", "ü鍵🔑x")
    assert text.span(1, 3) == Span(0, 2, 9)
    assert text.whole() == Span(0, 0, 10)
    assert Text(0, "", "abc").span(1, 2) == Span(0, 1, 2)
    for start, end in [(-1, 1), (2, 1), (0, 5)]:
        with pytest.raises(IndexError):
            text.span(start, end)


def test_scores_are_brought_into_range() -> None:
    assert [Finding("a", score, "").score for score in (2, -1, float("nan"), 0.5)] == [1, 0, 0, 0.5]


def test_configurations_tell_what_is_wrong() -> None:
    assert keys({"a": 1}, "a", "b") == {"a": 1}
    for config, text in [([], "the configuration is not a JSON object"), ({"é": 1}, "é: there is no such key")]:
        with pytest.raises(PluginError, match=text):
            keys(config, "a")
    assert is_texts(["x"], least=1) and not is_texts([], least=1) and not is_texts(["x", 1]) and not is_texts("x")
    assert is_number(1, 0, 1) and is_number(0.5) and not is_number(True) and not is_number("1")
    assert not is_number(float("nan")) and not is_number(float("inf")) and not is_number(10**400)
    assert is_whole(1, 1) and not is_whole(0, 1) and not is_whole(1.0) and not is_whole(True) and not is_whole(2**32)


def test_payloads_of_tests_are_like_the_hosts() -> None:
    payload = JsonPayload('{"a": ["x", {"b/c": "y"}], "n": 1, "a~": null}')
    assert [(text.index, text.pointer, text.value) for text in payload.texts()] == [(0, "/a/0", "x"), (1, "/a/1/b~1c", "y")]
    assert payload.names() == ["a", "b/c", "n", "a~"]
    assert payload.get("/a/1/b~1c") == '"y"' and payload.get("/no") is None and payload.json("/a~0") is None


def test_lines_are_kept_in_ordinary_tests() -> None:
    log.written.clear()
    log.debug("%d words", 2)
    assert log.written == [("debug", "2 words")]


def test_capabilities_are_there_in_the_host_only() -> None:
    with pytest.raises(ImportError, match="in the host only"):
        import portcullis.clock  # noqa: F401
