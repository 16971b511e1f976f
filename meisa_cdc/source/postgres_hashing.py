"""Postgres: rows by the bucket of their key, and what their hashes add up to.

Hashes are those of Postgres's own hash indexes, in 64 bits. A type is hashed natively only where
values that are equal to it are equal to us; all others by their text.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from meisa_cdc.core.checksums import Within
from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.query import Bind
from meisa_cdc.source.statements import ALIAS, Approved, Dress

#: Grows with every change of what the hashes are made of.
EDITION = 1
#: Oldest server that has the functions.
OLDEST = 11_00_00
#: Hash of a value with a seed, by the oid of its type.
BY_TYPE = {
    20: "hashint8extended({0}, {1})",
    21: "hashint8extended({0}, {1})",
    23: "hashint8extended({0}, {1})",
    1114: "timestamp_hash_extended({0}, {1})",
    # In the session's UTC no two instants share a timestamp.
    1184: "timestamp_hash_extended({0}::timestamp, {1})",
    1700: "hash_numeric_extended({0}, {1})",
    2950: "uuid_hash_extended({0}, {1})",
}
# Byte by byte: other collations may take two different texts for equal.
AS_TEXT = 'hashtextextended({0}::text collate "C", {1})'
#: Stands for the hash of NULL in a column; any odd number will do.
NULL = 7_919
PLACE_BITS = 31
ADDED_UP = "select bucket, count(*), sum(hash)::text{} from (select {} as bucket, {} as hash{}"
AND_NOTHING = "union all select null::int, null::bigint{} where false"
#: What lists the keys: what is selected on top, what is handed up, and what of nothing.
KEYS = (", array_agg(key)", f', {ALIAS}."{KEY_COLUMN}" as key', ", null")
NO_KEYS = ("", "", "")

#: Name and oid of the type of each column that a query yields.
Shape = Sequence[tuple[str, int]]


class Shaped(Protocol):
    """The part of a session that is needed here."""

    def shape(self, approved: Approved) -> Shape:
        """Return what a query yields."""

    def answer(self, approved: Approved, dress: Dress) -> Sequence[tuple[Any, ...]]:
        """Return the whole answer to a query on top of the mapping's, at once."""


class PostgresHashing:
    """Writes the queries on top of a mapping's."""

    def __init__(self, session: Shaped, version: int) -> None:
        self._shape = session.shape
        self._version = version
        self.answer = session.answer

    def scheme(self, approved: Approved) -> str | None:
        """Return what the hashes depend on beside the rows; None: this server has none."""
        if self._version < OLDEST:
            return None
        shape = ",".join(f"{name} {oid}" for name, oid in self._shape(approved))
        # Hash functions may change with a major version.
        return f"postgresql {EDITION} {self._version // 10_000} {shape}"

    def placed(self, approved: Approved, within: Within | None) -> Dress:
        """Return what makes the query of rows followed by their places."""
        key = self._key(approved)

        def dress(inner: str, bind: Bind) -> str:
            place = f"({_masked(key, PLACE_BITS)})::int"
            where = _where(key, within, bind)
            return _on_top(f"select {ALIAS}.*, {place}", inner, f") {ALIAS} {where}")

        return dress

    def grouped(
        self, approved: Approved, bits: int, within: Within | None, *, listed: bool = False
    ) -> Dress:
        """Return what makes the query of (bucket, rows, sum of their hashes).

        `listed`: with the array of the rows' keys as one more column.
        """
        listing, handed_up, nothing = KEYS if listed else NO_KEYS
        key = self._key(approved)
        bucket = f"({_masked(key, bits)})::int"
        row = " # ".join(
            f"coalesce({_hash(name, oid, seed)}, {NULL * seed})"
            for seed, (name, oid) in enumerate(self._shape(approved), start=1)
        )

        def dress(inner: str, bind: Bind) -> str:
            # Of a union the planner does not expect as many buckets as there are keys, for which
            # it would sort, and by itself at that.
            return _on_top(
                ADDED_UP.format(listing, bucket, row, handed_up),
                inner,
                f") {ALIAS} {_where(key, within, bind)} {AND_NOTHING.format(nothing)}) hashed "
                "group by bucket",
            )

        return dress

    def _key(self, approved: Approved) -> str:
        oids = dict(self._shape(approved))
        return f"coalesce({_hash(KEY_COLUMN, oids.get(KEY_COLUMN, 0), 0)}, 0)"


def _hash(name: str, oid: int, seed: int) -> str:
    column = f"{ALIAS}.{POSTGRESQL.quoted(name)}"
    return f"pg_catalog.{BY_TYPE.get(oid, AS_TEXT).format(column, seed)}"


def _where(key: str, within: Within | None, bind: Bind) -> str:
    if within is None:
        return ""
    # One bit a bucket: as quick for many as for one, and nothing to estimate.
    bitmap = bind(_bitmap(within))
    bucket = f"({_masked(key, within.bits)})::int"
    return f"where pg_catalog.get_bit({bitmap}::bytea, {bucket}) = 1"


def _masked(hashed: str, bits: int) -> str:
    return f"{hashed} & {(1 << bits) - 1}"


def _on_top(head: str, inner: str, tail: str) -> str:
    # A comment at the end of the inner query ends with its line.
    return "\n".join((f"{head} from (", inner, tail))


def _bitmap(within: Within) -> bytes:
    bitmap = bytearray(max(1, (1 << within.bits) // 8))
    for bucket in within.buckets:
        bitmap[bucket // 8] |= 1 << bucket % 8
    return bytes(bitmap)
