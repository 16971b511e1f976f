"""From a query to relaxed ones: which rows can there be, and which can a change of a table affect.

Two questions to every query, each answered by branches.

`possible`: rows of which at least one exists for each row that the query has, before or after the
change. `changed`: the same for each row that it has before or after alone. A column is known where
these rows tell it as it is; a condition is kept where all its columns are known. Nothing is ever
taken away for good: whatever is left out of a query makes for more rows, never fewer.
"""

from collections.abc import Callable, Collection, Iterator, Mapping as Dict, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeAlias

from sqlglot import exp
from sqlglot.expressions import Expr

from meisa_cdc.source.affected.answers import Beyond, Catalogue, FullScan
from meisa_cdc.source.affected.branches import Branch, Condition, Group, Known, Source
from meisa_cdc.source.affected.knowing import (
    AGGREGATED,
    BLIND,
    CALCULATED,
    CUT,
    WINDOWED,
    Limit,
    limited,
    limits_of,
)
from meisa_cdc.source.affected.plain import SPELLING, aggregates, conjuncts, is_plain
from meisa_cdc.source.affected.reading import Reading, conditions_on_queries
from meisa_cdc.source.affected.scope import Item, Scope, with_named

#: Branches that a key query may have; each is planned by itself.
MOST_BRANCHES = 64
TOO_MANY = FullScan(reason="it has too many alternatives", advice="Split it into several mappings.")
#: A join of items that has come this far.
Partial: TypeAlias = tuple[Scope, Branch]
Question: TypeAlias = Callable[[Expr, Scope, Group], list[Branch]]


class Relaxation:
    """Asks about one table; each occurrence in the query is looked at by itself."""

    def __init__(self, reading: Reading, catalogue: Catalogue, table: str, grammar: str) -> None:
        self._grammar = grammar
        self._tables = reading.tables
        self._plain = catalogue.plain
        self._rowwise = catalogue.rowwise
        self._table = table
        self._numbers = count(1)
        #: Source -> columns of which equal values may have several texts.
        self._spelled: dict[str, Collection[str]] = {}
        #: Source -> columns that conditions say nothing about.
        self._opaque: dict[str, Collection[str]] = {}
        #: Source -> types of its columns.
        self._types: dict[str, Dict[str, str]] = {}

    # ---- the two questions

    def possible(self, node: Expr, scope: Scope, group: Group) -> list[Branch]:
        """Return what has every row of a relation or query, before the change or after it."""
        return self._asked(node, scope, group, seek=False)

    def changed(self, node: Expr, scope: Scope, group: Group = ()) -> list[Branch]:
        """Return what has every row that the change brings or takes; empty: it reads none of it."""
        return self._asked(node, scope, group, seek=True)

    def _asked(self, node: Expr, scope: Scope, group: Group, *, seek: bool) -> list[Branch]:
        if isinstance(node, exp.Query):
            scope = with_named(node, scope)
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            branches = self._relation(node, scope, group, seek=seek)
        elif isinstance(node, exp.Select):
            branches = self._select(node, scope, group, seek=seek)
        elif isinstance(node, exp.SetOperation):
            branches = self._set_operation(node, scope, group, seek=seek)
        elif isinstance(node, exp.Subquery | exp.Lateral) and isinstance(node.this, exp.Query):
            branches = self._asked(node.this, scope, group, seek=seek)
        else:
            branches = self._calculated(node, scope, group, seek=seek)
        if len(branches) > MOST_BRANCHES:
            raise Beyond(TOO_MANY)
        if seek and isinstance(node, exp.Query) and _is_cut(node):
            return [_all_lost(branch, CUT) for branch in branches]
        return branches

    def _relation(self, node: exp.Table, scope: Scope, group: Group, *, seek: bool) -> list[Branch]:
        part = None if node.name in self._tables else scope.query(node.name)
        if part is not None:
            query, place = part
            return self._asked(query, place, group, seek=seek)
        if seek and node.name != self._table:
            return []
        name = f"s{next(self._numbers)}"
        shape = self._tables[node.name]
        columns, self._spelled[name] = shape.columns, shape.spelled
        self._opaque[name], self._types[name] = shape.opaque, columns
        source = Source(name=name, table=node.name, types=columns, changed=seek, group=group)
        known = tuple(
            (each, BLIND if each in shape.blind else exp.column(each, table=name, quoted=True))
            for each in columns
        )
        return [Branch(sources=(source,), columns=known)]

    def _calculated(self, node: Expr, scope: Scope, group: Group, *, seek: bool) -> list[Branch]:
        """Answer for VALUES and functions: one row at least, of which nothing is known."""
        if not seek:
            return [Branch()]
        here: Partial = (scope, Branch())
        return [branch for _, branch in self._through(node, here, group, positive=False)]

    def _set_operation(
        self, node: exp.SetOperation, scope: Scope, group: Group, *, seek: bool
    ) -> list[Branch]:
        named = node.named_selects
        sides = [node.left, node.right]
        if not seek and not isinstance(node, exp.Union):
            # Of EXCEPT and INTERSECT, every row is one of the left side.
            sides = [node.left]
        asked = (branch for side in sides for branch in self._asked(side, scope, group, seek=seek))
        found = [_renamed(branch, named) for branch in asked]
        return self._agreed(node, found, scope) if _is_loose(self._grammar, node) else found

    def _agreed(
        self, node: exp.SetOperation, found: Sequence[Branch], scope: Scope
    ) -> list[Branch]:
        """Return branches of which columns are known that have one type on all sides."""
        sides = [b for side in (node.left, node.right) for b in self.possible(side, scope, ())]
        # VALUES have no columns that are known.
        named = [_renamed(b, node.named_selects).columns for b in sides]
        kinds = [{self._kind(known) for _, known in each} for each in zip(*named, strict=True)]
        return [
            replace(
                branch,
                columns=tuple(
                    (name, known if len(each) == 1 and "" not in each else CALCULATED)
                    for (name, known), each in zip(branch.columns, kinds, strict=True)
                ),
            )
            for branch in found
        ]

    def _kind(self, known: Known) -> str:
        """Return what tells how SQLite compares something; "": what is no plain column."""
        return self._types[known.table][known.name] if isinstance(known, exp.Column) else ""

    # ---- one SELECT

    def _select(self, node: exp.Select, scope: Scope, group: Group, *, seek: bool) -> list[Branch]:
        if not seek and self._is_one_row(node):
            # It is there without any row to aggregate, too.
            lost = tuple((each.alias_or_name, AGGREGATED) for each in node.expressions)
            return [Branch(columns=lost)]
        items = list(self._items(node, group))
        empty: Partial = (Scope(outer=scope), Branch())
        joined = self._joined(items, empty)
        found = list(self._affected(node, items, empty, joined, group)) if seek else joined
        limits = limits_of(node, seek=seek)
        if seek and self._grammar != "postgres" and self._is_one_row(node):
            # Columns may stand beside an aggregate of all rows there: those of any row.
            limits.append(((), AGGREGATED))
        return [self._finished(node, items, partial, group, limits) for partial in found]

    def _is_one_row(self, node: exp.Select) -> bool:
        """Tell whether a SELECT may aggregate all rows into one."""
        if node.args.get("group") is not None:
            return False
        return node.args.get("having") is not None or any(
            aggregates(each, self._rowwise) for each in node.expressions
        )

    def _items(self, node: Expr, group: Group) -> Iterator[Item]:
        clause = node.args.get("from_")
        if clause is not None:
            yield from self._item(clause.this, group, ())
        for join in node.args.get("joins") or ():
            inner = (*group, next(self._numbers)) if join.side == "LEFT" else group
            yield from self._item(join.this, inner, tuple(conjuncts(join.args.get("on"))))

    def _item(self, node: Expr, group: Group, on: tuple[Expr, ...]) -> Iterator[Item]:
        if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query):
            # Joins in parentheses.
            yield from self._item(node.this, group, on)
            return
        yield Item(node=node, group=group, on=on)
        yield from self._items(node, group)

    def _joined(
        self, items: Sequence[Item], start: Partial, changed: Item | None = None
    ) -> list[Partial]:
        """Return the joins of all items; `changed` is the one whose changed rows they have."""
        partials = [start]
        for item in items:
            ask: Question = self.changed if item is changed else self.possible
            partials = [
                (scope.also(item.alias, dict(branch.columns)), before.joined(branch))
                for scope, before in partials
                for branch in ask(item.node, scope if item.lateral else start[0], item.group)
            ]
            if len(partials) > MOST_BRANCHES:
                raise Beyond(TOO_MANY)
        return partials

    def _affected(
        self,
        node: exp.Select,
        items: Sequence[Item],
        empty: Partial,
        joined: Sequence[Partial],
        group: Group,
    ) -> Iterator[Partial]:
        """Yield the joins in which a row of FROM changed, or a query that a row asks."""
        for item in items:
            yield from self._joined(items, empty, item)
        for partial in joined:
            for item in items:
                for condition in item.on:
                    yield from self._through(condition, partial, item.group, positive=True)
            for part, positive in _parts(node):
                yield from self._through(part, partial, group, positive=positive)

    def _through(
        self, expression: Expr, partial: Partial, group: Group, *, positive: bool
    ) -> Iterator[Partial]:
        """Yield the rows for which a query inside an expression yields something else.

        `positive`: the expression is a condition, and only whether it holds matters.
        """
        scope, before = partial
        for query, membership in conditions_on_queries(expression):
            for branch in self.changed(query, scope, group):
                asked = self._membership(
                    membership, branch, scope, only_true=positive and membership is expression
                )
                conditions = (Condition(expression=each, group=group) for each in asked)
                more = replace(branch, conditions=(*branch.conditions, *conditions))
                yield scope, before.joined(more)

    def _membership(
        self, membership: exp.In | None, branch: Branch, scope: Scope, *, only_true: bool
    ) -> Iterator[Expr]:
        """Yield what ties a changed row of an IN list to the row that asks for it."""
        if membership is None:
            return
        asking = membership.this
        asked_for = asking.expressions if isinstance(asking, exp.Tuple) else [asking]
        for side, (_, listed) in zip(asked_for, branch.columns, strict=False):
            asked = self._resolved(side, scope)
            if isinstance(asked, FullScan) or isinstance(listed, FullScan):
                continue
            if self._is_opaque(asked) or self._is_opaque(listed):
                continue
            sides = [_enclosed(listed), _enclosed(asked)]
            same: Expr = exp.EQ(this=sides[0], expression=sides[1])
            if not only_true:
                # NOT IN is unknown, instead of true, as soon as there is a NULL on either side.
                for each in sides:
                    same = exp.Or(this=same, expression=exp.Is(this=each, expression=exp.Null()))
                same = exp.Paren(this=same)
            yield same

    def _finished(
        self,
        node: exp.Select,
        items: Sequence[Item],
        partial: Partial,
        group: Group,
        limits: Sequence[Limit],
    ) -> Branch:
        """Return a join with the conditions of a SELECT, and with its columns."""
        scope, branch = partial
        where = node.args.get("where")
        conditions = [(each, group) for each in conjuncts(where.this if where else None)]
        conditions += [(each, item.group) for item in items for each in item.on]
        resolved = ((self._resolved(each, scope), at) for each, at in conditions)
        kept = tuple(
            Condition(expression=known, group=at)
            for known, at in resolved
            if not isinstance(known, FullScan)
        )
        given = [(list(self._given(some, node, scope)), why) for some, why in limits]
        columns = tuple(
            (each.alias_or_name, limited(self._resolved(each.unalias(), scope), given))
            for each in node.expressions
        )
        return replace(branch, conditions=branch.conditions + kept, columns=columns)

    # ---- expressions

    def _resolved(self, expression: Expr, scope: Scope) -> Known:
        """Return an expression in terms of sources, or why that cannot be."""
        if expression.find(exp.Window):
            return WINDOWED
        if expression.find(exp.AggFunc):
            return AGGREGATED
        if not is_plain(expression, self._plain, self._grammar):
            return CALCULATED
        whole = exp.Paren(this=expression.copy())
        for column in list(whole.find_all(exp.Column)):
            known = scope.meaning(column)
            if isinstance(known, FullScan):
                return known
            column.replace(_enclosed(known).copy())
        resolved: Expr = whole.this
        said = isinstance(resolved, exp.Column) or not self._is_opaque(resolved)
        return CALCULATED if not said or self._depends_on_spelling(resolved) else resolved

    def _is_opaque(self, resolved: Expr) -> bool:
        """Tell whether its columns are compared in a way that images may not be."""
        columns = resolved.find_all(exp.Column)
        return any(column.name in self._opaque[column.table] for column in columns)

    def _depends_on_spelling(self, resolved: Expr) -> bool:
        """Tell whether equal values may make a difference: of those, any may be shown."""
        return any(
            column.name in self._spelled[column.table]
            for node in resolved.find_all(*SPELLING)
            for column in node.find_all(exp.Column)
        )

    def _given(self, some: Sequence[Expr], node: exp.Select, scope: Scope) -> Iterator[Expr]:
        """Yield expressions of GROUP BY and the like, resolved; a bare name is one of SELECT."""
        named = {each.alias_or_name: each.unalias() for each in node.expressions}
        for each in some:
            bare = isinstance(each, exp.Column) and not each.table
            known = self._resolved(named.get(each.name, each) if bare else each, scope)
            if not isinstance(known, FullScan):
                yield known


def _is_loose(grammar: str, node: exp.SetOperation) -> bool:
    """Tell whether a column's affinity is not that of what it comes from.

    Of columns that come of several, SQLite says nothing; what is not compared needs none.
    """
    around = node.parent
    while isinstance(around, exp.SetOperation | exp.Subquery) and around.parent is not None:
        around = around.parent
    return grammar == "sqlite" and not isinstance(around, exp.SetOperation | None)


def _enclosed(expression: Expr) -> Expr:
    return expression if isinstance(expression, exp.Column) else exp.Paren(this=expression)


def _is_cut(node: exp.Query) -> bool:
    return any(node.args.get(name) is not None for name in ("limit", "offset"))


def _renamed(branch: Branch, names: Sequence[str]) -> Branch:
    # VALUES have no columns that are known.
    known = [each for _, each in branch.columns] or [CALCULATED] * len(names)
    return replace(branch, columns=tuple(zip(names, known, strict=True)))


def _all_lost(branch: Branch, why: FullScan) -> Branch:
    return replace(branch, columns=tuple((name, why) for name, _ in branch.columns))


def _parts(node: exp.Select) -> Iterator[tuple[Expr, bool]]:
    """Yield the expressions of a SELECT that queries may hide in, and which are conditions."""
    where = node.args.get("where")
    for condition in conjuncts(where.this if where else None):
        yield condition, True
    for name in ("expressions", "group", "having", "windows", "distinct", "order"):
        found = node.args.get(name)
        for part in found if isinstance(found, list) else [found]:
            if part is not None:
                yield part, False
