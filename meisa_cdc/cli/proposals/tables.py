"""A database's tables as far as a proposal looks at them, and what their names mean."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
#: Names that are plain enough to stand in a template.
PLAIN = re.compile(r"[\w $-]+")
SECRET_WORDS = re.compile(
    r"cards?|credentials?|cvc|cvv|digest|encrypted|hash|iban|mfa|otp|pan|passcode|passport|pin|pwd"
    r"|salt|signature|ssn|tin|totp"
)
#: Found inside a name too, since `passwordhash` is one word.
SECRET_PARTS = ("apikey", "passwd", "password", "privatekey", "secret", "socialsecurity", "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    name: str
    #: Kind of values its type holds: `text`, `integer`, `number`, `date`, `datetime`, ….
    family: str = "text"

    @property
    def known_as(self) -> str:
        """The name in small letters with underscores."""
        return snake(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A column that points at another table's column."""

    column: str
    table: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table."""

    name: str
    columns: Sequence[Column]
    primary_key: Sequence[str] = ()
    #: Those of a single column.
    foreign_keys: Sequence[ForeignKey] = ()

    @property
    def known_as(self) -> str:
        """The name in small letters with underscores."""
        return snake(self.name)

    @property
    def noun(self) -> str:
        """What one row is: `order` for `Orders`."""
        *before, last = self.known_as.split("_")
        return "_".join([*before, singular(last)])

    @property
    def usable(self) -> bool:
        """Whether its names can be written into a template, and tell of no secret."""
        names = (self.name, *self.primary_key, *(key.column for key in self.foreign_keys))
        return all(PLAIN.fullmatch(name) for name in names) and not is_secret(self.name)

    def find(self, names: Iterable[str], families: Iterable[str]) -> Column | None:
        """Return the column with the first of these names that has such values."""
        wanted = set(families)
        by_name = {
            column.known_as: column
            for column in self.columns
            if column.family in wanted and PLAIN.fullmatch(column.name)
        }
        return next((by_name[name] for name in names if name in by_name), None)

    def link_to(self, other: "Table") -> str:
        """Return the column that points at the other table's key, or an empty text.

        Where no foreign key is declared, `user_id` in an app with the table `users` is one.
        """
        if len(other.primary_key) != 1 or other.name == self.name:
            return ""
        key = other.primary_key[0]
        for declared in self.foreign_keys:
            if (declared.table, declared.target) == (other.name, key):
                return declared.column
        declared_columns = {each.column for each in self.foreign_keys}
        found = self.find([f"{other.noun}_id"], ["integer", "text", "other"])
        return "" if found is None or found.name in declared_columns else found.name


def snake(name: str) -> str:
    """Return `CustomerId` and `customer-id` as `customer_id`."""
    return "_".join(word.lower() for word in WORD.findall(name))


def singular(word: str) -> str:
    """Return `order` for `orders`, `company` for `companies`, `address` for `addresses`."""
    if word.endswith("ies") and len(word) > len("ties"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def is_secret(name: str) -> bool:
    """Tell whether a name sounds like something that must not leave the database."""
    words = snake(name).split("_")
    joined = "".join(words)
    return any(map(SECRET_WORDS.fullmatch, words)) or any(part in joined for part in SECRET_PARTS)
