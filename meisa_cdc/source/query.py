"""A rendered mapping: pieces of SQL text, bound values and key conditions."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from meisa_cdc.source.dialects import Dialect

#: Takes a value that goes to the database, returns the placeholder that stands for it.
Bind: TypeAlias = Callable[[object], str]
#: Sorts behind every line of a file.
LAST_LINE = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """SQL as its author wrote it."""

    sql: str
    #: Line of the file that it starts on.
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Values that go to the database beside the text."""

    values: tuple[object, ...]
    line: int
    #: Written as a list in parentheses.
    many: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """The place for a condition on the keys being looked at."""

    #: A column as it is written in SQL.
    column: str
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The place for a condition that a row changed lately."""

    #: The column with the time of the row's last change, as it is written in SQL.
    column: str
    line: int = 0


Piece: TypeAlias = Text | Bound | Only | Since


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """SQL as one text, with the way back to the lines of its file."""

    text: str
    #: Where in the text each piece starts, and the line of the file it comes from.
    starts: Sequence[tuple[int, int]] = ()

    def line_at(self, offset: int) -> int:
        """Return the line of the file that a place in the text comes from; 0 if unknown."""
        place = bisect_right(self.starts, (offset, LAST_LINE)) - 1
        start, line = self.starts[place] if place >= 0 else (offset, 0)
        return line + self.text.count("\n", start, offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One mapping's query, for a full read or for some keys."""

    pieces: tuple[Piece, ...]

    @property
    def restrictable(self) -> bool:
        """Whether the author said where the condition on the keys goes."""
        return any(isinstance(piece, Only) for piece in self.pieces)

    @property
    def dated(self) -> bool:
        """Whether the author said by which column one sees that a row changed."""
        return any(isinstance(piece, Since) for piece in self.pieces)

    def since(self, dialect: Dialect, wall: str) -> "Query":
        """Return the query of the rows alone that changed at or after a wall clock's time."""
        pieces: list[Piece] = []
        for piece in self.pieces:
            pieces += _dated(piece, dialect, wall) if isinstance(piece, Since) else [piece]
        return Query(pieces=tuple(pieces))

    def until(self, end: int, written: Written) -> "Query":
        """Return the query up to a place in its written text."""
        kept: list[Piece] = []
        for piece, (start, _) in zip(self.pieces, written.starts, strict=True):
            if start < end:
                kept.append(_cut(piece, end - start))
        return Query(pieces=tuple(kept))

    def write(self, dialect: Dialect, bind: Bind, keys: Sequence[str] | None = None) -> Written:
        """Return the text, its values handed to `bind`; with `keys`, where `only` stands."""
        parts: list[str] = []
        starts: list[tuple[int, int]] = []
        length = 0
        for piece in self.pieces:
            part = _written(piece, dialect, bind, keys)
            starts.append((length, piece.line))
            parts.append(part)
            length += len(part)
        return Written(text="".join(parts), starts=starts)


def _cut(piece: Piece, length: int) -> Piece:
    return replace(piece, sql=piece.sql[:length]) if isinstance(piece, Text) else piece


def _written(piece: Piece, dialect: Dialect, bind: Bind, keys: Sequence[str] | None) -> str:
    if isinstance(piece, Text):
        return piece.sql
    if isinstance(piece, Bound):
        return _list(piece, bind)
    if keys is None or isinstance(piece, Since):
        return dialect.true
    return dialect.condition(piece.column, [bind(each) for each in dialect.key_values(keys)])


def _dated(piece: Since, dialect: Dialect, wall: str) -> list[Piece]:
    before, after = dialect.since(piece.column)
    line = piece.line
    return [
        Text(sql=before, line=line),
        Bound(values=(wall,), line=line),
        Text(sql=after, line=line),
    ]


def _list(piece: Bound, bind: Bind) -> str:
    if not piece.many:
        return bind(piece.values[0])
    # An empty list matches nothing, and no engine accepts `in ()`.
    return f"({', '.join(bind(value) for value in piece.values) or 'null'})"


def numbered(values: list[object]) -> Bind:
    """Return a `bind` that writes `$1`, `$2` and collects the values.

    The blank behind each number keeps sqlglot from reading `$1,$` as the start of a string.
    """

    def bind(value: object) -> str:
        values.append(value)
        return f"${len(values)} "

    return bind


def marked(values: list[object]) -> Bind:
    """Return a `bind` that writes `?` and collects the values."""

    def bind(value: object) -> str:
        values.append(value)
        return "?"

    return bind
