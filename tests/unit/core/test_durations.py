"""Durations, shares and moments as people write and read them."""

import pytest

from meisa_cdc.core.durations import duration, iso, share, spoken


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        ("1.5h", 5400.0),
        (" 2 s ", 2.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float):
    """A number and a unit, with or without blanks."""
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "s",
        "-5s",
        "1h30m",
        "1e3s",
        "1w",
        "5 minutes",
        "\uff15s",
        "1_0s",
        ".5s",
        "9999999999d",
    ],
)
def test_what_is_no_duration_is_refused_with_examples(text: str):
    """The message shows what was written and what to write."""
    with pytest.raises(ValueError, match="is not a duration; write 500ms, 30s, 5m, 1h or 7d"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "part"), [("10%", 0.1), ("0%", 0.0), ("100%", 1.0), ("12.5 %", 0.125)]
)
def test_a_share_is_read_as_a_part_of_one(text: str, part: float):
    """From nothing to everything."""
    assert share(text) == pytest.approx(part)


@pytest.mark.parametrize("text", ["10", "0.1", "101%", "-1%", "%", "", "ten%"])
def test_what_is_no_share_is_refused_with_an_example(text: str):
    """A bare number could mean either."""
    with pytest.raises(ValueError, match="is not a share; write it as 10%"):
        share(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (2.5, "2.5 s"),
        (10, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3600, "60 min"),
        (7140, "119 min"),
        (7200, "2 h"),
        (180_600, "50 h 10 min"),
    ],
)
def test_a_duration_is_told_in_the_unit_that_says_most(seconds: float, text: str):
    """Seconds up to two minutes, minutes up to two hours, then hours."""
    assert spoken(seconds) == text


def test_a_moment_is_told_in_utc_to_the_second():
    """As in every JSON document of ours."""
    assert iso(1768206600.9) == "2026-01-12T08:30:00Z"
