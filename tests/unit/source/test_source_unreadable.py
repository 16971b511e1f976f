"""Values that no Python value stands for."""

import json
from datetime import date

import pytest

from meisa_cdc.core.values import Unreadable
from meisa_cdc.source.unreadable import guarded, json_or_unreadable, text_or_unreadable


def test_json_is_read_exactly():
    """Large integers stay exact, and the last of two equal keys counts."""
    assert json_or_unreadable('{"a": 12345678901234567890, "a": 2}') == {"a": 2}
    assert json_or_unreadable(b"[12345678901234567890]") == [12345678901234567890]
    assert json_or_unreadable("null") is None


@pytest.mark.parametrize("text", ["{", b"\xff", "[" * 100_000, "1" * 5000, ""])
def test_json_that_cannot_be_read_is_set_aside(text):
    """The value is shown in part, with a reason."""
    found = json_or_unreadable(text)
    assert isinstance(found, Unreadable)
    assert len(found.text) <= 400


def test_deep_json_is_set_aside_and_wide_json_is_not():
    """What is nested too deeply for us to walk is refused; size alone does not matter."""
    assert isinstance(json_or_unreadable("[" * 101 + "]" * 101), Unreadable)
    assert isinstance(json_or_unreadable('{"a":' * 101 + "1" + "}" * 101), Unreadable)
    assert isinstance(json_or_unreadable("[" * 100 + "]" * 100), list)
    wide = [[n] for n in range(500)]
    assert json_or_unreadable(json.dumps(wide)) == wide


def test_text_is_utf8_or_set_aside():
    """Bytes that are no text are shown escaped."""
    assert text_or_unreadable("né".encode()) == "né"
    found = text_or_unreadable(b"n\xe9" + b"x" * 1000)
    assert isinstance(found, Unreadable)
    assert found.text.startswith("n\\xe9x")
    assert len(found.text) < 200


def test_a_failed_conversion_concerns_its_value_alone():
    """The text is kept, beside a reason."""
    convert = guarded(date.fromisoformat)
    assert convert("2026-01-12") == date(2026, 1, 12)
    found = convert("0000-00-00")
    assert isinstance(found, Unreadable)
    assert found.text == "0000-00-00"
