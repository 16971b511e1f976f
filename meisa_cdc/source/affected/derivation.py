"""Which contacts does a changed row affect: derived from a mapping's own SQL."""

from collections.abc import Iterator, Sequence

from sqlglot import exp

from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.source.affected.answers import (
    Answer,
    Beyond,
    Catalogue,
    Derivation,
    FullScan,
    TableRead,
)
from meisa_cdc.source.affected.branches import Branch, Settled, settled
from meisa_cdc.source.affected.plain import unsteady
from meisa_cdc.source.affected.reading import Reading, read, tables_in
from meisa_cdc.source.affected.relaxing import Relaxation
from meisa_cdc.source.affected.scope import Scope
from meisa_cdc.source.affected.writing import key_columns, key_query

LOOSE = FullScan(
    reason="the database takes keys for equal that are different ones",
    advice="Take the key from a column that tells a from A.",
)


def derive(text: str, grammar: str, catalogue: Catalogue, *, key: str = KEY_COLUMN) -> Derivation:
    """Return how the keys are found that changed rows affect; `grammar` as sqlglot calls it."""
    try:
        reading = read(text, grammar, catalogue)
    except Beyond as error:
        known = _given_up(text, grammar, catalogue, error.answer)
        return Derivation(tables=tuple(known), scan=error.answer)
    tables = (
        TableRead(
            table=shape.name,
            columns=reading.columns[number],
            answer=_answer(reading, grammar, catalogue, number, key),
        )
        for number, shape in reading.tables.items()
    )
    return Derivation(tables=tuple(tables), unsteady=tuple(dict.fromkeys(unsteady(reading.tree))))


def _answer(reading: Reading, grammar: str, catalogue: Catalogue, table: str, key: str) -> Answer:
    try:
        branches = Relaxation(reading, catalogue, table, grammar).changed(reading.tree, Scope())
        found = [each for branch in branches for each in _settled(branch, key)]
        if any(_is_loose(each, reading) for each in found):
            return LOOSE
    except Beyond as error:
        return error.answer
    # Images that the database keeps itself are asked, not looked at.
    kept = any(shape.kept for shape in reading.tables.values())
    columns = None if kept and found else key_columns(found, reading.tables)
    return columns or key_query(found, reading.tables, grammar)


def _settled(branch: Branch, key: str) -> Iterator[Settled]:
    known = dict(branch.columns).get(key)
    if known is None:
        reason = f"no column is called {key}"
        raise Beyond(FullScan(reason=reason, advice=f"Call one {key}."))
    if isinstance(known, FullScan):
        raise Beyond(known)
    return settled(branch, known)


def _is_loose(found: Settled, reading: Reading) -> bool:
    tables = {each.name: reading.tables[each.table] for each in (found.changed, *found.others)}
    return any(
        column.name in tables[column.table].loose for column in found.key.find_all(exp.Column)
    )


def _given_up(
    text: str, grammar: str, catalogue: Catalogue, answer: FullScan
) -> Sequence[TableRead]:
    names = tables_in(text, grammar)
    shapes = {name: catalogue.tables.get(name) for name in names}
    return [
        TableRead(
            table=name if shape is None else shape.name,
            columns=() if shape is None else tuple(shape.columns),
            answer=answer,
        )
        for name, shape in shapes.items()
    ]
