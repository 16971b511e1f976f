"""Setting up a log of changed rows, looking at it, and removing it: on Postgres."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import URL

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.errors import SourceRefused, SourceUnavailable
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.needs import Need, needs_of, together
from meisa_cdc.source.postgres_transaction import SET_LOCAL, connect, first_line
from meisa_cdc.source.slot_facts import (
    Execute,
    Role,
    publication_of,
    role_of,
    server_of,
    slot_of,
    tables_of,
    triggers_of,
)
from meisa_cdc.source.slot_plan import (
    Facts,
    Problem,
    Step,
    drop_steps,
    owner_problems,
    reader_problems,
    server_problems,
    setup_steps,
    unpublishable,
)
from meisa_cdc.source.trigger_plan import (
    maker_problems,
    removal_steps,
    trigger_problems,
    trigger_steps,
    unfollowable,
)

#: How a log is kept.
SLOT, TRIGGERS = "slot", "triggers"
#: How long a statement may wait for a lock, while the app waits behind it.
LOCK_TIMEOUT = "3s"
#: How long it may take; a new slot waits for transactions that are under way.
STATEMENT_TIMEOUT = "60s"
#: Where a pass reads the slot just now: how often it is tried again, after how many seconds.
TRIES, PAUSE = 30, 0.1
SLEEP = "select pg_catalog.pg_sleep($1)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is, and what the mappings need."""

    #: As the role of app_database.url sees them.
    facts: Facts
    reader: Role
    needs: tuple[Need, ...]
    #: How it is kept, or is to be: SLOT or TRIGGERS.
    by: str
    #: All mappings that it helps are found by it already.
    whole: bool

    @property
    def followed(self) -> tuple[Need, ...]:
        """The mappings that a log can help."""
        return tuple(need for need in self.needs if need.scan is None)

    @property
    def steps(self) -> list[Step]:
        """What is left to do."""
        if self.by == TRIGGERS:
            return trigger_steps(self.facts, self.followed, self.reader, whole=self.whole)
        return setup_steps(self.facts, self.needs)


def look(database: AppDatabase, mappings: Iterable[Mapping], by: str | None = None) -> Seen:
    """Ask what there is; `by`: how a log is to be kept, where that is not how it is kept.

    Raises SourceUnavailable.
    """
    given = list(mappings)
    with database.snapshot() as snapshot:
        needs = list(needs_of(snapshot, given))
        helped = {need.mapping for need in needs if need.scan is None}
        logged = {m.name for m in given if m.name in helped and snapshot.capture(m).kind == LOG}
    with _executing(database.url) as execute:
        reader = role_of(execute)
        facts = _facts(execute, database.log, needs, reader)
    by = by or (TRIGGERS if facts.triggers is not None and facts.slot is None else SLOT)
    followed = tuple(_followed(need, facts, by) for need in needs)
    whole = {need.mapping for need in followed if need.scan is None} <= logged
    return Seen(facts=facts, reader=reader, needs=followed, by=by, whole=whole)


def _followed(need: Need, facts: Facts, by: str) -> Need:
    """Return the need, with the reason where nothing is kept of one of its tables."""
    for table, columns in need.tables.items():
        if by == TRIGGERS:
            problem = unfollowable(table, facts)
        else:
            problem = unpublishable(table, columns, facts)
        if problem is not None:
            return replace(need, tables={}, told={}, scan=problem)
    return need


def _facts(execute: Execute, name: str, needs: Iterable[Need], role: Role) -> Facts:
    publication = publication_of(execute, name)
    listed = publication.every_table if publication is not None else ()
    return Facts(
        name=name,
        server=server_of(execute),
        tables=tables_of(execute, {*together(needs), *listed}, name),
        publication=publication,
        slot=slot_of(execute, name),
        triggers=triggers_of(execute, name),
        schema=role.schema,
    )


def problems(seen: Seen, *, unlimited: bool) -> list[Problem]:
    """Return what stands in the way whoever runs the statements."""
    found: list[Problem] = []
    if seen.by == TRIGGERS:
        found += trigger_problems(seen.facts)
    else:
        making = any(step.of_slot for step in seen.steps)
        found += server_problems(seen.facts, making=making, unlimited=unlimited)
        found += reader_problems(seen.reader)
    if not seen.followed:
        what = "there is no mapping whose changes a log would tell"
        found.append(Problem(what=what, advice="See why, mapping by mapping."))
    return found


def lacking_rights(database: AppDatabase, setup: URL, seen: Seen) -> list[Problem]:
    """Return what keeps the role of `setup` from altering the app database."""
    with _executing(setup, setup=True) as execute:
        role = role_of(execute)
        facts = _facts(execute, database.log, seen.needs, role)
    if facts.server.identity != seen.facts.server.identity:
        return [
            Problem(
                what="MEISA_CDC_SETUP_URL leads to another database than app_database.url",
                advice="Correct one of them.",
            )
        ]
    tables = together(seen.followed)
    if seen.by == TRIGGERS:
        return list(maker_problems(facts, role, tables)) if seen.steps else []
    return list(owner_problems(facts, role, seen.steps, tables))


def removing(seen: Seen) -> list[Step]:
    """Return what removes whatever there is of ours; the slot first, since it keeps WAL."""
    return [*drop_steps(seen.facts), *removal_steps(seen.facts)]


def applied(
    database: AppDatabase, setup: URL, steps: Sequence[Step]
) -> Generator[Step, None, None]:
    """Run the statements, each in a transaction of its own, and yield them as they are done.

    Slots are made by whoever reads them. Raises SourceRefused where one fails.
    """
    for step in steps:
        if step.sql.startswith("set "):
            # Each runs on a connection of its own, which has these limits anyway.
            continue
        try:
            _run(database.url if step.of_slot else setup, step)
        except errors.InsufficientPrivilege as error:
            if not step.of_slot or setup == database.url:
                raise _refusal(step, error) from None
            _run_as_owner(setup, step)
        except psycopg.Error as error:
            raise _refusal(step, error) from None
        yield step


def _run_as_owner(setup: URL, step: Step) -> None:
    try:
        _run(setup, step)
    except psycopg.Error as error:
        raise _refusal(step, error) from None


def _run(url: URL, step: Step) -> None:
    with closing(_connected(url)) as connection:
        _run_on(connection, step)


def _run_on(connection: "psycopg.Connection[Any]", step: Step) -> None:
    # A new slot waits for transactions by their locks, and nobody waits for it.
    lock = "0" if step.of_slot else LOCK_TIMEOUT
    limits = {
        "lock_timeout": lock,
        "statement_timeout": STATEMENT_TIMEOUT,
        "standard_conforming_strings": "on",
    }
    for left in reversed(range(TRIES)):
        try:
            with connection.transaction():
                cursor = psycopg.RawCursor(connection)
                cursor.execute(SET_LOCAL.encode(), [list(limits), list(limits.values())])
                cursor.execute(step.sql.removesuffix(";").encode())
        except errors.ObjectInUse:
            if not left:
                raise
            psycopg.RawCursor(connection).execute(SLEEP.encode(), [PAUSE])
        else:
            return


def _refusal(step: Step, error: psycopg.Error) -> SourceRefused:
    hint = "Run it again; it goes on from here."
    if isinstance(error, errors.LockNotAvailable):
        what = f"a lock was not to be had within {LOCK_TIMEOUT}, and the app would have waited, too"
        hint = "Run it again when no long query or transaction holds the table."
    elif isinstance(error, errors.QueryCanceled):
        what = f"it took longer than {STATEMENT_TIMEOUT}"
        if step.of_slot:
            what += ": a new slot waits for transactions that are under way"
            hint = "End those with an old xact_start in pg_stat_activity, and run it again."
    elif isinstance(error, errors.ObjectInUse):
        what = first_line(error)
        hint = "Stop whoever reads it, such as `meisa-cdc run`, and run it again."
    else:
        what = first_line(error)
    if isinstance(error, errors.InsufficientPrivilege):
        hint = "Set MEISA_CDC_SETUP_URL to a role that may, and run it again."
    return SourceRefused(f"`{step.sql}` failed: {what}.", hint=hint)


@contextmanager
def _executing(url: URL, *, setup: bool = False) -> Iterator[Execute]:
    """Yield what runs a statement on a connection of its own."""
    try:
        with closing(_connected(url, setup=setup)) as connection:
            yield (
                lambda text, values: (
                    psycopg.RawCursor(connection).execute(text.encode(), values).fetchall()
                )
            )
    except psycopg.Error as error:
        raise SourceUnavailable(f"The server could not be asked: {first_line(error)}.") from None


def _connected(url: URL, *, setup: bool = True) -> "psycopg.Connection[Any]":
    try:
        return connect(url)
    except SourceUnavailable as error:
        if not setup:
            raise
        hint = "Check MEISA_CDC_SETUP_URL, or app_database.url where it is not set."
        raise SourceUnavailable(error.message, hint=hint) from None
