"""The app database's URL, and the one connection that a pass gets."""

from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from meisa_cdc.core.errors import SettingsError, SourceRefused
from meisa_cdc.source.dialects import MYSQL, POSTGRESQL, Dialect, dialect_named

#: Seconds to wait for a connection.
CONNECT_TIMEOUT = 10
DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite"}


def app_url(text: str | URL) -> URL:
    """Return the URL with the driver that we use. Raises SettingsError, SourceRefused."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text is not shown: it may hold a password.
        raise SettingsError(
            "The URL of the app database cannot be read.",
            hint="Write postgresql://user:password@host/database, mysql://… or sqlite:///path; "
            "escape special characters in the password with %.",
        ) from None
    return url.set(drivername=DRIVERS[dialect_of(url).name])


def dialect_of(url: URL) -> Dialect:
    """Return the dialect of a URL. Raises SourceRefused where we do not know it."""
    return dialect_named(url.drivername.partition("+")[0])


def place_of(url: URL) -> str:
    """Return where the database is, for people: never a password."""
    if dialect_of(url) not in (POSTGRESQL, MYSQL):
        return f"the SQLite file {url.database or ':memory:'}"
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"{dialect_of(url).title} at {host}{port}"


def driver_arguments(url: URL) -> dict[str, Any]:
    """Return the keyword arguments of the driver's connect() for this URL."""
    if dialect_of(url) is MYSQL:
        pymysql_or_refusal()
    try:
        _, arguments = url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError, TypeError) as error:
        raise SettingsError(f"The URL of the app database cannot be used: {error}") from None
    return dict(arguments)


def pymysql_or_refusal() -> Any:
    """Return the driver for MySQL. Raises SourceRefused where it is not installed."""
    try:
        import pymysql
    except ImportError:
        raise SourceRefused(
            "The driver for MySQL and MariaDB is not installed.",
            hint="Install it: pip install 'meisa-cdc[mysql]'.",
        ) from None
    return pymysql
