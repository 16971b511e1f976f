"""Runs mappings before and after changes: who differs has to be among the keys derived."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from meisa_cdc.source.affected.answers import Catalogue, Derivation, FullScan, Shape
from meisa_cdc.source.affected.asking import Changes, asked, usable_key
from meisa_cdc.source.affected.derivation import derive
from tests.soundness.changing import Data, created
from tests.soundness.grammar import Grammar
from tests.soundness.shapes import TABLES

CATALOGUE = Catalogue(
    tables={
        name: Shape(name=name, columns=columns, spelled=[c for c in columns if c == "price"])
        for name, columns in TABLES.items()
    },
    rowwise=("row_to_json",),
)
#: Changes come in so many batches before the tables are filled anew.
BATCHES = 12


class Missed(AssertionError):
    """A contact changed, and was not among those derived."""


@dataclass(slots=True)
class Tally:
    """What was looked at."""

    #: A mapping and a batch of changes that did not need a full scan.
    checks: int = 0
    #: The same, where some contact did change.
    telling: int = 0
    #: Pairs that needed a full scan.
    scans: int = 0
    #: Contacts that changed, and contacts derived.
    affected: int = 0
    derived: int = 0
    #: Mapping -> batches of changes that really reached it.
    reached: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count what another one counted."""
        for name in ("checks", "telling", "scans", "affected", "derived"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return (
            f"{self.checks:,} checks ({self.telling:,} with a difference), none missed; "
            f"{self.affected:,} keys differed, {self.derived:,} were derived; "
            f"{self.scans:,} times a full scan was asked for"
        )


@dataclass(slots=True)
class Soundness:
    """Checks mappings on one connection, whose database it fills as it likes."""

    connection: psycopg.Connection[Any]
    mappings: Sequence[str]
    seed: int
    tally: Tally = field(default_factory=Tally)

    def run(self, checks: int) -> Tally:
        """Check until there were so many checks. Raises Missed."""
        derived = {text: derive(text, "postgres", CATALOGUE) for text in self.mappings}
        chance = random.Random(self.seed)
        # The queries are short, and to compile them would take longer than to run them.
        self._execute(("set jit = off", *created()))
        while self.tally.checks < checks:
            data = Data(chance)
            self._execute((f"truncate {', '.join(TABLES)}", *data.first_rows()))
            before = {text: self._rows(text) for text in derived}
            for _ in range(BATCHES):
                data.changes = {}
                statements = list(data.batch())
                self._execute(statements)
                for text, derivation in derived.items():
                    if not {each.table for each in derivation.tables} & set(data.changes):
                        continue
                    after = self._rows(text)
                    self._check(text, derivation, data.changes, (before[text], after), statements)
                    before[text] = after
        return self.tally

    def _execute(self, statements: Iterator[str] | Sequence[str]) -> None:
        self.connection.execute(";\n".join(statements).encode())

    def _rows(self, text: str) -> dict[str, list[str]]:
        """Return the rows of each key, as texts."""
        found = defaultdict(list)
        query = f"select meisa_x.external_id, meisa_x::text from ({text}) meisa_x"
        for raw, row in self.connection.execute(query.encode(), prepare=True):
            key = usable_key(raw)
            if key is not None:
                found[key].append(row)
        return {key: sorted(rows) for key, rows in found.items()}

    def _check(
        self,
        text: str,
        derivation: Derivation,
        changes: Changes,
        states: tuple[dict[str, list[str]], dict[str, list[str]]],
        statements: Sequence[str],
    ) -> None:
        before, after = states
        differing = {key for key in before | after if before.get(key) != after.get(key)}
        answer = asked(derivation, changes)
        if isinstance(answer, FullScan):
            self.tally.scans += 1
            return
        keys = set(answer.keys)
        with psycopg.RawCursor(self.connection) as cursor:
            for statement in answer.statements:
                cursor.execute(statement.text.encode(), statement.values, prepare=True)
                keys.update(key for (raw,) in cursor if (key := usable_key(raw)) is not None)
        self.tally.checks += 1
        self.tally.telling += bool(differing)
        self.tally.affected += len(differing)
        self.tally.derived += len(keys)
        self.tally.reached[text] += bool(differing)
        if not differing <= keys:
            raise Missed(
                "\n".join(
                    (
                        f"{text}\nmissed {sorted(differing - keys)} of {sorted(differing)}, after",
                        *statements,
                        *(each.text for each in answer.statements),
                        *(f"{each.table}: {each.answer}" for each in derivation.tables),
                    )
                )
            )


def usable(connection: psycopg.Connection[Any], grammar: Grammar, number: int) -> list[str]:
    """Return so many mappings that Postgres accepts."""
    connection.execute(";".join(created()).encode())
    found: list[str] = []
    while len(found) < number:
        text = grammar.mapping()
        with suppress(psycopg.ProgrammingError, psycopg.DataError):
            connection.execute(f"explain {text}".encode())
            found.append(text)
    return found
