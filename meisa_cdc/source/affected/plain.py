"""Which expressions a key query may take over from a mapping.

Others could yield something else there, or are not written back word for word by the parser: a
condition that holds too seldom would lose keys, one that is left out never does.
"""

from collections.abc import Collection, Iterator

from sqlglot import exp
from sqlglot.expressions import Expr

PLAIN = (
    exp.Column,
    exp.Identifier,
    exp.Literal,
    exp.Boolean,
    exp.Null,
    exp.Parameter,
    exp.Placeholder,
    exp.Paren,
    exp.Tuple,
    exp.And,
    exp.Or,
    exp.Not,
    exp.Is,
    exp.In,
    exp.Between,
    exp.Like,
    exp.ILike,
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Neg,
    exp.DPipe,
    exp.Case,
    exp.If,
    exp.Coalesce,
    exp.Nullif,
    exp.Lower,
    exp.Upper,
    exp.Concat,
    exp.MD5,
    exp.Cast,
    exp.DataType,
    exp.DataTypeParam,
)
#: On MySQL, where expressions may fail or be written back otherwise, fewer.
PLAIN_ON_MYSQL = (
    exp.Column,
    exp.Identifier,
    exp.Literal,
    exp.Boolean,
    exp.Null,
    exp.Placeholder,
    exp.Paren,
    exp.Tuple,
    exp.And,
    exp.Or,
    exp.Not,
    exp.Is,
    exp.In,
    exp.Between,
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.Coalesce,
    exp.Nullif,
    exp.Concat,
)
COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
#: Of a comparison's sides: NULL in one of the columns makes the whole NULL.
STRICT = (
    exp.Column,
    exp.Identifier,
    exp.Literal,
    exp.Null,
    exp.Parameter,
    exp.Placeholder,
    exp.Paren,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Neg,
    exp.Lower,
    exp.Upper,
    exp.Cast,
    exp.DataType,
    exp.DataTypeParam,
)
#: Conditions that may only stand in one another in parentheses, but for AND and OR.
PREDICATES = (
    *COMPARISONS,
    exp.Is,
    exp.In,
    exp.Between,
    exp.Like,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
)
#: Types of SQLite that are written as they were read.
CASTS = frozenset({exp.DataType.Type.INT, exp.DataType.Type.TEXT})
#: What may yield something else for values that are equal, if these have several spellings.
SPELLING = (
    exp.Cast,
    exp.DPipe,
    exp.Concat,
    exp.MD5,
    exp.Lower,
    exp.Upper,
    exp.Like,
    exp.ILike,
    exp.Anonymous,
)
#: Literals that mean another moment each time they are read as one.
MOMENTS = frozenset({"now", "subsec", "subsecond", "today", "tomorrow", "yesterday"})
CLOCKS = (
    exp.CurrentDate,
    exp.CurrentDatetime,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.Localtime,
    exp.Localtimestamp,
    exp.Rand,
    exp.Uuid,
    exp.UtcDate,
    exp.UtcTime,
    exp.UtcTimestamp,
)
_UNSTEADY = """
    age array_sample array_shuffle clock_timestamp connection_id curdate curtime found_rows
    gen_random_uuid getdate julianday newid now random random_bytes random_normal randomblob
    statement_timestamp sys_guid sysdate timeofday transaction_timestamp unix_timestamp utc_date
    utc_time utc_timestamp uuid uuid_generate_v4 uuid_short uuidv4 uuidv7
"""
#: Functions of a time, or of this moment where they are given none.
TIMES = frozenset({"date", "time", "datetime", "unixepoch"})
#: Functions that the parser has no node for, and that yield something else each time.
UNSTEADY = frozenset(_UNSTEADY.split())


def _is_plain_on_mysql(expression: Expr) -> bool:
    """Tell whether an expression may be taken over there."""
    return all(
        isinstance(node, PLAIN_ON_MYSQL)
        # The one is an escape, the other a placeholder of ours.
        and not (isinstance(node, exp.Literal) and any(each in node.name for each in "\\?"))
        for node in expression.walk()
    )


def is_plain(expression: Expr, functions: Collection[str], grammar: str) -> bool:
    """Tell whether an expression may be taken over; `functions` are plain ones by name."""
    if grammar == "mysql":
        return _is_plain_on_mysql(expression)
    return all(
        (isinstance(node, PLAIN) and not (grammar == "sqlite" and _is_strange(node)))
        or (isinstance(node, exp.Anonymous) and called(node) in functions)
        for node in expression.walk()
    ) and not any(unsteady(expression))


def _is_strange(node: Expr) -> bool:
    """Tell whether SQLite may not mean by it what is written back.

    Types in casts are written as others, and predicates bind in another order there.
    """
    if isinstance(node, exp.Cast):
        return node.to.this not in CASTS or bool(node.to.expressions)
    if isinstance(node, PREDICATES):
        return any(isinstance(each, (*PREDICATES, exp.Not)) for each in node.iter_expressions())
    return isinstance(node, exp.Concat | exp.MD5 | exp.ILike)


def called(node: exp.Anonymous) -> str:
    """Return the name of a function that the parser does not know."""
    return str(node.name).lower()


def unsteady(expression: Expr) -> Iterator[str]:
    """Yield the names of what is something else each time."""
    for node in expression.walk():
        if isinstance(node, CLOCKS):
            yield node.sql_name().lower()
        elif isinstance(node, exp.Anonymous) and called(node) in UNSTEADY:
            yield called(node)
        elif isinstance(node, exp.Date | exp.Anonymous) and _is_of_now(node):
            yield "the time"
        elif isinstance(node, exp.Literal) and node.is_string and node.name.lower() in MOMENTS:
            yield f"'{node.name}'"


def _is_of_now(node: exp.Date | exp.Anonymous) -> bool:
    """Tell whether it is a function of SQLite that takes the time where it is given none."""
    named = isinstance(node, exp.Date) or called(node) in TIMES
    return named and not any(node.iter_expressions())


def is_strict(condition: Expr) -> bool:
    """Tell whether a condition cannot hold where one of its columns is NULL."""
    if isinstance(condition, exp.Paren):
        return is_strict(condition.this)
    if isinstance(condition, exp.Not) and isinstance(condition.this, exp.Is):
        inner = condition.this
        return isinstance(inner.expression, exp.Null) and _strict_side(inner.this)
    return isinstance(condition, COMPARISONS) and all(
        _strict_side(side) for side in (condition.this, condition.expression)
    )


def _strict_side(side: Expr) -> bool:
    return all(isinstance(node, STRICT) for node in side.walk())


def conjuncts(condition: Expr | None) -> Iterator[Expr]:
    """Yield the conditions that all have to hold."""
    if isinstance(condition, exp.And):
        yield from conjuncts(condition.left)
        yield from conjuncts(condition.right)
    elif isinstance(condition, exp.Paren):
        yield from conjuncts(condition.this)
    elif condition is not None:
        yield condition


def queries_in(expression: Expr) -> Iterator[exp.Query]:
    """Yield the queries inside an expression, not those inside them."""
    for node in expression.walk(prune=lambda node: isinstance(node, exp.Query)):
        if isinstance(node, exp.Query):
            yield node


def aggregates(expression: Expr, functions: Collection[str]) -> bool:
    """Tell whether an expression may make one row of many; `functions` are known not to do so."""
    return any(
        isinstance(node, exp.AggFunc)
        or (isinstance(node, exp.Anonymous) and called(node) not in functions)
        for node in _outside_queries(expression)
    )


def _outside_queries(expression: Expr) -> Iterator[Expr]:
    """Yield the nodes of an expression but for the queries in it, and what windows call."""
    if isinstance(expression, exp.Query):
        return
    yield expression
    for child in expression.iter_expressions():
        windowed = isinstance(expression, exp.Window) and child is expression.this
        for part in child.iter_expressions() if windowed else (child,):
            yield from _outside_queries(part)


def made_of(expression: Expr, given: Collection[Expr]) -> bool:
    """Tell whether an expression can be calculated from others."""
    if expression in given:
        return True
    if isinstance(expression, exp.Column):
        return False
    return all(made_of(child, given) for child in expression.iter_expressions())
