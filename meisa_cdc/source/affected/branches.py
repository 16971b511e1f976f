"""Relaxed queries: unions of branches, each a flat join of tables and images.

An outer join stays visible as a group: a path of numbers, `()` for what every row has. Sources and
conditions of a group exist only in rows where that nullable side was found.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeAlias

from sqlglot import exp

from meisa_cdc.source.affected.answers import FullScan, beyond
from meisa_cdc.source.affected.plain import Expr, is_strict

Group: TypeAlias = tuple[int, ...]
#: What a column of a branch is, or why that is not known.
Known: TypeAlias = Expr | FullScan

UNCONNECTED = beyond(
    "no condition ties its rows to the key",
    "Join it by an equality of columns, on the way to the key.",
)
NULLABLE = FullScan(
    reason="the key comes from the right side of a LEFT JOIN",
    advice="Make it an inner join, or take the key from the left side.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A table, or its images, under a name of its own."""

    name: str
    #: Name of the table in the query that is read.
    table: str
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


def settled(branch: Branch, key: Expr) -> Settled:
    """Return what finds the keys of a branch. Raises Beyond."""
    (changed,) = (source for source in branch.sources if source.changed)
    # A row without a key is nobody's, so the key may be taken for being there.
    with_key = Condition(expression=exp.Not(this=exp.Is(this=key, expression=exp.Null())), group=())
    reduced = _Groups(replace(branch, conditions=(*branch.conditions, with_key))).reduced()
    places = {source.name: source.group for source in reduced.sources}
    if any(places[name] for name in names_in(key)):
        raise beyond(NULLABLE.reason, NULLABLE.advice)
    *conditions, _ = _kept(reduced, places[changed.name])
    reached, conditions = _connected(changed.name, conditions)
    if not names_in(key) or not names_in(key) <= reached:
        raise UNCONNECTED
    others = (source for source in reduced.sources if source.name in reached - {changed.name})
    return Settled(changed=changed, others=tuple(others), conditions=tuple(conditions), key=key)


@dataclass(slots=True)
class _Groups:
    """Turns outer joins into inner ones where a condition says that the row is there."""

    branch: Branch
    gone: set[Group] = field(default_factory=set)

    def reduced(self) -> Branch:
        """Return an equivalent branch with as few groups as possible."""
        while found := next(self._needless(), None):
            self.branch = _without(self.branch, found)
        return self.branch

    def _needless(self) -> Iterator[Group]:
        places = {source.name: source.group for source in self.branch.sources}
        for condition in self.branch.conditions:
            if is_strict(condition.expression):
                for name in names_in(condition.expression):
                    group, at = places[name], condition.group
                    if len(group) > len(at) and group[: len(at)] == at:
                        yield group


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
                present |= {
                    group[:length] for group in foreign for length in range(len(group) + 1)
                }
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
