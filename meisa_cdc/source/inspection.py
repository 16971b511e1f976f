"""What a mapping's SQL may be: one SELECT that reads, judged before the database sees it.

This is a lint with good error messages, one guard among several: it sees the text, not what a
view or a function does. The transaction, the role and the connection guard the rest.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from meisa_cdc.core.errors import MappingError
from meisa_cdc.source.dialects import MYSQL, Dialect
from meisa_cdc.source.forbidden import forbidden_function
from meisa_cdc.source.language import Forbidden, Refused
from meisa_cdc.source.query import Written

if TYPE_CHECKING:
    from sqlglot import Token
    from sqlglot.expressions import Expr

#: Comments that servers or their extensions obey.
OBEYED = ("/*!", "/*M!", "/*+")
HINT = "A mapping is one SELECT that only reads."
FIRST_WORDS = ("SELECT", "WITH")
CHANGING_WORDS = ("INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE")

# What the parser does not know it logs, with the SQL; the author gets an error anyway.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What was seen in a text that passed."""

    #: Where the text ends, a closing semicolon left out.
    end: int
    #: Column names, as the database will call them; empty where only it knows.
    columns: tuple[str, ...]
    #: Name -> line of each function called, and of some other words before a parenthesis.
    functions: dict[str, int]


def inspect(written: Written, *, mapping: str, dialect: Dialect, values: int | None) -> Inspected:
    """Return what is in the text, if it is one statement that only reads.

    `values`: how many placeholders it must have; None where the values stand in the text.
    Raises MappingError naming file, line and construct.
    """
    try:
        return examine(written, dialect=dialect, values=values)
    except Refused as error:
        raise refusal(error, mapping) from None


def refusal(error: Refused, mapping: str) -> MappingError:
    """Return the error that tells the author of a mapping about a refusal."""
    return MappingError(error.message, mapping=mapping, line=error.line, hint=error.hint)


def examine(written: Written, *, dialect: Dialect, values: int | None) -> Inspected:
    """Do what `inspect` does. Raises Forbidden, or Refused where the text makes no sense."""
    _refuse_obeyed_comments(written)
    tokens, end = _one_statement(_tokens(written, dialect), written)
    _refuse_words(tokens, written, dialect)
    functions = {name: written.line_at(token.start) for name, token in _calls(tokens)}
    called = forbidden_function(dialect.name, functions)
    if called:
        raise _forbidden(f"the function {called}", functions[called])
    tree = _parsed(tokens, written, dialect)
    _refuse_nodes(tree, tokens, written)
    if values is not None:
        _check_placeholders(tree, dialect, values)
    return Inspected(end=end, columns=_columns(tree, folds=dialect.folds), functions=functions)


def _forbidden(what: str, line: int) -> Forbidden:
    return Forbidden(f"{what} is not allowed", hint=HINT, line=line)


def _refuse_obeyed_comments(written: Written) -> None:
    for opening in OBEYED:
        place = written.text.find(opening)
        if place >= 0:
            # Also inside a literal: to tell the two apart is what such comments defeat.
            raise _forbidden(f"{opening} … */", written.line_at(place))


def _tokens(written: Written, dialect: Dialect) -> "Sequence[Token]":
    from sqlglot import Dialect as Grammar
    from sqlglot.errors import SqlglotError

    try:
        return Grammar.get_or_raise(dialect.grammar).tokenize(written.text)
    except SqlglotError:
        raise Refused(
            "the SQL cannot be read", hint="A quote or a comment may not be closed."
        ) from None


def _one_statement(tokens: "Sequence[Token]", written: Written) -> "tuple[Sequence[Token], int]":
    from sqlglot import TokenType

    closing = [n for n, token in enumerate(tokens) if token.token_type is TokenType.SEMICOLON]
    count = closing[0] if closing else len(tokens)
    if count == 0:
        raise Refused("the file has no query", hint="Write one SELECT.")
    for token in tokens[count:]:
        if token.token_type is not TokenType.SEMICOLON:
            raise _forbidden("a second statement", written.line_at(token.start))
    return tokens[:count], tokens[count].start if closing else len(written.text)


def _refuse_words(tokens: "Sequence[Token]", written: Written, dialect: Dialect) -> None:
    """Refuse by words what the parser knows less well, or whose line it does not tell."""
    first = next((token for token in tokens if token.text != "("), tokens[0])
    if _word(first) not in FIRST_WORDS:
        raise _forbidden(first.text.upper(), written.line_at(first.start))
    follow: list[Token | None] = [*tokens[1:], None, None]
    for one, two, three in zip(tokens, follow, follow[1:], strict=False):
        name = _clause(_word(one), _word(two), _word(three), dialect)
        if name:
            at = two if name in CHANGING_WORDS and two is not None else one
            raise _forbidden(name, written.line_at(at.start))


def _clause(one: str, two: str, three: str, dialect: Dialect) -> str:
    """Return the name of the forbidden clause that these words begin; empty if none."""
    if one == "(" and two in CHANGING_WORDS and three != "(":
        return two
    if one == "INTO":
        return one
    if one == "FOR" and two in ("UPDATE", "SHARE"):
        return f"FOR {two}"
    if (one, two) in (("FOR", "NO"), ("FOR", "KEY")):
        return f"FOR {two} {three}"
    if (one, two) == ("LOCK", "IN"):
        return "LOCK IN SHARE MODE"
    if dialect is MYSQL and one == ":=":
        return one
    if dialect is MYSQL and (one, two) == ("NEXT", "VALUE"):
        return "NEXT VALUE FOR"
    return ""


def _word(token: "Token | None") -> str:
    from sqlglot import TokenType

    quoted = (TokenType.STRING, TokenType.IDENTIFIER)
    return "" if token is None or token.token_type in quoted else token.text.upper()


def _calls(tokens: "Sequence[Token]") -> "Iterator[tuple[str, Token]]":
    """Yield each name that an opening parenthesis follows: more than functions, never fewer."""
    from sqlglot import TokenType

    for one, two in pairwise(tokens):
        if two.token_type is TokenType.L_PAREN and one.token_type is not TokenType.STRING:
            quoted = one.token_type is TokenType.IDENTIFIER
            name = one.text if quoted else one.text.lower()
            if name and (name[0].isalpha() or name[0] == "_"):
                yield name, one


def _parsed(tokens: "Sequence[Token]", written: Written, dialect: Dialect) -> "Expr":
    from sqlglot import Dialect as Grammar
    from sqlglot.errors import ParseError

    parser = Grammar.get_or_raise(dialect.grammar).parser()
    try:
        tree = parser.parse(list(tokens), written.text)[0]
    except ParseError as error:
        raise _not_understood(error, written) from None
    except RecursionError:
        raise Refused("the SQL is nested too deeply") from None
    return cast("Expr", tree)


def _not_understood(error: Exception, written: Written) -> Refused:
    details = (getattr(error, "errors", None) or [{}])[0]
    row, near = details.get("line") or 1, details.get("highlight")
    line = written.line_at(sum(len(each) + 1 for each in written.text.split("\n")[: row - 1]))
    where = f" near {near!r}" if near else ""
    return Refused(f"the SQL cannot be understood{where}", line=line)


def _refuse_nodes(tree: "Expr", tokens: "Sequence[Token]", written: Written) -> None:
    from sqlglot import exp

    changing = (
        exp.DDL,
        exp.DML,
        exp.Command,
        exp.Drop,
        exp.Alter,
        exp.Set,
        exp.Pragma,
        exp.Into,
        exp.Lock,
        exp.NextValueFor,
    )
    for node in tree.walk():
        part = node.this if isinstance(node, exp.CTE) else node
        writes = isinstance(part, changing) and not _reads(part)
        if writes or (part is not node and not _reads(part)) or not _reads(tree):
            name = type(part).__name__.upper()
            at = next((token.start for token in tokens if _word(token) == name), 0)
            raise _forbidden(name, written.line_at(at))


def _reads(tree: "Expr | None") -> bool:
    from sqlglot import exp

    while isinstance(tree, exp.Subquery):
        tree = tree.this
    return isinstance(tree, exp.Select | exp.SetOperation | exp.Values | exp.Table)


def _check_placeholders(tree: "Expr", dialect: Dialect, values: int) -> None:
    from sqlglot import exp

    # MySQL's @name is a variable of the session, which a mapping may look at.
    kinds = (exp.Placeholder,) if dialect is MYSQL else (exp.Placeholder, exp.Parameter)
    found = sum(1 for _ in tree.find_all(*kinds))
    if found < values:
        raise Refused(
            "a value stands inside quotes or inside a comment",
            hint="Write {{ … }} without quotes around it; comment it out with {# … #}.",
        )
    if found > values:
        raise Refused("the SQL has a placeholder of its own", hint="Write {{ … }} for a value.")


def _columns(tree: "Expr", *, folds: bool) -> tuple[str, ...]:
    from sqlglot import exp

    names: list[str] = []
    for select in tree.selects if isinstance(tree, exp.Query) else []:
        named = select.args.get("alias") if isinstance(select, exp.Alias) else select.this
        known = isinstance(select, exp.Alias | exp.Column) and not select.is_star
        if not known or not isinstance(named, exp.Identifier):
            return ()
        names.append(named.this.lower() if folds and not named.quoted else named.this)
    return tuple(names)
