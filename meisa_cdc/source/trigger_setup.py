"""The statements that set up a log of changed rows by triggers, and take it away again."""

import re
from collections.abc import Collection, Mapping as Dict

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.source import postgres_triggers, sqlite_triggers
from meisa_cdc.source.dialects import POSTGRESQL, SQLITE, Dialect
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
) -> tuple[str, ...]:
    """Return the statements that set it up, or up anew; each may be run by itself, in order.

    `tables`: columns to tell of, by full name, as `changelog.wanted` has them; tables that are not
    among them are told of no more. `limit`: rows that the log may hold. `reader`: the role of
    `app_database.url`, where another one runs this; `schema`: where the log's tables go. Both are
    of Postgres alone. Raises SettingsError.
    """
    names = _names(name, schema)
    if dialect is POSTGRESQL:
        return tuple(postgres_triggers.creation(names, tables, limit, reader))
    if dialect is SQLITE:
        return tuple(sqlite_triggers.creation(names, tables, limit))
    raise _unsupported(dialect)


def removal(
    dialect: Dialect, name: str, *, tables: Collection[str] = (), schema: str = "public"
) -> tuple[str, ...]:
    """Return the statements that leave nothing of it behind; they may be run at any time.

    `tables`: on SQLite, the full names of the tables that are told of. Raises SettingsError.
    """
    names = _names(name, schema)
    if dialect is POSTGRESQL:
        return tuple(postgres_triggers.removal(names))
    if dialect is SQLITE:
        return tuple(sqlite_triggers.removal(names, tables))
    raise _unsupported(dialect)


def _names(name: str, schema: str) -> Names:
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be the name of a log.",
            hint="Take up to 48 small letters, digits and underscores.",
        )
    return Names(name=name, schema=schema)


def _unsupported(dialect: Dialect) -> SettingsError:
    return SettingsError(
        f"There is no log by triggers on {dialect.title}.", hint="Use another capture."
    )
