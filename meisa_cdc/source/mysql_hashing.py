"""MySQL and MariaDB: rows by the bucket of their key, and what their hashes add up to."""

from collections.abc import Sequence
from typing import Any, Protocol

from meisa_cdc.core.checksums import Within
from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.source.dialects import MYSQL
from meisa_cdc.source.query import Bind
from meisa_cdc.source.statements import ALIAS, Approved, Dress

#: Grows with every change of what the hashes are made of.
EDITION = 1
PLACE_BITS = 31
ADDED_UP = """select bucket, count(*), if(count(hash) = count(*), sum(hash), null)
from (select {} as bucket, {} as hash"""

#: Name and type, as the protocol tells it, of each column that a query yields.
Shape = Sequence[tuple[str, str]]


class Shaped(Protocol):
    """The part of a session that is needed here."""

    def shape(self, approved: Approved) -> Shape:
        """Return what a query yields."""

    def answer(self, approved: Approved, dress: Dress) -> Sequence[tuple[Any, ...]]:
        """Return the whole answer to a query on top of the mapping's, at once."""


class MysqlHashing:
    """Writes the queries on top of a mapping's."""

    def __init__(self, session: Shaped, version: str) -> None:
        self._shape = session.shape
        self._version = version
        self.answer = session.answer

    def scheme(self, approved: Approved) -> str | None:
        """Return what the hashes depend on beside the rows."""
        shape = ",".join(f"{name} {kind}" for name, kind in self._shape(approved))
        return f"mysql {EDITION} {self._version} {shape}"

    def placed(self, approved: Approved, within: Within | None) -> Dress:
        """Return what makes the query of rows followed by their places."""
        del approved

        def dress(inner: str, _: Bind) -> str:
            head = f"select {ALIAS}.*, {_masked(PLACE_BITS)}"
            return _on_top(head, inner, f") {ALIAS} {_where(within)}")

        return dress

    def grouped(
        self, approved: Approved, bits: int, within: Within | None, *, listed: bool = False
    ) -> Dress:
        """Return what makes the query of (bucket, rows, sum of their hashes)."""
        # Without arrays, keys could only be listed as one text.
        del listed
        parts = ", ".join(_part(name) for name, _ in self._shape(approved))
        row = f"cast(conv(left(md5(concat({parts})), 16), 16, 10) as unsigned)"

        def dress(inner: str, _: Bind) -> str:
            # A row too large for one text has no hash: nobody can tell what its bucket comes to.
            return _on_top(
                ADDED_UP.format(_masked(bits), row),
                inner,
                f") {ALIAS} {_where(within)}) hashed group by bucket",
            )

        return dress


def _where(within: Within | None) -> str:
    if within is None:
        return ""
    numbers = ", ".join(map(str, sorted(within.buckets)))
    return f"where {_masked(within.bits)} in ({numbers})"


def _part(name: str) -> str:
    """Return a column's bytes with their length before them, so that no two rows look the same."""
    text = f"cast({_column(name)} as binary)"
    return f"ifnull(concat(length({text}), ':', {text}), '-')"


def _column(name: str) -> str:
    return f"{ALIAS}.{MYSQL.quoted(name)}"


def _masked(bits: int) -> str:
    return f"(ifnull(crc32(cast({_column(KEY_COLUMN)} as binary)), 0) & {(1 << bits) - 1})"


def _on_top(head: str, inner: str, tail: str) -> str:
    # A comment at the end of the inner query ends with its line.
    return "\n".join((f"{head} from (", inner, tail))
