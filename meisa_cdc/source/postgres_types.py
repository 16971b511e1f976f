"""How Postgres types come out: as plain values, or set aside field by field."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.rows import class_row
from psycopg.types.array import ArrayLoader
from psycopg.types.string import TextLoader

from meisa_cdc.core.values import Unreadable
from meisa_cdc.source.unreadable import (
    OUT_OF_RANGE,
    SHOWN,
    json_or_unreadable,
    text_or_unreadable,
)

INTEGER, NUMBER, TEXT, BOOLEAN = "integer", "number", "text", "boolean"
DATE, DATETIME, JSON, OTHER = "date", "datetime", "json", "other"
#: Families of the built-in types that have a plain value, by oid.
FAMILIES = {
    16: BOOLEAN,
    18: TEXT,  # "char"
    19: TEXT,  # name
    20: INTEGER,
    21: INTEGER,
    23: INTEGER,
    25: TEXT,
    26: INTEGER,  # oid
    114: JSON,
    650: TEXT,  # cidr
    700: NUMBER,
    701: NUMBER,
    705: TEXT,  # unknown
    774: TEXT,  # macaddr8
    829: TEXT,  # macaddr
    869: TEXT,  # inet
    1042: TEXT,
    1043: TEXT,
    1082: DATE,
    1083: TEXT,  # time
    1114: DATETIME,
    1184: DATETIME,
    1266: TEXT,  # timetz
    1700: NUMBER,
    2950: TEXT,  # uuid
    3802: JSON,
}
MOMENTS = ("date", "time", "timetz", "timestamp", "timestamptz")
PLAIN_TEXTS = ("inet", "cidr", "macaddr", "macaddr8")
TEXTS = ("text", "varchar", "name", '"char"', *PLAIN_TEXTS)
WHAT_IT_IS = """
select t.oid::bigint as oid, t.typname::text as name, t.typtype::text as kind,
       t.typcategory::text as category, t.typbasetype::bigint as base,
       case when t.typinput = 'pg_catalog.array_in'::regproc then t.typelem else 0 end::bigint
           as element
from pg_catalog.pg_type t
where t.oid = any($1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A row of pg_type."""

    oid: int
    name: str
    #: `b` base, `e` enum, `c` composite, `r` range, …
    kind: str
    #: `S` string, …
    category: str
    #: Type under a domain; 0 where it is none.
    base: int
    #: Type of an array's elements; 0 where it is none.
    element: int


class Utf8Dumper(Dumper):
    """Writes text as UTF-8, whatever the connection says of itself."""

    def dump(self, obj: str) -> bytes:
        """Return the bytes."""
        return obj.encode()


class JsonLoader(Loader):
    """Reads json and jsonb."""

    def load(self, data: Buffer) -> Any:
        """Return what the text holds."""
        return json_or_unreadable(bytes(data))


class CarefulTextLoader(Loader):
    """Reads text of a database that does not say what its bytes mean."""

    def load(self, data: Buffer) -> str | Unreadable:
        """Return the text, if it is UTF-8."""
        return text_or_unreadable(bytes(data))


class PaddedTextLoader(CarefulTextLoader):
    """Reads char(n), whose blanks at the end are padding to Postgres itself."""

    def load(self, data: Buffer) -> str | Unreadable:
        """Return the text without its padding."""
        return text_or_unreadable(bytes(data).rstrip(b" "))


def knows_no_encoding(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether the database holds bytes, not text."""
    return connection.info.parameter_status("server_encoding") == "SQL_ASCII"


def register(connection: psycopg.Connection[Any]) -> None:
    """Set up how the built-in types are read on this connection."""
    adapters = connection.adapters
    for name in MOMENTS:
        plain = adapters.get_loader(adapters.types[name].oid, Format.TEXT)
        if plain is not None:
            adapters.register_loader(name, _careful(plain))
    adapters.register_loader("json", JsonLoader)
    adapters.register_loader("jsonb", JsonLoader)
    for name in PLAIN_TEXTS:
        adapters.register_loader(name, TextLoader)
    if knows_no_encoding(connection):
        adapters.register_dumper(str, Utf8Dumper)
        for name in TEXTS:
            adapters.register_loader(name, CarefulTextLoader)
    adapters.register_loader("bpchar", PaddedTextLoader)


def _careful(plain: type[Any], reason: str = OUT_OF_RANGE) -> type[Loader]:
    class CarefulLoader(Loader):
        """Reads what Python can hold, and sets the rest aside."""

        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._load = plain(oid, context).load

        def load(self, data: Buffer) -> Any:
            try:
                return self._load(data)
            except (psycopg.DataError, ValueError, OverflowError):
                return Unreadable(_shown(data), reason)

    return CarefulLoader


def _refusing(name: str) -> type[Loader]:
    class RefusingLoader(Loader):
        """Sets aside a type that has no plain value."""

        def load(self, data: Buffer) -> Unreadable:
            return Unreadable(
                _shown(data), f"the type {name} has no plain value; cast it in the mapping"
            )

    return RefusingLoader


def _shown(data: Buffer) -> str:
    return bytes(data[:SHOWN]).decode(errors="backslashreplace")


class TypesOfResults:
    """The families of result columns, and loaders for types that are not built in."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._families = dict(FAMILIES)
        self._careful = knows_no_encoding(connection)

    def families(self, oids: Sequence[int]) -> list[str]:
        """Return the family of each type; all of them must have been learned."""
        return [self._families[oid] for oid in oids]

    def name_of(self, column: psycopg.Column) -> str:
        """Return a column's name, which the driver decoded without knowing how."""
        raw = column.name.encode("latin-1") if self._careful else b""
        return raw.decode(errors="backslashreplace") if self._careful else column.name

    def learn(self, oids: Iterable[int]) -> bool:
        """Set up how types are read that were not seen before; tell whether there were any."""
        unknown = sorted(set(oids) - set(self._families) - {0})
        if not unknown:
            return False
        found = {each.oid: each for each in self._described(unknown)}
        self.learn(each.element or each.base for each in found.values())
        for oid in unknown:
            self._families[oid] = self._settled(found[oid])
        return True

    def _described(self, oids: list[int]) -> list[Described]:
        with psycopg.RawCursor(self._connection, row_factory=class_row(Described)) as cursor:
            return cursor.execute(WHAT_IT_IS, [oids]).fetchall()

    def _settled(self, found: Described) -> str:
        adapters, oid = self._connection.adapters, found.oid
        if found.kind == "e" or found.category == "S":
            adapters.register_loader(oid, CarefulTextLoader if self._careful else TextLoader)
            return TEXT
        if found.base:
            loader = adapters.get_loader(found.base, Format.TEXT)
            adapters.register_loader(oid, loader or TextLoader)
            return self._families[found.base]
        if found.element:
            # An array of what cannot be read fails element by element.
            adapters.register_loader(oid, _careful(_array(found.element), "a malformed array"))
            return JSON if self._families[found.element] != OTHER else OTHER
        adapters.register_loader(oid, _refusing(found.name))
        return OTHER


def _array(element: int) -> type[ArrayLoader]:
    """Return a loader alone: to register the whole type would change how lists are sent."""
    return type("LearnedArrayLoader", (ArrayLoader,), {"base_oid": element})
