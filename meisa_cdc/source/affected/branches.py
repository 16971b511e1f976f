"""Relaxed queries: unions of branches, each a flat join of tables and images.

An outer join stays visible as a group: a path of numbers, `()` for what every row has. Sources and
conditions of a group exist only in rows where that nullable side was found.
"""

from collections.abc import Collection, Iterator, Mapping as Dict
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

from sqlglot import exp
from sqlglot.expressions import Expr

from meisa_cdc.source.affected.answers import Beyond, FullScan
from meisa_cdc.source.affected.plain import is_strict

Group: TypeAlias = tuple[int, ...]
#: What a column of a branch is, or why that is not known.
Known: TypeAlias = Expr | FullScan

UNCONNECTED = FullScan(
    reason="no condition ties its rows to the key",
    advice="Join it by an equality of columns, on the way to the key.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A table, or its images, under a name of its own."""

    name: str
    #: Name of the table in the query that is read.
    table: str
    #: Name -> type of its columns.
    types: Dict[str, str]
    #: Whether it stands for the images of changed rows.
    changed: bool
    group: Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that holds in the rows of a group."""

    expression: Expr
    group: Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One flat join."""

    sources: tuple[Source, ...] = ()
    conditions: tuple[Condition, ...] = ()
    #: Name and meaning of each column it yields.
    columns: tuple[tuple[str, Known], ...] = ()

    def joined(self, other: "Branch") -> "Branch":
        """Return the join with another branch; its columns are ours."""
        return replace(
            self,
            sources=self.sources + other.sources,
            conditions=self.conditions + other.conditions,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A branch that is an inner join from the changed rows to the key."""

    changed: Source
    others: tuple[Source, ...]
    conditions: tuple[Expr, ...]
    key: Expr


def names_in(expression: Expr) -> set[str]:
    """Return the names of the sources whose columns an expression has."""
    return {column.table for column in expression.find_all(exp.Column)}


def settled(branch: Branch, key: Expr) -> Iterator[Settled]:
    """Yield what finds the keys of a branch. Raises Beyond."""
    (changed,) = (source for source in branch.sources if source.changed)
    # A row without a key is nobody's, so the key may be taken for being there.
    with_key = Condition(expression=exp.Not(this=exp.Is(this=key, expression=exp.Null())), group=())
    reduced = _reduced(replace(branch, conditions=(*branch.conditions, with_key)))
    reduced = replace(reduced, conditions=reduced.conditions[:-1])
    for variant, known in _variants(reduced, key):
        places = {source.name: source.group for source in variant.sources}
        kept = _kept(variant, places[changed.name])
        if any(map(_never_holds, kept)):
            continue
        reached, conditions = _connected(changed.name, kept)
        if not names_in(known) or not names_in(known) <= reached:
            raise Beyond(UNCONNECTED)
        others = (each for each in variant.sources if each.name in reached - {changed.name})
        yield Settled(
            changed=changed, others=tuple(others), conditions=tuple(conditions), key=known
        )


def _reduced(branch: Branch) -> Branch:
    """Return the branch with inner joins for the outer ones that are none.

    That is where a condition around the join needs what it brings.
    """
    while found := next(_needless(branch), None):
        branch = _without(branch, found)
    return branch


def _needless(branch: Branch) -> Iterator[Group]:
    places = {source.name: source.group for source in branch.sources}
    for condition in branch.conditions:
        if is_strict(condition.expression):
            for name in names_in(condition.expression):
                group, at = places[name], condition.group
                if len(group) > len(at) and group[: len(at)] == at:
                    yield group


def _variants(branch: Branch, key: Expr) -> Iterator[tuple[Branch, Expr]]:
    """Yield the branch for each way in which the nullable sides of its key may be there or not."""
    places = {source.name: source.group for source in branch.sources}
    nullable = sorted({places[name][:1] for name in names_in(key)} - {()})
    if not nullable:
        yield branch, key
        return
    yield from _variants(_without(branch, nullable[0]), key)
    inside = {each.name: each for each in branch.sources if each.group[:1] == nullable[0]}
    absent = _nulled(key, inside)
    # Where no column is left, the key is NULL as a rule, and else the same for everybody.
    if names_in(absent) or not _is_null(absent):
        yield from _variants(_absent(branch, nullable[0], inside), absent)


def _absent(branch: Branch, group: Group, inside: Dict[str, Source]) -> Branch:
    """Return the branch for rows that found no match in a group; its sources are `inside`."""
    conditions = [
        replace(each, expression=_nulled(each.expression, inside))
        if each.group[:1] != group
        else each
        for each in branch.conditions
    ]
    if any(source.changed for source in inside.values()):
        # Which row lost its match, or is losing it now, the changed row tells.
        return replace(branch, conditions=tuple(conditions))
    return replace(
        branch,
        sources=tuple(each for each in branch.sources if each.name not in inside),
        conditions=tuple(each for each in conditions if each.group[:1] != group),
    )


def _nulled(expression: Expr, sources: Dict[str, Source]) -> Expr:
    """Return an expression with NULL in place of the columns of some sources."""
    whole = exp.Paren(this=expression.copy())
    for column in list(whole.find_all(exp.Column)):
        if column.table in sources:
            kind = sources[column.table].types[column.name].partition(" collate ")[0]
            column.replace(exp.cast(exp.Null(), exp.DataType.build(kind, "postgres", udt=True)))
    nulled: Expr = whole.this
    return nulled


def _never_holds(condition: Expr) -> bool:
    return is_strict(condition) and any(map(_is_null, condition.iter_expressions()))


def _is_null(expression: Expr) -> bool:
    if isinstance(expression, exp.Coalesce):
        return all(_is_null(each) for each in (expression.this, *expression.expressions))
    return isinstance(expression, exp.Null) or (
        isinstance(expression, exp.Paren | exp.Cast) and _is_null(expression.this)
    )


def _without(branch: Branch, gone: Group) -> Branch:
    """Return the branch with a group dissolved into the one around it."""

    def moved(group: Group) -> Group:
        inside = group[: len(gone)] == gone
        return gone[:-1] + group[len(gone) :] if inside else group

    return replace(
        branch,
        sources=tuple(replace(each, group=moved(each.group)) for each in branch.sources),
        conditions=tuple(replace(each, group=moved(each.group)) for each in branch.conditions),
    )


def _kept(branch: Branch, start: Group) -> list[Expr]:
    """Return the conditions that affected rows fulfil, if a row of the group `start` changed.

    Whoever joins a changed row of a nullable side did, or will, stand there without it: so
    conditions around that join which ask about it say nothing.
    """
    places = {source.name: source.group for source in branch.sources}
    present = {start[:length] for length in range(len(start) + 1)}
    found: dict[int, Expr] = {}
    changing = True
    while changing:
        changing = False
        for number, condition in enumerate(branch.conditions):
            at = condition.group
            if number in found or at not in present:
                continue
            asked = {places[name] for name in names_in(condition.expression)}
            foreign = {group for group in asked if group != at[: len(group)]}
            inside = any(group[: len(at)] == at for group in foreign)
            if not foreign or (not inside and is_strict(condition.expression)):
                found[number] = condition.expression
                present |= {group[:length] for group in foreign for length in range(len(group) + 1)}
                changing = True
    return [found[number] for number in sorted(found)]


def _connected(start: str, conditions: Collection[Expr]) -> tuple[set[str], list[Expr]]:
    """Return the sources that conditions tie to one, and the conditions on them alone."""
    reached = {start}
    sets = [names_in(condition) for condition in conditions]
    while more := set(chain.from_iterable(each for each in sets if each & reached)) - reached:
        reached |= more
    return reached, [
        condition for condition, names in zip(conditions, sets, strict=True) if names <= reached
    ]
