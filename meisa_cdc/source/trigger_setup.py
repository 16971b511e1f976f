"""The statements that set up a log of changed rows by triggers, and take it away again."""

import re
from collections.abc import Collection, Mapping as Dict

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.source import postgres_triggers
from meisa_cdc.source.dialects import POSTGRESQL, Dialect
from meisa_cdc.source.trigger_names import LIMIT, Names

#: A name of which nothing is cut off once words are put behind it.
NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}")


def creation(
    dialect: Dialect,
    name: str,
    tables: Dict[str, Collection[str]],
    *,
    limit: int = LIMIT,
    reader: str = "",
    schema: str = "public",
    others: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the statements that set it up, or up anew: in order, each in its own transaction.

    `tables`: columns to tell of, by full name, as `changelog.wanted` has them; tables that are not
    among them are told of no more. `limit`: rows that the log may hold. `reader`: the role of
    `app_database.url`, where another one runs this; `schema`: where the log's tables go, one that
    this role sees without naming it; `others`: tables that were told of so far. Raises
    SettingsError.
    """
    names = _names(dialect, name, schema)
    return tuple(postgres_triggers.creation(names, tables, limit, reader, others))


def removal(
    dialect: Dialect, name: str, *, schema: str = "public", tables: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the statements that leave nothing of it behind: each in its own transaction.

    `tables`: those that are told of, as far as they are known. Raises SettingsError.
    """
    return tuple(postgres_triggers.removal(_names(dialect, name, schema), tables))


def _names(dialect: Dialect, name: str, schema: str) -> Names:
    if dialect is not POSTGRESQL:
        raise SettingsError(
            f"There is no log by triggers on {dialect.title}.", hint="Use another capture."
        )
    return named(name, schema=schema)


def named(name: str, *, schema: str = "public") -> Names:
    """Return the names of a log's parts. Raises SettingsError."""
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be the name of a log.",
            hint="Take up to 48 small letters, digits and underscores.",
        )
    return Names(name=name, schema=schema)
