"""Which version of our tables a database has, and bringing it up to date."""

from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from meisa_cdc.core.errors import LeaseHeld, StateRefused
from meisa_cdc.ports import Clock
from meisa_cdc.state.engine import Database
from meisa_cdc.state.lease import live_holder
from meisa_cdc.state.schema import VERSION_TABLE, metadata

_PACKAGE = Path(__file__).resolve().parent.parent
#: Beside the package in a checkout, inside it once installed.
FOLDERS = (_PACKAGE / "migrations", _PACKAGE.parent / "migrations")
#: Any number that nobody else takes for a lock on the same Postgres database.
_UPGRADING = 0x6D65697361
#: Tables of ours that may share a schema with the state.
SUPPRESSION_TABLES = frozenset(
    {"meisa_suppressed_emails", "meisa_suppression_status", "meisa_suppression_events"}
)
_OURS = frozenset(metadata.tables) | {VERSION_TABLE} | SUPPRESSION_TABLES


class Schema(Enum):
    """How the tables of a database relate to those this program knows."""

    MISSING = auto()
    OLDER = auto()
    CURRENT = auto()
    NEWER = auto()


def migrations_folder() -> Path:
    """Return the folder of our migrations. Raises StateRefused where the installation lacks it."""
    for folder in FOLDERS:
        if (folder / "env.py").is_file():
            return folder
    raise StateRefused("The installation has no migrations.", hint="Install meisa-cdc again.")


def revisions(folder: Path) -> Sequence[str]:
    """Return the revisions of a folder, oldest first; their files are named for them."""
    return sorted(path.name.partition("_")[0] for path in (folder / "versions").glob("[0-9]*.py"))


def schema_of(connection: Connection, place: str, folder: Path) -> Schema:
    """Return what is there. Raises StateRefused where tables of somebody else are."""
    tables = _tables(connection)
    # The app may well have a table of its own called contacts; the version table is ours alone.
    foreign = sorted(tables - (_OURS if VERSION_TABLE in tables else SUPPRESSION_TABLES))
    if foreign:
        some = ", ".join(foreign[:3]) + (", …" if len(foreign) > 3 else "")  # noqa: PLR2004
        raise StateRefused(
            f"{place} holds tables that are not ours: {some}.",
            hint="Give the state a place of its own: a file, or a Postgres schema that is named "
            "in the URL, as in ?options=-csearch_path%3Dmeisa_cdc.",
        )
    known = revisions(folder)
    found = _revision(connection) if VERSION_TABLE in tables else None
    if found is None:
        return Schema.MISSING
    if found == known[-1]:
        return Schema.CURRENT
    return Schema.OLDER if found in known else Schema.NEWER


def refuse_newer(place: str) -> StateRefused:
    """Return the refusal of a state that a newer program wrote."""
    return StateRefused(
        f"{place} was written by a newer meisa-cdc; nothing in it was changed.",
        hint="Install that version again, or a newer one.",
    )


def upgrade(database: Database, clock: Clock, folder: Path) -> bool:
    """Bring the tables up to date in one transaction; tell whether there was anything to do.

    Of several processes that start at once, one does it and the others wait for it. Raises
    LeaseHeld where a process works on the older tables, StateRefused where they are newer.
    """
    with database.write(fenced=False) as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADING})
        schema = schema_of(connection, database.place, folder)
        if schema is Schema.CURRENT:
            return False
        if schema is Schema.NEWER:
            raise refuse_newer(database.place)
        if schema is Schema.OLDER and (holder := live_holder(connection, clock)):
            raise LeaseHeld(holder)
        _run(connection, folder)
    return True


def _run(connection: Connection, folder: Path) -> None:
    # A quarter of a second of imports that a state which is up to date does without.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _tables(connection: Connection) -> set[str]:
    """Return the tables in the place where ours would be; an extension's are nobody's."""
    if connection.dialect.name == "sqlite":
        found = inspect(connection)
        return {*found.get_table_names(), *found.get_view_names()}
    if connection.execute(text("SELECT current_schema()")).scalar() is None:
        raise StateRefused(
            "The schema that the state's search_path names does not exist.",
            hint="Create it, and give its role all rights on it.",
        )
    return set(connection.execute(text(_SERVER_TABLES)).scalars())


def _revision(connection: Connection) -> str | None:
    found: str | None = connection.execute(
        select(text("version_num")).select_from(text(VERSION_TABLE))
    ).scalar()
    return found


_SERVER_TABLES = """
SELECT c.relname
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema()
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
"""
