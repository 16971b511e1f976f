"""What Postgres's output plugin pgoutput writes, in version 1 of its protocol with values as text.

Messages are read as the server's documentation lays them out (Logical Replication Message Formats).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias

from meisa_cdc.source.affected.asking import Change, Image

_SHORT, _INT, _LONG = Struct("!h"), Struct("!I"), Struct("!Q")
_COMMIT = Struct("!xBQQ")
_BEGIN = Struct("!xQQI")
#: Flag of a column that identifies the row.
_IDENTIFIES = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table as it was when what follows changed."""

    #: The table's oid.
    oid: int
    #: (name, oid of the type, modifier of the type), in order.
    columns: tuple[tuple[str, int, int], ...]
    #: Of them, those that identify a row.
    identifying: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A transaction's end; what came before it belongs to it."""

    #: The lower 32 bits of its number.
    transaction: int
    #: Place in the log behind it.
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A change of one row."""

    oid: int
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """Tables that were truncated."""

    oids: tuple[int, ...]


Message: TypeAlias = Relation | Row | Ended | Emptied
#: What a tuple is made of: NULL, a value that is as it was and not told, or a text.
_UNTOLD = object()
Told: TypeAlias = list[object]


def decoded(messages: Iterable[bytes]) -> Iterator[Message]:
    """Yield what messages say. Raises KeyError for what version 1 does not have."""
    relations: dict[int, Relation] = {}
    transaction = 0
    for data in messages:
        kind = data[:1]
        if kind == b"B":
            *_, transaction = _BEGIN.unpack_from(data)
        elif kind == b"C":
            *_, end = _COMMIT.unpack_from(data)
            yield Ended(transaction=transaction, end=end)
        elif kind == b"R":
            relation = _relation(data)
            relations[relation.oid] = relation
            yield relation
        elif kind == b"T":
            yield Emptied(oids=_oids(data))
        elif kind in _ROWS:
            (oid,) = _INT.unpack_from(data, 1)
            yield Row(oid=oid, change=_ROWS[kind](data, relations[oid]))
        elif kind not in _SILENT:
            raise KeyError(kind)


#: Where a change comes from, and types that are not built in.
_SILENT = (b"O", b"Y")


def _relation(data: bytes) -> Relation:
    (oid,) = _INT.unpack_from(data, 1)
    place = data.index(0, data.index(0, 5) + 1) + 1
    # After the names: how the table identifies its rows, which the flags of the columns tell too.
    (count,) = _SHORT.unpack_from(data, place + 1)
    place += 3
    columns, identifying = [], set()
    for _ in range(count):
        ends = data.index(0, place + 1)
        name = data[place + 1 : ends].decode()
        (kind,) = _INT.unpack_from(data, ends + 1)
        (modifier,) = _INT.unpack_from(data, ends + 5)
        columns.append((name, kind, modifier if modifier < _MINUS else -1))
        if data[place] & _IDENTIFIES:
            identifying.add(name)
        place = ends + 9
    return Relation(oid=oid, columns=tuple(columns), identifying=frozenset(identifying))


#: From here on, a modifier is one below zero: none.
_MINUS = 2**31


def _oids(data: bytes) -> tuple[int, ...]:
    (count,) = _INT.unpack_from(data, 1)
    return tuple(_INT.unpack_from(data, 6 + 4 * each)[0] for each in range(count))


def _tuple(data: bytes, place: int) -> tuple[Told, int]:
    """Return the values of a row, and the place behind them."""
    (count,) = _SHORT.unpack_from(data, place)
    place += 2
    values: Told = []
    for _ in range(count):
        kind = data[place]
        place += 1
        if kind == ord("t"):
            (length,) = _INT.unpack_from(data, place)
            place += 4
            values.append(data[place : place + length].decode())
            place += length
        else:
            values.append(None if kind == ord("n") else _UNTOLD)
    return values, place


def _image(relation: Relation, values: Told) -> dict[str, str | None]:
    named = zip(relation.columns, values, strict=True)
    return {name: value for (name, *_), value in named if value is None or isinstance(value, str)}


def _old(relation: Relation, data: bytes, place: int) -> tuple[dict[str, str | None], int]:
    """Return a row as it was; where only what identifies it is told, nothing else of it."""
    values, behind = _tuple(data, place + 1)
    image = _image(relation, values)
    if data[place] == ord("K"):
        image = {name: image[name] for name in image if name in relation.identifying}
    return image, behind


def _inserted(data: bytes, relation: Relation) -> Change:
    values, _ = _tuple(data, 6)
    return Change(old=None, new=_image(relation, values))


def _updated(data: bytes, relation: Relation) -> Change:
    place = 5
    old: Image | None = None
    if data[place] != ord("N"):
        old, place = _old(relation, data, place)
    values, _ = _tuple(data, place + 1)
    new = _image(relation, values)
    if old is None:
        # What identifies the row is as it was.
        old = {name: new[name] for name in relation.identifying if name in new}
    return Change(old=old, new={**_untold(relation, values, old), **new})


def _untold(relation: Relation, values: Told, old: Image) -> dict[str, str | None]:
    """Return large values that are as they were, as far as it is known how that was."""
    named = zip(relation.columns, values, strict=True)
    return {name: old[name] for (name, *_), value in named if value is _UNTOLD and name in old}


def _deleted(data: bytes, relation: Relation) -> Change:
    old, _ = _old(relation, data, 5)
    return Change(old=old, new=None)


_ROWS: dict[bytes, Callable[[bytes, Relation], Change]] = {
    b"I": _inserted,
    b"U": _updated,
    b"D": _deleted,
}
