"""What mappings need a log of changed rows to tell of."""

from collections.abc import Iterable, Iterator, Mapping as Dict
from dataclasses import dataclass, field
from typing import Protocol

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.errors import MappingError, MappingFailed
from meisa_cdc.core.mapping import ONCE, Mapping
from meisa_cdc.source.affected.answers import Derivation, FullScan
from meisa_cdc.source.captures import may_follow
from meisa_cdc.source.changelog import needed, wanted
from meisa_cdc.source.following import unsuited

SWITCHED_OFF = FullScan(reason="it is switched off", advice="")
DONE_ONCE = FullScan(reason="each of its rows is done once", advice="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one mapping needs of a log."""

    mapping: str
    #: Its config asks for the log; otherwise the log is taken where it suits.
    asked: bool = False
    #: Columns that have to be told as they were, by full name of each table it reads.
    tables: Dict[str, frozenset[str]] = field(default_factory=dict)
    #: All columns that have to be told of, by full name of each table.
    told: Dict[str, frozenset[str]] = field(default_factory=dict)
    #: Why no log helps it.
    scan: FullScan | None = None


def excused(mapping: Mapping) -> FullScan | None:
    """Return why a mapping needs no log, as far as its file tells."""
    if not mapping.enabled:
        return SWITCHED_OFF
    if mapping.kind in ONCE:
        return DONE_ONCE
    if not may_follow(mapping):
        return FullScan(reason=f"its config says {mapping.capture}", advice="")
    return None


def need_of(mapping: Mapping, derivation: Derivation) -> Need:
    """Return what a mapping needs."""
    asked = mapping.capture == LOG
    scan = derivation.scan or (None if asked else unsuited(derivation))
    if scan is not None:
        return Need(mapping=mapping.name, asked=asked, scan=scan)
    tables = {table: frozenset(columns) for table, columns in needed(derivation).items()}
    told = {table: frozenset(columns) for table, columns in wanted(derivation).items()}
    return Need(mapping=mapping.name, asked=asked, tables=tables, told=told)


class Deriving(Protocol):
    """A snapshot that tells whom changed rows affect."""

    def columns(self, mapping: Mapping) -> object:
        """Have the database look at the query. Raises MappingFailed, MappingError."""

    def derivation(self, mapping: Mapping) -> Derivation:
        """Return how they are found. Raises MappingFailed, MappingError."""


def needs_of(snapshot: Deriving, mappings: Iterable[Mapping]) -> Iterator[Need]:
    """Yield what each mapping needs, also where that is nothing."""
    for mapping in mappings:
        scan = excused(mapping)
        if scan is not None:
            yield Need(mapping=mapping.name, scan=scan)
            continue
        try:
            # Of a query that it refuses, the database says better what is wrong.
            snapshot.columns(mapping)
            yield need_of(mapping, snapshot.derivation(mapping))
        except (MappingError, MappingFailed) as error:
            scan = FullScan(reason=error.message, advice=error.hint)
            yield Need(mapping=mapping.name, asked=mapping.capture == LOG, scan=scan)


def together(needs: Iterable[Need]) -> dict[str, frozenset[str]]:
    """Return what all of them need told as it was, by table."""
    return _united(need.tables for need in needs)


def told_of(needs: Iterable[Need]) -> dict[str, frozenset[str]]:
    """Return all that they need told, by table."""
    return _united(need.told for need in needs)


def _united(each_needs: Iterable[Dict[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for tables in each_needs:
        for table, columns in tables.items():
            found[table] = found.get(table, frozenset()) | columns
    return found
