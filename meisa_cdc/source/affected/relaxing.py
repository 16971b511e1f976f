"""From a query to relaxed ones: which rows can there be, and which can a change of a table affect.

Two questions to every query, each answered by branches.

`possible`: rows of which at least one exists for each row that the query has, before or after the
change. `changed`: the same for each row that it has before or after alone. A column is known where
these rows tell it as it is; a condition is kept where all its columns are known. Nothing is ever
taken away for good: whatever is left out of a query makes for more rows, never fewer.
"""

from collections.abc import Callable, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, zip_longest
from typing import TypeAlias

from sqlglot import exp

from meisa_cdc.source.affected.answers import Catalogue, FullScan, beyond
from meisa_cdc.source.affected.branches import Branch, Condition, Group, Known, Source
from meisa_cdc.source.affected.plain import Expr, aggregates, conjuncts, is_plain, made_of
from meisa_cdc.source.affected.reading import Reading, conditions_on_queries

#: Branches that a key query may have; each is planned by itself.
MOST_BRANCHES = 64
TOO_MANY = beyond("it has too many alternatives", "Split it into several mappings.")
CALCULATED = FullScan(
    reason="the key is calculated in a way that cannot be followed",
    advice="Take the key from a column as it is.",
)
AGGREGATED = FullScan(
    reason="the key comes from an aggregate",
    advice="Group by the key.",
)
CUT = FullScan(
    reason="a LIMIT picks among the rows of all keys",
    advice="Remove it, or number the rows with PARTITION BY the key.",
)
UNGROUPED = FullScan(
    reason="the key is not among the GROUP BY expressions",
    advice="Group by the key.",
)
UNPARTITIONED = FullScan(
    reason="a window function looks at the rows of all keys",
    advice="Add PARTITION BY the key to it.",
)
INDISTINCT = FullScan(
    reason="the key is not among the DISTINCT ON expressions",
    advice="Add the key to them.",
)
WINDOWED = FullScan(
    reason="the key comes from a window function",
    advice="Take the key from a column as it is.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What names mean at a place of the query."""

    #: Alias -> column -> its meaning.
    relations: Dict[str, Dict[str, Known]] = field(default_factory=dict)
    #: Name of a part of the query -> the part, and the scope that it stands in.
    named: "Dict[str, tuple[exp.Query, Scope]]" = field(default_factory=dict)
    outer: "Scope | None" = None

    def meaning(self, column: exp.Column) -> Known:
        """Return what a column is."""
        scope: Scope | None = self
        while scope is not None:
            if column.table in scope.relations:
                return scope.relations[column.table].get(column.name, CALCULATED)
            scope = scope.outer
        return CALCULATED

    def query(self, name: str) -> "tuple[exp.Query, Scope] | None":
        """Return the part of the query that has a name."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.named:
                return scope.named[name]
            scope = scope.outer
        return None

    def also(self, alias: str, columns: Dict[str, Known]) -> "Scope":
        """Return the scope with one more relation."""
        return replace(self, relations={**self.relations, alias: columns})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something in FROM."""

    node: Expr
    group: Group
    #: What its rows have to fulfil, and the group that the conditions are of.
    on: tuple[Expr, ...] = ()

    @property
    def alias(self) -> str:
        """The name that its columns have in front."""
        return str(self.node.alias_or_name)

    @property
    def lateral(self) -> bool:
        """Whether it sees the items before it."""
        return not isinstance(self.node, exp.Subquery)


#: A join of items that has come this far.
Partial: TypeAlias = tuple[Scope, Branch]
Question: TypeAlias = Callable[[Expr, Scope, Group], list[Branch]]


class Relaxation:
    """Asks about one table; each occurrence in the query is looked at by itself."""

    def __init__(self, reading: Reading, catalogue: Catalogue, table: str) -> None:
        self._tables = reading.tables
        self._plain = catalogue.plain
        self._rowwise = catalogue.rowwise
        self._table = table
        self._numbers = count(1)

    # ---- the two questions

    def possible(self, node: Expr, scope: Scope, group: Group) -> list[Branch]:
        """Return what has every row of a relation or query, before the change or after it."""
        return self._asked(node, scope, group, seek=False)

    def changed(self, node: Expr, scope: Scope, group: Group = ()) -> list[Branch]:
        """Return what has every row that the change brings or takes; empty: it reads none of it."""
        return self._asked(node, scope, group, seek=True)

    def _asked(self, node: Expr, scope: Scope, group: Group, *, seek: bool) -> list[Branch]:
        if isinstance(node, exp.Query):
            scope = _with_named(node, scope)
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
            raise TOO_MANY
        if seek and isinstance(node, exp.Query) and _is_cut(node):
            return [_all_lost(branch, CUT) for branch in branches]
        return branches

    def _relation(
        self, node: exp.Table, scope: Scope, group: Group, *, seek: bool
    ) -> list[Branch]:
        part = None if node.name in self._tables else scope.query(node.name)
        if part is not None:
            query, place = part
            return self._asked(query, place, group, seek=seek)
        if seek and node.name != self._table:
            return []
        name = f"s{next(self._numbers)}"
        source = Source(name=name, table=node.name, changed=seek, group=group)
        columns = self._tables[node.name].columns
        known = tuple((each, exp.column(each, table=name, quoted=True)) for each in columns)
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
        names = node.named_selects
        sides = [node.left, node.right]
        if not seek and not isinstance(node, exp.Union):
            # Of EXCEPT and INTERSECT, every row is one of the left side.
            sides = [node.left]
        return [
            replace(
                branch,
                columns=tuple(
                    (name, known)
                    for name, (_, known) in zip_longest(names, branch.columns, fillvalue=("", CALCULATED))
                ),
            )
            for side in sides
            for branch in self._asked(side, scope, group, seek=seek)
        ]

    # ---- one SELECT

    def _select(
        self, node: exp.Select, scope: Scope, group: Group, *, seek: bool
    ) -> list[Branch]:
        one_row = self._is_one_row(node)
        if one_row and not seek:
            # It is there without any row to aggregate, too.
            return [Branch(columns=tuple((each.alias_or_name, AGGREGATED) for each in node.expressions))]
        items = list(self._items(node, group))
        empty: Partial = (Scope(outer=scope), Branch())
        joined = self._joined(items, empty)
        found = list(self._affected(node, items, empty, joined, group)) if seek else joined
        limits = _limits(node, one_row=one_row, seek=seek)
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
                raise TOO_MANY
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
        sides = asking.expressions if isinstance(asking, exp.Tuple) else [asking]
        for side, (_, listed) in zip(sides, branch.columns, strict=False):
            asked = self._resolved(side, scope)
            if isinstance(asked, FullScan) or isinstance(listed, FullScan):
                continue
            same: Expr = exp.EQ(this=listed, expression=asked)
            if not only_true:
                # NOT IN is unknown, instead of true, as soon as there is a NULL on either side.
                for each in (listed, asked):
                    same = exp.Or(this=same, expression=exp.Is(this=each, expression=exp.Null()))
                same = exp.Paren(this=same)
            yield same

    def _finished(
        self,
        node: exp.Select,
        items: Sequence[Item],
        partial: Partial,
        group: Group,
        limits: "Sequence[tuple[Sequence[Expr], FullScan]]",
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
        given = [
            ([known for each in some if not isinstance(known := self._given(each, node, scope), FullScan)], why)
            for some, why in limits
        ]
        columns = tuple(
            (each.alias_or_name, _limited(self._resolved(each.unalias(), scope), given))
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
        if not is_plain(expression, self._plain):
            return CALCULATED
        whole = exp.Paren(this=expression.copy())
        for column in list(whole.find_all(exp.Column)):
            known = scope.meaning(column)
            if isinstance(known, FullScan):
                return known
            wrapped = known if isinstance(known, exp.Column) else exp.Paren(this=known)
            column.replace(wrapped.copy())
        return whole.this

    def _given(self, expression: Expr, node: exp.Select, scope: Scope) -> Known:
        """Return what an expression of GROUP BY or the like is; a bare name is one of SELECT."""
        if isinstance(expression, exp.Column) and not expression.table:
            named = {each.alias_or_name: each.unalias() for each in node.expressions}
            expression = named.get(expression.name, expression)
        return self._resolved(expression, scope)


def _with_named(node: exp.Query, scope: Scope) -> Scope:
    clause = node.args.get("with_")
    if clause is None:
        return scope
    for part in clause.expressions:
        # Each sees those before it.
        scope = Scope(named={part.alias: (part.this, scope)}, outer=scope)
    return scope


def _is_cut(node: exp.Query) -> bool:
    return any(node.args.get(name) is not None for name in ("limit", "offset"))


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


def _limits(node: exp.Select, *, one_row: bool, seek: bool) -> list[tuple[Sequence[Expr], FullScan]]:
    """Return lists of expressions that a column must be made of to be known, each with a why not.

    A change of one row may change every row that shares a group, a partition or a first place
    with it: of those rows we know what they share.
    """
    limits: list[tuple[Sequence[Expr], FullScan]] = []
    group = node.args.get("group")
    if group is not None:
        limits.append((group.expressions, UNGROUPED))
    elif one_row:
        limits.append(((), AGGREGATED))
    if not seek:
        # The rows that a window or DISTINCT ON leaves are rows of the join, as they are.
        return limits
    limits += ((partition, UNPARTITIONED) for partition in _partitions(node))
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        on = distinct.args["on"]
        limits.append((on.expressions if isinstance(on, exp.Tuple) else [on], INDISTINCT))
    return limits


def _partitions(node: exp.Select) -> Iterator[Sequence[Expr]]:
    named = {each.name: each for each in node.args.get("windows") or ()}
    for part in (*node.expressions, *([node.args["order"]] if node.args.get("order") else [])):
        for window in part.find_all(exp.Window):
            yield _partition(window, named)


def _partition(window: exp.Window, named: Dict[str, exp.Window]) -> Sequence[Expr]:
    own = window.args.get("partition_by") or []
    base = window.args.get("alias") or window.args.get("first")
    inherited = named.get(base.name) if isinstance(base, exp.Identifier) else None
    return own or (_partition(inherited, named) if inherited is not None else [])


def _limited(known: Known, given: Sequence[tuple[Sequence[Expr], FullScan]]) -> Known:
    for some, why in given:
        if isinstance(known, FullScan):
            return known
        if not made_of(known, some):
            return why
    return known
