"""Logs of changed rows: how far they go back, and which of their changes a snapshot sees."""

from collections.abc import Iterable, Set as AbstractSet
from dataclasses import dataclass, field

#: Transaction numbers in a log start again from zero after so many.
WRAP = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """What a log tells of the tables that a mapping reads."""

    #: Which log it is, and what the tables look like; with another one nothing can be compared.
    identity: str
    #: Place in the log before which changes are gone.
    start: int
    #: Place up to which it was written; None: places do not tell.
    end: int | None = None
    #: Of the places that it was asked about, those that it came through; None: any between may be.
    passed: AbstractSet[int] | None = None

    def reaches(self, place: int) -> bool:
        """Tell whether it tells of everything since a place that it had reached once.

        Of a server that was set back in time, a place may lie in its future, or on another way.
        """
        if self.passed is not None and place not in self.passed:
            return False
        return self.start <= place and (self.end is None or place <= self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """Up to where a log's changes were looked at for a mapping, and their consequences stored."""

    #: What rows are read by beside the query; with another one nothing can be compared.
    scheme: str
    #: Place in the log.
    upto: int
    #: Epoch seconds of the last time that every row was read.
    full_at: float
    #: Contacts whose rows have to be looked at again: their consequences were not stored.
    again: AbstractSet[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Visible:
    """The transactions that a snapshot of Postgres sees."""

    #: The first number that is not given yet; wide, so that it never starts again.
    end: int
    #: Those before it that had not ended.
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Visible":
        """Read `first running:end:running,…`, as the server writes it."""
        _, end, running = text.split(":")
        return cls(end=int(end), running=frozenset(map(int, running.split(",") if running else ())))

    def sees(self, transaction: int) -> bool:
        """Tell whether a transaction, by its number in the log, had ended."""
        # The log has the lower 32 bits; what it tells of lies near the end.
        distance = (transaction - self.end) % WRAP
        wide = self.end + distance - (WRAP if distance >= WRAP // 2 else 0)
        return wide < self.end and wide not in self.running


def seen_upto(ended: Iterable[tuple[int, int]], visible: Visible) -> tuple[int | None, bool]:
    """Return the end of the longest run of transactions that are all visible; None: of none.

    `ended`: number and end of each transaction, in the order of the log. Second, whether all are.
    """
    upto = None
    for transaction, end in ended:
        if not visible.sees(transaction):
            return upto, False
        upto = end
    return upto, True


def place_of(text: str) -> int:
    """Return a place in Postgres's log as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def written(place: int) -> str:
    """Return a place in Postgres's log as the server writes it."""
    return f"{place >> 32:X}/{place & (WRAP - 1):X}"
