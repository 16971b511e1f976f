"""What differs between the SQL of the three kinds of app databases."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meisa_cdc.core.errors import SourceRefused

#: A canonical integer key; only such a text may stand for a number.
INTEGER = re.compile(r"-?[1-9]\d{0,18}|0")
LARGEST = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One kind of app database."""

    #: As SQLAlchemy calls it, and as `dialect` is in templates.
    name: str
    #: As sqlglot calls it.
    grammar: str
    #: For people.
    title: str
    #: What encloses a quoted identifier.
    quote: str
    #: A condition that always holds.
    true: str
    #: What makes a JSON list of a group's values, as texts.
    gather: str
    #: Keys that go into one query at most.
    keys_per_query: int
    #: Whether a list of keys is one parameter.
    arrays: bool = False
    #: Whether the engine compares a text and an integer as different values.
    strict_types: bool = False
    #: Whether unquoted names are folded to lower case.
    folds: bool = False

    def quoted(self, name: str) -> str:
        """Return an identifier in quotes."""
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"

    def key_values(self, keys: Sequence[str]) -> list[object]:
        """Return the values to bind for a condition on these keys."""
        if self.arrays:
            return [_array(keys)]
        if not self.strict_types:
            return list(keys)
        numbers = [int(key) for key in keys if INTEGER.fullmatch(key)]
        return [*keys, *(number for number in numbers if -LARGEST <= number < LARGEST)]

    def condition(self, column: str, places: Sequence[str]) -> str:
        """Return the condition that a column is one of the keys at these places."""
        if self.arrays:
            return f"{column} = any({places[0]})"
        return f"{column} in ({', '.join(places)})"

    def since(self, column: str) -> tuple[str, str]:
        """Return what stands before and after the time in `the column is not before that time`."""
        if self.strict_types:
            # Seconds since 1970 are numbers, which the engine takes to be less than any text.
            return f"(typeof({column}) in ('integer', 'real') or {column} >= ", ")"
        return f"({column} >= ", ")"


POSTGRESQL = Dialect(
    name="postgresql",
    grammar="postgres",
    title="Postgres",
    quote='"',
    true="true",
    gather="json_agg(({})::text)",
    keys_per_query=10_000,
    arrays=True,
    folds=True,
)
MYSQL = Dialect(
    name="mysql",
    grammar="mysql",
    title="MySQL",
    quote="`",
    true="1=1",
    gather="json_arrayagg(cast({} as char))",
    keys_per_query=1_000,
)
SQLITE = Dialect(
    name="sqlite",
    grammar="sqlite",
    title="SQLite",
    quote='"',
    true="1=1",
    gather="json_group_array(cast({} as text))",
    keys_per_query=1_000,
    strict_types=True,
)
DIALECTS = {
    "postgresql": POSTGRESQL,
    "postgres": POSTGRESQL,
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "sqlite": SQLITE,
}


def dialect_named(name: str) -> Dialect:
    """Return the dialect of a database's name. Raises SourceRefused where there is none."""
    found = DIALECTS.get(name)
    if found is None:
        raise SourceRefused(
            f"The app database cannot be of the kind {name!r}.",
            hint="Supported are postgresql, mysql, mariadb and sqlite.",
        )
    return found


def _array(keys: Sequence[str]) -> str:
    """Return the keys as one array literal, which the server reads in the column's own type."""
    escaped = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys)
    return "{" + ",".join(f'"{key}"' for key in escaped) + "}"
