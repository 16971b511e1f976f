"""Mappings that nobody wrote: random SELECTs over the same tables, from a seed.

Each is deterministic: where rows are numbered, cut or picked, they are ordered by all that is
selected of them.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from tests.soundness.shapes import TABLES

KINDS = {"int": "n", "bigint": "n", "numeric(6, 2)": "n", "text": "t", "varchar(9)": "t"}
#: Numbers that stand for a table's rows or point to others.
KEYS = ("id", "team", "boss", "owner", "user_id", "plan", "author", "ref")


T = TypeVar("T")


class Column(NamedTuple):
    """Something that can be said in a place of the query."""

    sql: str
    #: `n` for numbers, `t` for texts.
    kind: str

    @property
    def is_key(self) -> bool:
        """Whether it is good for joining."""
        return self.kind == "n" and self.sql.rpartition(".")[2] in (*KEYS, "external_id")


class Grammar:
    """Writes mappings; `depth` bounds the queries inside queries."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._aliases = 0

    def mapping(self) -> str:
        """Return a mapping."""
        self._aliases = 0
        if self._is(0.1):
            word = self._of(("union", "union all", "except", "intersect"))
            sides = [self._select(1, [], wanted="n", others=("n",)) for _ in range(2)]
            return f" {word} ".join(f"({side})" for side in sides)
        if self._is(0.15):
            inner = self._select(1, [], wanted="n", others=("n", "t"))
            columns = [Column("w.external_id", "n"), Column("w.c1", "n"), Column("w.c2", "t")]
            outer = self._select(1, [], wanted="n", start=("w", columns))
            return f"with w as ({inner}) {outer}"
        return self._select(self._of((1, 1, 2)), [], wanted="n")

    def _is(self, probability: float) -> bool:
        return self._chance.random() < probability

    def _of(self, choices: Sequence[T]) -> T:
        return self._chance.choice(choices)

    def _alias(self) -> str:
        self._aliases += 1
        return f"a{self._aliases}"

    # ---- SELECT

    def _select(
        self,
        depth: int,
        outer: list[Column],
        *,
        wanted: str,
        others: Sequence[str] | None = None,
        start: tuple[str, list[Column]] | None = None,
    ) -> str:
        """Return a query that yields `external_id` of a kind, and columns c1, c2 and so on."""
        clause, columns = self._from(depth, outer, start)
        keys = [c for c in columns if c.is_key or wanted == "t"]
        keys = [c for c in keys if c.kind == wanted] or [
            Column("1" if wanted == "n" else "'a'", wanted)
        ]
        key = self._key(keys)
        kinds = others if others is not None else [self._of("nt") for _ in range(self._of((1, 2)))]
        conditions = [self._condition(columns, outer, depth) for _ in range(self._of((0, 0, 1, 2)))]
        if outer and self._is(0.9):
            conditions.append(self._equality(columns, outer))
        where = f" where {' and '.join(conditions)}" if conditions else ""
        style = self._of(("plain", "plain", "plain", "distinct", "group", "group", "on", "window"))
        if style == "group":
            return self._grouped(key, kinds, columns, f"{clause}{where}", depth)
        picked = [self._picked(kind, columns, outer, depth) for kind in kinds]
        named = "".join(f", {sql} as c{n}" for n, sql in enumerate(picked, 1))
        places = ", ".join(str(n) for n in range(1, len(picked) + 2))
        if style == "on":
            head = f"select distinct on ({key}) {key} as external_id{named}"
            return f"{head}{clause}{where} order by {places}"
        if style == "window" and picked:
            return self._numbered(key, picked, f"{clause}{where}", kinds)
        word = "distinct " if style == "distinct" else ""
        return f"select {word}{key} as external_id{named}{clause}{where}"

    def _key(self, keys: Sequence[Column]) -> str:
        key = self._of(keys).sql
        if self._is(0.1):
            return f"coalesce({key}, {self._of(keys).sql})"
        if self._is(0.05):
            return f"case when {key} = 1 then {key} else {self._of(keys).sql} end"
        return key

    def _grouped(
        self, key: str, kinds: Sequence[str], columns: list[Column], rest: str, depth: int
    ) -> str:
        by, picked = [key], []
        for kind in kinds:
            column = self._column(kind, columns)
            if self._is(0.3) and "." in column:
                by.append(column)
                picked.append(column)
            elif kind == "n":
                picked.append(self._of((f"max({column})", f"sum({column})", "count(*)")))
            else:
                picked.append(f"min({column})")
        having = f" having count(*) > {self._of((1, 2))}" if self._is(0.3) else ""
        if depth and self._is(0.2):
            inner = self._select(0, [Column(key, "n")], wanted="n", others=())
            having = f" having {self._of(('', 'not '))}exists ({inner})"
        if self._is(0.1):
            by.pop(0)
            key = f"max({key})"
        named = ", ".join(f"{sql} as c{n}" for n, sql in enumerate(picked, 1))
        comma = ", " if named else ""
        grouping = f" group by {', '.join(by)}" if by else ""
        return f"select {key} as external_id{comma}{named}{rest}{grouping}{having}"

    def _numbered(self, key: str, picked: Sequence[str], rest: str, kinds: Sequence[str]) -> str:
        columns = [f"x.c{n}" for n in range(1, len(picked) + 1)]
        inner = ", ".join(f"{sql} as c{n}" for n, sql in enumerate(picked, 1))
        over = "partition by x.external_id " if self._is(0.85) else ""
        order = f"order by {', '.join(('x.external_id', *columns))}"
        number = f"row_number() over ({over}{order})"
        body = f"(select {key} as external_id, {inner}{rest}) x"
        if self._is(0.5):
            shown = ", ".join(f"{c} as c{n}" for n, c in enumerate(columns, 1))
            numbered = f"(select x.*, {number} as n from {body}) x"
            return f"select x.external_id, {shown} from {numbered} where x.n = 1"
        shown = ", ".join(f"{c} as c{n}" for n, c in enumerate(columns[1:], 2))
        first = f"{number} as c1" if kinds[0] == "n" else f"({number})::text as c1"
        return f"select x.external_id, {', '.join(filter(None, (first, shown)))} from {body}"

    # ---- FROM

    def _from(
        self, depth: int, outer: list[Column], start: tuple[str, list[Column]] | None
    ) -> tuple[str, list[Column]]:
        if start is not None:
            clause, columns = f" from {start[0]}", list(start[1])
        else:
            relation, columns = self._relation(depth, [])
            clause = f" from {relation}"
        for _ in range(self._of((0, 1, 1, 2) if depth else (0, 0, 0, 1))):
            side = self._of(("join", "join", "left join", "left join"))
            seen = columns if depth and self._is(0.15) else None
            relation, new = self._relation(depth, seen or [], lateral=seen is not None)
            on = self._equality(new, columns) if self._is(0.98) else "true"
            if self._is(0.25):
                on += f" and {self._condition(new + columns, outer, depth)}"
            clause += f" {side} {relation} on {on}"
            columns = columns + new
        return clause, columns

    def _relation(
        self, depth: int, seen: list[Column], *, lateral: bool = False
    ) -> tuple[str, list[Column]]:
        alias = self._alias()
        if lateral or (depth and self._is(0.25)):
            inner = self._select(depth - 1, seen, wanted="n", others=("n", "t"))
            if lateral:
                cut = self._of(("", " limit 1", " limit 2"))
                inner = f"select * from ({inner}) y order by 1, 2, 3{cut}"
            columns = [Column(f"{alias}.external_id", "n")]
            columns += [Column(f"{alias}.c1", "n"), Column(f"{alias}.c2", "t")]
            return f"{'lateral ' if lateral else ''}({inner}) {alias}", columns
        table = self._of(list(TABLES))
        columns = [Column(f"{alias}.{name}", KINDS[kind]) for name, kind in TABLES[table].items()]
        return f"{table} {alias}", columns

    # ---- expressions

    def _column(self, kind: str, columns: Sequence[Column]) -> str:
        fitting = [c.sql for c in columns if c.kind == kind]
        return self._of(fitting or ["1" if kind == "n" else "'a'"])

    def _equality(self, ones: Sequence[Column], others: Sequence[Column]) -> str:
        sides = [[c for c in some if c.is_key] or list(some) for some in (ones, others)]
        left = self._of([c.sql for c in sides[0] if c.kind == "n"] or ["1"])
        right = self._of([c.sql for c in sides[1] if c.kind == "n"] or ["1"])
        return f"{left} = {right}"

    def _picked(self, kind: str, columns: list[Column], outer: list[Column], depth: int) -> str:
        column = self._column(kind, columns)
        act = self._chance.random()
        if depth and act < 0.15:
            inner = self._select(depth - 1, columns, wanted=kind, others=())
            aggregate = "count" if kind == "n" and self._is(0.5) else "max"
            return f"(select {aggregate}(y.external_id) from ({inner}) y)"
        if depth and act < 0.25:
            then = "1" if kind == "n" else "'a'"
            return f"case when {self._asking(columns, outer, depth)} then {then} else {column} end"
        if act < 0.35:
            return f"coalesce({column}, {self._column(kind, columns)})"
        return column

    def _condition(self, columns: list[Column], outer: list[Column], depth: int) -> str:
        act = self._chance.random()
        number, text = self._column("n", columns), self._column("t", columns)
        if depth and act < 0.4:
            return self._asking(columns, outer, depth)
        if act < 0.5:
            one = self._condition(columns, outer, depth - 1 if depth else 0)
            return f"({one} or {number} = {self._of((1, 2, 3))})"
        return self._of(
            (
                f"{number} {self._of(('=', '<', '>', '<>'))} {self._of((1, 2, 3))}",
                f"{text} = '{self._of('abc')}'",
                f"{text} is {self._of(('', 'not '))}null",
                f"coalesce({text}, 'a') {self._of(('=', '<>'))} 'a'",
                f"{number} is not distinct from {self._column('n', columns)}",
                f"not ({number} = {self._of((1, 2))})",
                f"{text} in ('a', 'b')",
            )
        )

    def _asking(self, columns: list[Column], outer: list[Column], depth: int) -> str:
        """Return a condition on another query, mostly a correlated one."""
        seen = columns if self._is(0.7) else []
        inner = self._select(depth - 1, seen, wanted="n", others=())
        asked = self._column("n", [c for c in columns if c.is_key] or columns)
        return self._of(
            (
                f"exists ({inner})",
                f"not exists ({inner})",
                f"{asked} in ({inner})",
                f"{asked} not in ({inner})",
                f"not ({asked} in ({inner}))",
                f"{asked} > (select min(y.external_id) from ({inner}) y)",
                f"{asked} = any ({inner})",
            )
        )
