"""What a log of changed rows tells, whichever way the database keeps it."""

from collections.abc import Callable, Collection, Mapping as Dict
from dataclasses import dataclass
from typing import Protocol

from meisa_cdc.source.affected.answers import Derivation, FullScan, KeyColumns, KeyQuery
from meisa_cdc.source.affected.asking import Behind, Changes

#: Changes beyond which everything is read.
MOST_CHANGES = 100_000
#: The same of the bytes that they take.
MOST_BYTES = 64 * 2**20
TOO_MANY = FullScan(reason=f"more than {MOST_CHANGES:,} rows changed, or 64 MB", advice="")
OVERFLOWED = FullScan(
    reason="the log of changed rows was full for a while", advice="Let meisa-cdc run all the time."
)
#: Full name of a table -> columns.
Columns = Dict[str, Collection[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A table whose changes are kept."""

    #: Columns that are told of as they were before a change.
    before: Collection[str]
    #: Columns that are told of at all; None: every one.
    told: Collection[str] | None = None
    #: Another text after anything that changed rows without a change that the log tells.
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A log that can be used."""

    #: The log and the server it is kept by; another text for another one.
    identity: str
    #: Place before which changes are gone.
    start: int
    #: By full name.
    tables: Dict[str, Kept]
    #: Place up to which it was written; None: places do not tell.
    end: int | None = None
    #: Tells whether it came through a place where a snapshot stood once; None: by their order,
    #: and it tells everybody the same.
    passed: Callable[[int], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a log told, for one snapshot."""

    #: All changes that the snapshot sees, and perhaps some that it does not.
    changes: Changes | Behind
    #: Place up to which nothing needs to be told again once what the snapshot shows is stored.
    upto: int
    #: Tables whose changes say too little: emptied, or altered in between.
    unsure: Collection[str] = ()
    #: Why nothing is told at all.
    scan: FullScan | None = None


class Seen(Protocol):
    """What a snapshot was told, for when it has been stored what came of it."""

    def acknowledge(self, upto: int) -> None:
        """Let the log forget what lies before a place. Raises SourceUnavailable."""


class ChangeLog(Protocol):
    """A log of changed rows beside one snapshot of its database."""

    @property
    def seen(self) -> Seen | None:
        """What the snapshot was told; None as long as it was told nothing."""

    def standing(self) -> Standing | FullScan:
        """Return what the log covers, or why it cannot be used."""

    def told(self, wanted: Columns, since: int | None) -> Told | FullScan:
        """Return what changed in these columns, or why the log cannot be used.

        Nothing is told of other tables. `since`: a place up to which nobody asks any more; a log
        may tell more. None: nobody asks. Raises SourceUnavailable.
        """


def needed(derivation: Derivation) -> dict[str, set[str]]:
    """Return the columns that have to be told as they were, by full name of the table."""
    found: dict[str, set[str]] = {table.table: set() for table in derivation.tables}
    for table in derivation.tables:
        if isinstance(table.answer, KeyColumns):
            found[table.table].update(table.answer.columns)
        if isinstance(table.answer, KeyQuery):
            for image in table.answer.images:
                found[image.table].add(image.column)
    return found


def wanted(derivation: Derivation) -> dict[str, set[str]]:
    """Return all columns that have to be told, by full name of the table."""
    found = needed(derivation)
    for table in derivation.tables:
        found[table.table].update(table.columns)
    return found
