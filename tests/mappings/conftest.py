"""The folders of mappings that we ship, each with a database that it is made for."""

from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import NamedTuple

import pytest

from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.core.mapping import EMAILS, EVENTS, SEQUENCES, Mapping
from meisa_cdc.core.occurrence import EMAIL, EMAIL_ID, EVENT_ID
from meisa_cdc.core.values import Value, canonical, canonical_key
from meisa_cdc.demo import appdb
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.snapshot import DatabaseSnapshot
from meisa_cdc.source.templates import load_mappings

ROOT = Path(__file__).parents[2]

#: What tells the rows of a mapping apart, where it is not the contact.
KEYS = {EVENTS: EVENT_ID, EMAILS: EMAIL_ID, SEQUENCES: EMAIL}

#: Key -> column -> canonical value.
Observed = dict[str, dict[str, Value]]


class Shipped(NamedTuple):
    """One folder of mappings."""

    folder: Path
    #: As SQLAlchemy calls it.
    dialect: str
    #: The fixture with the URL of its database.
    database: str


SHIPPED = {
    "example": Shipped(ROOT / "mappings", "sqlite", "example_url"),
    "sqlite": Shipped(ROOT / "tests/chinook/mappings_sqlite", "sqlite", "chinook_sqlite_url"),
    "postgres": Shipped(
        ROOT / "tests/chinook/mappings_postgres", "postgresql", "chinook_postgres_url"
    ),
    "mysql": Shipped(ROOT / "tests/chinook/mappings_mysql", "mysql", "chinook_mariadb_url"),
}


@pytest.fixture
def example_url(tmp_path: Path) -> str:
    """Return the URL of the demo's app database."""
    path = tmp_path / "demo.db"
    appdb.build(path, users=400)
    return f"sqlite:///{path}"


@pytest.fixture(params=SHIPPED)
def shipped(request: pytest.FixtureRequest) -> Shipped:
    """Return every folder in turn."""
    return SHIPPED[request.param]


@pytest.fixture
def load() -> Callable[[str], list[Mapping]]:
    """Return a function that loads the mappings of a folder by its name in SHIPPED."""
    return lambda name: loaded(SHIPPED[name])


@pytest.fixture
def observe() -> Callable[[str, str], dict[str, Observed]]:
    """Return a function that reads (folder's name, URL): all rows, by the file's stem."""

    def read(name: str, url: str) -> dict[str, Observed]:
        mappings = loaded(SHIPPED[name])
        with AppDatabase(url).snapshot() as snapshot:
            return {each.name.partition("/")[2]: rows_of(snapshot, each) for each in mappings}

    return read


def loaded(shipped: Shipped) -> list[Mapping]:
    """Return the mappings of a folder."""
    return load_mappings(shipped.folder, variables={}, dialect=shipped.dialect)


def rows_of(
    snapshot: DatabaseSnapshot, mapping: Mapping, keys: Sequence[str] | None = None
) -> Observed:
    """Return what a mapping yields, in canonical values."""
    names = [column.name for column in snapshot.columns(mapping)]
    rows: Observed = {}
    for batch in snapshot.read(mapping, keys):
        for raw in batch:
            row = dict(zip(names, raw, strict=True))
            key = canonical_key(row.pop(KEYS.get(mapping.kind, KEY_COLUMN)))
            assert key not in rows, f"{mapping.name} yields {key} twice"
            rows[key] = {
                name: canonical(value, mapping.settings_of(name).type, UTC)
                for name, value in row.items()
            }
    return rows


@pytest.fixture
def read_rows() -> Callable[..., Observed]:
    """Return a function that reads one mapping: (snapshot, mapping, keys or None)."""
    return rows_of
