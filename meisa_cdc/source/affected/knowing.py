"""Which columns of the rows that a change affects are known, and why others are not."""

from collections.abc import Iterator, Mapping as Dict, Sequence
from typing import TypeAlias

from sqlglot import exp
from sqlglot.expressions import Expr

from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.affected.branches import Known
from meisa_cdc.source.affected.plain import made_of

CALCULATED = FullScan(
    reason="the key is calculated in a way that cannot be followed",
    advice="Take the key from a column as it is.",
)
AGGREGATED = FullScan(
    reason="the key comes from an aggregate",
    advice="Group by the key.",
)
BLIND = FullScan(
    reason="it would have to be followed through a column that is no integer",
    advice="Take the key, and what joins tables, from columns of integers.",
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

#: Expressions that a column must be made of to be known, and why it is not otherwise.
Limit: TypeAlias = tuple[Sequence[Expr], FullScan]


def limits_of(node: exp.Select, *, seek: bool) -> list[Limit]:
    """Return lists of expressions that a column must be made of to be known, each with a why not.

    A change of one row may change every row that shares a group, a partition or a first place
    with it: of those rows we know what they share.
    """
    limits: list[Limit] = []
    group = node.args.get("group")
    if group is not None:
        limits.append((group.expressions, UNGROUPED))
    if not seek:
        # The rows that a window or DISTINCT ON leaves are rows of the join, as they are.
        return limits
    limits += ((partition, UNPARTITIONED) for partition in _partitions(node))
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        on = distinct.args["on"]
        given = on.expressions if isinstance(on, exp.Tuple) else [on]
        limits.append((given, INDISTINCT))
    return limits


def _partitions(node: exp.Select) -> Iterator[Sequence[Expr]]:
    named = {each.name: each for each in node.args.get("windows") or ()}
    order = node.args.get("order")
    for part in (*node.expressions, *([] if order is None else [order])):
        for inner in part.walk(prune=lambda each: isinstance(each, exp.Query)):
            if isinstance(inner, exp.Window):
                yield _partition(inner, named)


def _partition(window: exp.Window, named: Dict[str, exp.Window]) -> Sequence[Expr]:
    own = window.args.get("partition_by") or []
    base = window.args.get("alias") or window.args.get("first")
    inherited = named.get(base.name) if isinstance(base, exp.Identifier) else None
    return own or (_partition(inherited, named) if inherited is not None else [])


def limited(known: Known, given: Sequence[Limit]) -> Known:
    """Return what is known of a column once every limit was looked at."""
    for some, why in given:
        if isinstance(known, FullScan):
            return known
        if not made_of(known, some):
            return why
    return known
