"""What names mean at a place of a query."""

from collections.abc import Mapping as Dict
from dataclasses import dataclass, field, replace

from sqlglot import exp
from sqlglot.expressions import Expr

from meisa_cdc.source.affected.branches import Group, Known
from meisa_cdc.source.affected.knowing import CALCULATED


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


def with_named(node: exp.Query, scope: Scope) -> Scope:
    """Return the scope inside a query, which knows the parts that its WITH names."""
    clause = node.args.get("with_")
    if clause is None:
        return scope
    for part in clause.expressions:
        # Each sees those before it.
        scope = Scope(named={part.alias: (part.this, scope)}, outer=scope)
    return scope
