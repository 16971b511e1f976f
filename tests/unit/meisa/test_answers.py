"""Reading what came back: JSON bodies, and how long the server asks us to wait."""

import httpx
import pytest

from meisa_cdc.core.outcome import LONGEST_PAUSE, SHORTEST_PAUSE, clamp_pause
from meisa_cdc.meisa.answers import json_body, retry_after

#: Thu, 15 Jan 2026 08:00:00 GMT
NOW = 1_768_464_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-30", -30.0),
        ("1e9", 1e9),
        ("Thu, 15 Jan 2026 08:01:30 GMT", 90.0),
        ("Thu, 15 Jan 2026 09:01:30 +0100", 90.0),
        ("Thu, 15 Jan 2026 08:01:30 -0000", 90.0),
        ("Thu, 15 Jan 2026 07:59:00 GMT", -60.0),
        ("Thursday, 15-Jan-26 08:00:10 GMT", 10.0),
    ],
)
def test_f61_retry_after_is_read_as_seconds_or_as_a_date(text, seconds):
    """Both forms of the header yield seconds from now, however strange the figure."""
    assert retry_after(text, NOW) == seconds


@pytest.mark.parametrize(
    "text", [None, "", "soon", "nan", "inf", "-inf", "12, 13", "Thu, 99 Foo 2026", "0x10", "٣ h"]
)
def test_f61_a_retry_after_that_says_nothing_is_none(text):
    """Garbage and an absent header leave the pause to us."""
    assert retry_after(text, NOW) is None


@pytest.mark.parametrize("text", ["-30", "0", "1e9", "120", "Thu, 15 Jan 2026 07:59:00 GMT"])
def test_f61_whatever_was_asked_the_pause_is_believable(text):
    """After clamping, no answer stops us for more than an hour or makes us hammer."""
    assert SHORTEST_PAUSE <= clamp_pause(retry_after(text, NOW), otherwise=60) <= LONGEST_PAUSE


@pytest.mark.parametrize(
    ("raw", "value"), [(b'{"id": 1}', {"id": 1}), (b" [] ", []), (b'"x"', "x"), (b"0", 0)]
)
def test_json_of_any_type_is_a_value(raw, value):
    """A body is judged by those who asked for it, not here."""
    assert json_body(httpx.Headers(), raw) == (value, "")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"null", "null"),
        (b"<html>busy</html>", "not JSON"),
        (b'{"id": 1', "not JSON"),
        (b'{"id": NaN}', "not JSON"),
        (b'{"id": "\\ud800"}', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_f65_what_is_not_json_is_told(raw, words):
    """An empty, truncated or foreign body is no value, and the error says what it is."""
    value, error = json_body(httpx.Headers({"content-type": "text/html; charset=utf-8"}), raw)
    assert value is None
    assert words in error


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "gzip, gzip"])
def test_f69_a_compressed_body_is_never_unpacked(encoding):
    """We asked for identity; anything else is not JSON, even where it would parse."""
    value, error = json_body(httpx.Headers({"content-encoding": encoding}), b'{"id": 1}')
    assert value is None
    assert "compressed" in error


def test_an_identity_encoding_is_no_encoding():
    """A server may say that it did nothing."""
    assert json_body(httpx.Headers({"content-encoding": "identity"}), b"1") == (1, "")
