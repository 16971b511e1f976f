"""Setting up a log of changed rows, looking at it, and removing it: whatever the database."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import URL

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source import mysql_setup, slot_setup, sqlite_setup
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.dialects import POSTGRESQL, SQLITE
from meisa_cdc.source.needs import Need
from meisa_cdc.source.slot_plan import (
    Problem,
    Step,
    dangers,
    identity_resets,
    reader_problems,
)

#: How a log is kept.
SLOT, TRIGGERS = slot_setup.SLOT, slot_setup.TRIGGERS


class LogSetup(Protocol):
    """A log in one kind of database: what there is, and what the mappings need."""

    @property
    def by(self) -> str:
        """How it is kept, or is to be: SLOT or TRIGGERS."""

    @property
    def needs(self) -> Sequence[Need]:
        """What each mapping needs, with the reason where a log does not help it."""

    @property
    def steps(self) -> list[Step]:
        """What is left to do."""

    @property
    def removing(self) -> list[Step]:
        """What removes whatever there is of ours."""

    @property
    def left(self) -> list[Step]:
        """What would take back changes that may be of use to others."""

    @property
    def preface(self) -> str:
        """What to run first, where the statements do not say so themselves."""

    def problems(self, *, unlimited: bool) -> list[Problem]:
        """Return what stands in the way whoever runs the statements."""

    def lacking_rights(self, setup: URL) -> list[Problem]:
        """Return what keeps the role of `setup` from running them. Raises SourceUnavailable."""

    def applied(self, setup: URL, steps: Sequence[Step]) -> Iterator[Step]:
        """Run statements, and yield them as they are done. Raises SourceRefused."""

    def document(self) -> dict[str, Any]:
        """Return for programs what there is, with `problems` that the app has with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresLogSetup:
    """A log on Postgres, by a slot or by triggers."""

    database: AppDatabase
    seen: slot_setup.Seen

    @property
    def by(self) -> str:
        """How it is kept, or is to be."""
        return self.seen.by

    @property
    def needs(self) -> Sequence[Need]:
        """What each mapping needs."""
        return self.seen.needs

    @property
    def steps(self) -> list[Step]:
        """What is left to do."""
        return self.seen.steps

    @property
    def removing(self) -> list[Step]:
        """What removes whatever there is of ours."""
        return slot_setup.removing(self.seen)

    @property
    def left(self) -> list[Step]:
        """What takes REPLICA IDENTITY FULL from the tables."""
        return identity_resets(self.seen.facts)

    @property
    def preface(self) -> str:
        """What limits the waiting for locks."""
        limited = not self.steps or self.steps[0].sql.startswith("set ")
        return "" if limited else f"set lock_timeout = '{slot_setup.LOCK_TIMEOUT}';"

    def problems(self, *, unlimited: bool) -> list[Problem]:
        """Return what stands in the way whoever runs the statements."""
        return slot_setup.problems(self.seen, unlimited=unlimited)

    def lacking_rights(self, setup: URL) -> list[Problem]:
        """Return what keeps the role of `setup` from altering the app database."""
        return slot_setup.lacking_rights(self.database, setup, self.seen)

    def applied(self, setup: URL, steps: Sequence[Step]) -> Iterator[Step]:
        """Run the statements, each in a transaction of its own."""
        return slot_setup.applied(self.database, setup, steps)

    def document(self) -> dict[str, Any]:
        """Return slot, publication and triggers."""
        facts = self.seen.facts
        slot, publication, triggers = facts.slot, facts.publication, facts.triggers
        return {
            "slot": None
            if slot is None
            else {
                "reader": slot.reader,
                "wal_status": slot.wal_status or None,
                "void": slot.why_void if slot.void else None,
                "kept_bytes": slot.kept,
            },
            "publication": None
            if publication is None
            else {"tables": list(publication.every_table)},
            "triggers": None if triggers is None else {"tables": sorted(triggers.tables)},
            "problems": [*dangers(facts), *(reader_problems(self.seen.reader) if slot else ())],
        }


def look(database: AppDatabase, mappings: Iterable[Mapping], by: str | None = None) -> LogSetup:
    """Ask what there is; `by`: how a log is to be kept, where that is not how it is kept.

    Raises SourceUnavailable, and SourceRefused where there can be none of that kind.
    """
    if database.dialect is POSTGRESQL:
        return PostgresLogSetup(database=database, seen=slot_setup.look(database, mappings, by))
    if database.dialect is SQLITE:
        return sqlite_setup.look(database, mappings, by)
    return mysql_setup.look(database, mappings, by)


def kept_by(database: AppDatabase) -> str:
    """Return how a log is kept where nothing else is said."""
    return SLOT if database.dialect is POSTGRESQL else TRIGGERS


def followed(setup: LogSetup) -> tuple[Need, ...]:
    """Return the mappings that a log can help."""
    return tuple(need for need in setup.needs if need.scan is None)


def proof(database: AppDatabase, mappings: Iterable[Mapping], setup: LogSetup) -> list[Problem]:
    """Return what still keeps the log from telling of the mappings that it should.

    Asks it for real. Raises SourceUnavailable.
    """
    expected = {need.mapping for need in followed(setup)}
    with database.snapshot() as snapshot:
        captures = {each.name: snapshot.capture(each) for each in mappings if each.name in expected}
        readable = snapshot.upto() is not None
    found = [
        Problem(what=f"{name} is found by {capture.kind}: {capture.why}", advice="")
        for name, capture in captures.items()
        if capture.kind != LOG
    ]
    if not readable:
        what = f"the log {database.log} cannot be read"
        found.append(Problem(what=what, advice="Run `meisa-cdc capture status`."))
    return found
