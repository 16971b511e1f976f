"""A database's address: resolved, normalised, and never shown with its password."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

Dialect = Literal["postgresql", "mysql", "sqlite"]

#: Scheme -> (dialect, the driver we ship with, as SQLAlchemy names both).
SCHEMES: dict[str, tuple[Dialect, str]] = {
    "postgresql": ("postgresql", "postgresql+psycopg"),
    "postgres": ("postgresql", "postgresql+psycopg"),
    "mysql": ("mysql", "mysql+pymysql"),
    "mariadb": ("mysql", "mysql+pymysql"),
    "sqlite": ("sqlite", "sqlite"),
}
#: Drivers a scheme may name, since they are the ones we use anyway.
DRIVERS = {"", "psycopg", "pymysql", "pysqlite"}
EXAMPLES = "postgresql://user:password@host/name, mysql://… or sqlite:///path"


@dataclass(frozen=True, slots=True, repr=False)
class DatabaseUrl:
    """The address of a database. `str` and `repr` leave out password and options."""

    _url: URL
    dialect: Dialect

    @classmethod
    def parse(cls, text: str, base: Path) -> "DatabaseUrl":
        """Return the address in an SQLAlchemy URL; a relative SQLite path starts at `base`.

        Raises ValueError with a text that shows nothing of the URL but its scheme.
        """
        url = _parsed(text)
        scheme, _, driver = url.drivername.partition("+")
        if scheme not in SCHEMES:
            message = f"{scheme!r} is not a database we know; write {EXAMPLES}"
            raise ValueError(message)
        dialect, drivername = SCHEMES[scheme]
        if driver not in DRIVERS:
            message = f"the driver {driver!r} is not used here; write {dialect}://…"
            raise ValueError(message)
        url = url.set(drivername=drivername)
        return cls(_with_file(url, base) if dialect == "sqlite" else _with_host(url), dialect)

    def reveal(self) -> str:
        """Return the whole URL for SQLAlchemy, password included."""
        return self._url.render_as_string(hide_password=False)

    @property
    def file(self) -> Path | None:
        """The SQLite file, absolute; None for servers."""
        return Path(self._url.database or "") if self.dialect == "sqlite" else None

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must not be shown: the password, plain and as URLs write it."""
        hidden = [str(self._url.password or "")]
        for name, value in self._url.query.items():
            if "password" in name.lower():
                hidden.extend([value] if isinstance(value, str) else value)
        spellings = (f(text) for text in hidden for f in (str, quote, quote_plus))
        return tuple(dict.fromkeys(text for text in spellings if text))

    def __str__(self) -> str:
        shown = URL.create(
            self.dialect,
            username=self._url.username,
            host=self._url.host,
            port=self._url.port,
            database=self._url.database,
        )
        return shown.render_as_string(hide_password=True)

    def __repr__(self) -> str:
        return f"DatabaseUrl({str(self)!r})"


def _parsed(text: str) -> URL:
    try:
        return make_url(text.strip())
    except (ArgumentError, ValueError):
        message = (
            f"this is not a database URL; write {EXAMPLES}, "
            "with special characters of the password as %40 and so on"
        )
        raise ValueError(message) from None


def _with_file(url: URL, base: Path) -> URL:
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:"):
        message = "an SQLite database here is a plain file; write sqlite:///path"
        raise ValueError(message)
    if url.query or url.host:
        message = "an SQLite URL has three slashes and no options; write sqlite:///path"
        raise ValueError(message)
    return url.set(database=str(base / path))


def _with_host(url: URL) -> URL:
    if not url.database:
        message = "the URL names no database; write it after the host: …@host/name"
        raise ValueError(message)
    return url
