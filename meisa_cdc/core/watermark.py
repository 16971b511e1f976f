"""Watermarks: from when on rows may have changed that no pass has seen."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

#: Seconds that a transaction of the app may take from the time it writes into a row to its commit,
#: and by which clocks may differ.
OVERLAP = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """Up to when all changes of a mapping's rows were seen, and their consequences stored."""

    #: What rows are read by beside the query; with another one nothing can be compared.
    scheme: str
    #: Epoch seconds at which the pass began.
    at: float
    #: Epoch seconds of the last time that every row was read.
    full_at: float
    #: Contacts whose rows have to be looked at again: their consequences were not stored.
    again: AbstractSet[str] = field(default_factory=frozenset)


def earliest_wall(at: float, now: float, zone: tzinfo) -> str:
    """Return a time, written `2026-01-12 08:30:00`, that no row changed since `at` lies before.

    Whether a column holds UTC or the wall clock's time in `zone` is not known, nor whether that
    clock was set back between `at` and `now`: the earliest of them is taken.
    """
    utc = timedelta(0)
    local = [datetime.fromtimestamp(moment, zone).utcoffset() or utc for moment in (at, now)]
    return f"{datetime.fromtimestamp(at, UTC) + min(utc, *local):%Y-%m-%d %H:%M:%S}"
