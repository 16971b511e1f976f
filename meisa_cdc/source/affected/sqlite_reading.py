"""What SQLite reads otherwise than our parser does, told by the words of the text.

The tree does not show it any more. Whatever is in doubt is not followed.
"""

import re
from itertools import pairwise

from sqlglot import TokenType, tokenize
from sqlglot.parser import Parser

from meisa_cdc.source.affected.answers import Beyond, FullScan

#: The parser takes these types for TEXT.
STRING = re.compile(r"\bas\s+str(ing)?\b", re.IGNORECASE)
#: To the parser a string behind them is a value of a type, such as `date 'x'` or `char(n) 'x'`. To
#: SQLite they are a column or a call, and the string is what it is called.
TYPES = frozenset({*Parser.TYPE_TOKENS, TokenType.R_PAREN})
#: What a value ends with; a + behind anything else stands in front of one.
ENDS = TYPES | {
    TokenType.VAR,
    TokenType.IDENTIFIER,
    TokenType.NUMBER,
    TokenType.STRING,
    TokenType.HEX_STRING,
    TokenType.PLACEHOLDER,
    TokenType.TRUE,
    TokenType.FALSE,
    TokenType.END,
    TokenType.CURRENT_DATE,
    TokenType.CURRENT_TIME,
    TokenType.CURRENT_TIMESTAMP,
}
#: Strings of other databases: `n'x'` is a column called n here, and x its alias.
FOREIGN = frozenset(
    {
        TokenType.NATIONAL_STRING,
        TokenType.BIT_STRING,
        TokenType.BYTE_STRING,
        TokenType.RAW_STRING,
    }
)
#: Names like any other here, and SQL to the parser; not behind a dot or AS.
WORDS = frozenset({"any", "connect_by_root", "current_user", "fetch", "interval", "lateral"})


def refuse_sqlite(text: str) -> None:
    """Refuse what may be understood in two ways. Raises Beyond."""
    if STRING.search(text):
        raise _beyond("it casts to STRING, which SQLite takes for a number", "Cast to TEXT.")
    for one, two in pairwise(tokenize(text, read="sqlite")):
        before, kind = one.token_type, two.token_type
        if kind is TokenType.PLUS and before not in ENDS:
            # It takes a column's type and collation from it, and the parser drops it. On Postgres
            # and MariaDB a column is the same with it and without.
            raise _beyond("it has a + in front of a value", "Leave it out.")
        if kind in FOREIGN or (kind is TokenType.STRING and before in TYPES):
            raise _beyond("it has an alias in quotes without AS", "Write AS before the alias.")
        if two.text.lower() in WORDS and not (
            kind in (TokenType.IDENTIFIER, TokenType.STRING)
            or before in (TokenType.DOT, TokenType.ALIAS)
        ):
            raise _beyond(
                f"it has a name that is a word of SQL elsewhere, {two.text}",
                "Write it in double quotes.",
            )


def _beyond(reason: str, advice: str) -> Beyond:
    return Beyond(FullScan(reason=reason, advice=advice))
