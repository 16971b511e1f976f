"""The time that no changed row lies before."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from meisa_cdc.core.watermark import earliest_wall

AT = datetime(2026, 1, 12, 8, 30, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (UTC, "2026-01-12 08:30:00"),
        (BERLIN, "2026-01-12 08:30:00"),
        (NEW_YORK, "2026-01-12 03:30:00"),
    ],
)
def test_a_column_may_hold_utc_or_local_time(zone, expected: str):
    """The earlier of the two."""
    assert earliest_wall(AT, AT + 60, zone) == expected


def test_clocks_that_are_set_back_hide_nothing():
    """An hour that happens twice is read from its first beginning."""
    before = datetime(2026, 11, 1, 5, 50, tzinfo=UTC).timestamp()
    assert earliest_wall(before, before + 60, NEW_YORK) == "2026-11-01 01:50:00"
    assert earliest_wall(before, before + 1200, NEW_YORK) == "2026-11-01 00:50:00"


@given(
    at=st.integers(0, 4_000_000_000),
    pause=st.integers(0, 86_400),
    part=st.floats(0, 1),
    zone=st.sampled_from(
        [UTC, BERLIN, NEW_YORK, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Pacific/Apia")]
        + [timezone(timedelta(hours=hours)) for hours in (-12, 14)]
    ),
)
def test_no_row_that_changed_since_lies_before(at: int, pause: int, part: float, zone):
    """Whatever the zone, and whichever of the two clocks the app wrote down."""
    changed = at + pause * part
    for clock in (UTC, zone):
        written = f"{datetime.fromtimestamp(changed, clock):%Y-%m-%d %H:%M:%S}"
        assert written >= earliest_wall(float(at), float(at + pause), zone)
