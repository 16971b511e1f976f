"""SQLite: setting up a log of changed rows by triggers, looking at it, and removing it."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.errors import SourceRefused
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.dialects import SQLITE
from meisa_cdc.source.needs import Need, needs_of, together, told_of
from meisa_cdc.source.slot_plan import Problem, Step
from meisa_cdc.source.sqlite_file import BUSY_TIMEOUT, path_of, read_schema
from meisa_cdc.source.sqlite_schema import Schema, Table
from meisa_cdc.source.sqlite_trigger_log import parts_of, told_tables
from meisa_cdc.source.sqlite_triggers import Telling, creation, removal, tables_in
from meisa_cdc.source.trigger_names import Names
from meisa_cdc.source.trigger_setup import named

#: What the statements are for, by the words that they begin with.
REASONS = {
    "begin": "All of it or nothing, while nobody else writes.",
    "drop": "Made anew, or for a table that no mapping reads any more.",
    "create table": "The log's own tables: where it stands, and values of what changed.",
    "insert": "From here on, everything is read once.",
    "update": "From here on, everything is read once.",
    "create trigger": "Runs with each change of the table.",
    "commit": "",
}
TRIGGERS = "triggers"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteLogSetup:
    """What there is in a file, and what the mappings need."""

    database: AppDatabase
    schema: Schema
    needs: tuple[Need, ...]
    #: All mappings that it helps are found by it already.
    whole: bool
    by: str = TRIGGERS
    #: The shell neither waits nor stops at an error by itself.
    preface: str = "-- to be run by: sqlite3 -bail -cmd '.timeout 5000' FILE"

    @property
    def left(self) -> list[Step]:
        """Nothing: all that is made is ours."""
        return []

    @property
    def _names(self) -> Names:
        return named(self.database.log)

    @property
    def _followed(self) -> list[Need]:
        return [need for need in self.needs if need.scan is None]

    @property
    def steps(self) -> list[Step]:
        """What is left to do: all of it, or nothing."""
        telling = self._telling()
        there = told_tables(self.schema, self._names)
        if not telling or (self.whole and there == telling):
            return []
        parts = parts_of(self.schema, self._names)
        return _together([*removal(parts), *creation(self._names, telling)])

    def _telling(self) -> dict[str, Telling]:
        told, kept = told_of(self._followed), together(self._followed)
        by_name = {table.quoted: table for table in self._tables(told)}
        return {
            by_name[name].name: Telling(
                table=by_name[name], told=tuple(sorted(told[name])), kept=tuple(sorted(kept[name]))
            )
            for name in sorted(told)
        }

    def _tables(self, quoted: Iterable[str]) -> Iterator[Table]:
        wanted = set(quoted)
        for entry in self.schema.entries:
            if entry.kind == "table" and SQLITE.quoted(entry.name) in wanted:
                table = self.schema.table(entry.name)
                if table is not None:
                    yield table

    @property
    def removing(self) -> list[Step]:
        """What removes whatever there is of ours."""
        parts = parts_of(self.schema, self._names)
        return _together(list(removal(parts))) if parts else []

    def problems(self, *, unlimited: bool) -> list[Problem]:  # noqa: ARG002 - of a slot alone
        """Return what stands in the way whoever runs the statements."""
        if self._followed:
            return []
        what = "there is no mapping whose changes a log would tell"
        return [Problem(what=what, advice="See why, mapping by mapping.")]

    def lacking_rights(self, setup: URL) -> list[Problem]:
        """Return what keeps whoever runs this from writing to the file."""
        path, ours = path_of(setup), path_of(self.database.url)
        if not path.is_file() or not path.samefile(ours):
            return [
                Problem(
                    what="MEISA_CDC_SETUP_URL leads to another database than app_database.url",
                    advice="Correct one of them.",
                )
            ]
        if not os.access(path, os.W_OK) or not os.access(path.resolve().parent, os.W_OK):
            return [
                Problem(
                    what=f"{path} and its folder may not be written by this user",
                    advice="Run it as the user of the app.",
                )
            ]
        return []

    def applied(self, setup: URL, steps: Sequence[Step]) -> Iterator[Step]:
        """Run the statements in one transaction, and yield them once it is committed."""
        if steps:
            for each in self.lacking_rights(setup):
                raise SourceRefused(f"{each.what}.", hint=each.advice)
            done = "begin immediate"
            try:
                # What was begun ends with the connection.
                with closing(_opened(setup)) as connection:
                    for step in steps:
                        done = step.sql
                        connection.execute(step.sql)
            except sqlite3.Error as error:
                raise _refusal(done, error, str(path_of(setup))) from None
        yield from steps

    def document(self) -> dict[str, Any]:
        """Return the tables that triggers are on."""
        parts = parts_of(self.schema, self._names)
        on = {e.table for e in self.schema.entries if ("trigger", e.name) in parts}
        return {
            "slot": None,
            "publication": None,
            "triggers": {"tables": sorted(on)} if parts else None,
            "problems": list(self._troubles()) if parts else [],
        }

    def _troubles(self) -> Iterator[Problem]:
        """Yield what the app's own writes fail of."""
        named = sorted({table for sql in self._triggers() for table in tables_in(sql)})
        gone = [each for each in named if self.schema.named("table", each) is None]
        if gone:
            yield Problem(
                what=f"{', '.join(gone)} is gone, and the app's writes to told tables fail",
                advice="Run `meisa-cdc capture drop` now, or `meisa-cdc capture setup --apply`.",
            )

    def _triggers(self) -> Iterator[str]:
        """Yield the texts of the triggers that are ours."""
        parts = parts_of(self.schema, self._names)
        return (e.sql for e in self.schema.entries if ("trigger", e.name) in parts)


def look(
    database: AppDatabase, mappings: Iterable[Mapping], by: str | None = None
) -> SqliteLogSetup:
    """Ask what there is. Raises SourceUnavailable, and SourceRefused for a slot."""
    if by not in (None, TRIGGERS):
        raise SourceRefused(
            "SQLite keeps no log of its own that we can read.", hint="Leave out --by."
        )
    given = list(mappings)
    schema = read_schema(database.url)
    with database.snapshot() as snapshot:
        needs = [_followable(need, schema) for need in needs_of(snapshot, given)]
        helped = {need.mapping for need in needs if need.scan is None}
        captures = {each.name: snapshot.capture(each) for each in given if each.name in helped}
    whole = all(each.kind == LOG for each in captures.values())
    return SqliteLogSetup(database=database, schema=schema, needs=tuple(needs), whole=whole)


def _followable(need: Need, schema: Schema) -> Need:
    """Return the need, with the reason where triggers cannot tell of one of its tables."""
    for name in need.tables:
        table = schema.table(name.removeprefix('"').removesuffix('"').replace('""', '"'))
        if table is None or table.unfit:
            reason = f"{name} is not there" if table is None else table.unfit
            scan = FullScan(reason=reason, advice="Use another capture.")
            return replace(need, tables={}, told={}, scan=scan)
    return need


def _together(statements: list[str]) -> list[Step]:
    return [_step(each) for each in ("begin immediate", *statements, "commit")]


def _step(sql: str) -> Step:
    why = next(why for words, why in REASONS.items() if sql.lower().startswith(words))
    return Step(sql=f"{sql};", why=why)


def _opened(url: URL) -> sqlite3.Connection:
    path = path_of(url).resolve()
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT
    )


def _refusal(sql: str, error: sqlite3.Error, path: str) -> SourceRefused:
    first = sql.partition("\n")[0].removesuffix(";")
    hint = "Nothing was changed. Run it again."
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        what = f"{path} was locked by a writer for {BUSY_TIMEOUT:g} s"
        hint = "Nothing was changed. Run it again when no long transaction is under way."
    else:
        what = str(error)
    return SourceRefused(f"`{first}` failed: {what}.", hint=hint)
