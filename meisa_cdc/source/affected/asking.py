"""What to ask the database about changed rows, and what they tell by themselves."""

from collections.abc import Collection, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.values import canonical_key
from meisa_cdc.source.affected.answers import (
    CHANGED,
    Beyond,
    Bound,
    Derivation,
    FullScan,
    ImageRows,
    Images,
    KeyColumns,
    KeyQuery,
    Since,
    TableRead,
)
from meisa_cdc.source.statements import Statement

UNASKED = FullScan(reason="its keys would have to be read from images that nobody has", advice="")
#: Changed rows affect nobody, since no contact can come of them.
NOBODY = KeyColumns(columns=())
#: A row, as texts in the database's own spelling; what is missing is not known.
Image: TypeAlias = Dict[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row that changed: None before an insert and after a delete."""

    old: Image | None
    new: Image | None


#: Full name of a table -> its changes, also those that a row went through in between.
Changes: TypeAlias = Dict[str, Sequence[Change]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Changes of which the database itself keeps the images, so that nobody else needs them."""

    #: The place in its log behind which they are.
    place: int
    #: Full names of the tables that have any.
    tables: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What yields the keys that changes affect."""

    #: Keys that stand in the images.
    keys: frozenset[str]
    #: Queries for the others.
    statements: tuple[Statement, ...]


def asked(
    derivation: Derivation, changes: Changes | Behind, bound: Dict[str, object] | None = None
) -> Asked | FullScan:
    """Return how to find the affected keys, or why only a full scan does.

    `bound`: the mapping's own values, by the names of their placeholders.
    """
    if derivation.scan is not None:
        return derivation.scan
    if isinstance(changes, Behind):
        return _behind(derivation, changes, bound or {})
    relevant = {
        each.table: _relevant(each, changes.get(each.table, ())) for each in derivation.tables
    }
    keys: set[str] = set()
    statements: list[Statement] = []
    try:
        for table in derivation.tables:
            if not relevant[table.table]:
                continue
            if isinstance(table.answer, FullScan):
                return table.answer
            if isinstance(table.answer, KeyColumns):
                keys.update(_keys(table, table.answer, relevant[table.table]))
            else:
                statements.append(_statement(table.answer, relevant, bound or {}))
    except Beyond as error:
        return error.answer
    return Asked(keys=frozenset(keys), statements=tuple(statements))


def _behind(derivation: Derivation, changes: Behind, bound: Dict[str, object]) -> Asked | FullScan:
    statements: list[Statement] = []
    for table in derivation.tables:
        if table.table not in changes.tables or table.answer == NOBODY:
            continue
        if not isinstance(table.answer, KeyQuery):
            return table.answer if isinstance(table.answer, FullScan) else UNASKED
        values = [
            bound[each.name] if isinstance(each, Bound) else changes.place
            for each in table.answer.parameters
        ]
        statements.append(Statement(text=table.answer.text, values=values))
    return Asked(keys=frozenset(), statements=tuple(statements))


def _relevant(table: TableRead, changes: Sequence[Change]) -> list[Change]:
    """Return the changes that touch what the mapping reads."""
    return [
        each
        for each in changes
        if each.old is None
        or each.new is None
        or any(
            name not in each.old or name not in each.new or each.old[name] != each.new[name]
            for name in table.columns
        )
    ]


def _images(changes: Sequence[Change], which: str) -> Iterator[Image]:
    for each in changes:
        if each.old is not None:
            yield each.old
        if each.new is not None and which == CHANGED:
            yield each.new


def _value(table: str, image: Image, column: str) -> str | None:
    if column not in image:
        reason = f"a change of {table} came without its {column}"
        advice = "Set REPLICA IDENTITY FULL on the table."
        raise Beyond(FullScan(reason=reason, advice=advice))
    return image[column]


def _keys(table: TableRead, answer: KeyColumns, changes: Sequence[Change]) -> Iterator[str]:
    for image in _images(changes, CHANGED):
        for column in answer.columns:
            key = usable_key(_value(table.table, image, column))
            if key is not None:
                yield key


def usable_key(raw: object) -> str | None:
    """Return the key of a contact; None for what can be nobody's."""
    try:
        return canonical_key(raw)
    except InvalidValue:
        return None


def _statement(
    query: KeyQuery, changes: Dict[str, list[Change]], bound: Dict[str, object]
) -> Statement:
    values: list[object] = []
    for parameter in query.parameters:
        if isinstance(parameter, Images):
            table, column = parameter.table, parameter.column
            images = _images(changes[table], parameter.which)
            values.append([_value(table, image, column) for image in images])
        elif isinstance(parameter, ImageRows):
            values.append(_rows(parameter, _images(changes[parameter.table], parameter.which)))
        elif isinstance(parameter, Since):
            raise Beyond(UNASKED)
        else:
            values.append(bound[parameter.name])
    return Statement(text=query.text, values=values)


def _rows(parameter: ImageRows, images: Iterator[Image]) -> list[tuple[str | None, ...]]:
    """Return the columns of images, none of them twice."""
    table = parameter.table
    rows = (tuple(_value(table, each, name) for name in parameter.columns) for each in images)
    return list(dict.fromkeys(rows))
