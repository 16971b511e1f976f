"""The demo's app on Postgres with a log: a changed plan reaches Meisa without a full read."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, insert, select

from meisa_cdc.demo import appdb, tables
from tests.installation import Installation, until
from tests.installation.writers import connections, execute, plain

ROOT = Path(__file__).parents[2]
LOG = (
    *(f"alter table {name} replica identity full" for name in ("subscriptions", "posts", "logins")),
    "alter table plans replica identity full",
    "create publication meisa_cdc for table users, plans, subscriptions, posts, logins",
    "select pg_create_logical_replication_slot('meisa_cdc', 'pgoutput')",
)


@pytest.fixture
def home(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """Yield the demo's app and mappings, in step with Meisa, with hours until anything is due."""
    appdb.build(tmp_path / "demo.db")
    source = create_engine(f"sqlite:///{tmp_path / 'demo.db'}", poolclass=NullPool)
    target = create_engine(postgres_url, poolclass=NullPool)
    tables.METADATA.create_all(target)
    with source.connect() as old, target.begin() as new:
        for table in tables.METADATA.sorted_tables:
            new.execute(insert(table), list(map(dict, old.execute(select(table)).mappings())))
    execute(postgres_url, *LOG, "vacuum analyze")
    settings = {
        "MEISA_CDC_APP_DATABASE__URL": plain(postgres_url),
        "MEISA_CDC_SUPPRESSION__URL": f"sqlite:///{tmp_path / 'suppressed.db'}",
        "MEISA_CDC_SCHEDULE__EVERY": "6h",
        "MEISA_CDC_MAPPINGS_DIR": str(ROOT / "mappings"),
    }
    (tmp_path / "suppressed.db").touch()
    with Installation.at(tmp_path, None, **settings) as home:
        yield home


def rows_read(url: str) -> dict[str, int]:
    """Return how many rows whole tables were read for, by table."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        found = connection.execute("select relname, seq_tup_read from pg_stat_user_tables")
        return {str(name): int(rows) for name, rows in found}


def paid_at_meisa(home: Installation, user: str) -> object:
    """Return what Meisa knows that a user pays a month."""
    found = [each for each in home.account.contacts() if each["external_id"] == user]
    custom = found[0]["custom_fields"] if found else {}
    return custom.get("mrr") if isinstance(custom, dict) else None


def a_subscriber(url: str) -> str:
    """Return a user who pays."""
    text = "select min(user_id) from subscriptions where status = 'active' and mrr_cents > 0"
    with psycopg.connect(plain(url)) as connection:
        row = connection.execute(text).fetchone()
    assert row is not None
    return str(row[0])


def test_a_changed_subscription_arrives_without_a_full_read(home: Installation, postgres_url: str):
    """Within seconds, though the next scheduled read is hours away."""
    user = a_subscriber(postgres_url)
    with home.program("run") as program:
        until(lambda: paid_at_meisa(home, user), within=120)
        until(lambda: len(home.account.contacts()) > 1900, within=120)
        before = rows_read(postgres_url)
        changed = f"update subscriptions set mrr_cents = 123400 where user_id = {user}"
        execute(postgres_url, changed)
        until(lambda: paid_at_meisa(home, user) == 1234)
        program.heard("pass", 2)
        # What a connection read is counted when it ends; one of ours stays, and watches the log.
        until(lambda: connections(postgres_url) <= 1)
        after = rows_read(postgres_url)
    assert {name: after[name] - before[name] for name in after if name != "plans"} == {
        name: 0 for name in after if name != "plans"
    }
