"""`init --from-database`: what it proposes runs as it is, on each kind of database."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    NullPool,
    Numeric,
    String,
    Table,
    create_engine,
)

from meisa_cdc.cli.main import main
from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.core.mapping import check_set
from meisa_cdc.core.values import Value, canonical, canonical_key
from meisa_cdc.settings import load_settings
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.templates import load_mappings

Proposed = Callable[[str], dict[str, dict[str, dict[str, Value]]]]


@pytest.fixture
def proposed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Proposed:
    """Return a function: URL -> mapping -> key -> canonical values, after `init`."""
    folder = tmp_path / "synced"

    def proposed(url: str) -> dict[str, dict[str, dict[str, Value]]]:
        words = ["init", str(folder), "--from-database", "--url", url, "--format", "json"]
        assert main(words) == 0, capsys.readouterr().err
        capsys.readouterr()
        settings = load_settings(environ={"MEISA_CDC_APP_DATABASE__URL": url}, cwd=folder)
        address = settings.require_app_database()
        database = AppDatabase(address.reveal())
        mappings = load_mappings(settings.mappings_dir, variables={}, dialect=address.dialect)
        rows: dict[str, dict[str, dict[str, Value]]] = {}
        with database.snapshot() as snapshot:
            columns = {each.name: [c.name for c in snapshot.columns(each)] for each in mappings}
            assert check_set(columns) == "contacts/identity"
            for each in mappings:
                for keys in (None, ["1", "2"]):
                    found = {
                        canonical_key(row.pop(KEY_COLUMN)): {
                            name: canonical(value, each.settings_of(name).type, UTC)
                            for name, value in row.items()
                        }
                        for batch in snapshot.read(each, keys)
                        for raw in batch
                        for row in [dict(zip(columns[each.name], raw, strict=True))]
                    }
                    whole = rows.setdefault(each.name, found)
                    assert found == {key: whole[key] for key in found}
        return rows

    return proposed


def test_the_sample_database_gives_contacts_and_their_invoices(chinook, proposed):
    """Customers, not employees, with what they bought, alike on every database."""
    rows = proposed(chinook.url)
    assert set(rows) == {"contacts/identity", "contacts/invoice"}
    assert len(rows["contacts/identity"]) == len(rows["contacts/invoice"]) == 59
    assert rows["contacts/identity"]["6"] == {
        "email": "hholy@gmail.com",
        "first_name": "Helena",
        "last_name": "Holý",
        "country": "Czech Republic",
        "company": None,
    }
    assert rows["contacts/invoice"]["6"] == {
        "invoice_count": 7,
        "invoice_total": 49.62,
        "first_invoice_at": "2021-07-11T00:00:00Z",
        "last_invoice_at": "2025-11-13T00:00:00Z",
    }


def app(url: str) -> None:
    """Make the tables of a small SaaS app, with rows, secrets and a reserved word."""
    tables = MetaData()
    users = Table(
        "users",
        tables,
        Column("id", Integer, primary_key=True),
        Column("email", String(100)),
        Column("full_name", String(100)),
        Column("created_at", DateTime),
        Column("deleted_at", DateTime),
        Column("onboarding_completed", Boolean),
        Column("password_hash", String(100)),
    )
    plans = Table(
        "plans", tables, Column("id", Integer, primary_key=True), Column("name", String(20))
    )
    subscriptions = Table(
        "subscriptions",
        tables,
        Column("id", Integer, primary_key=True),
        Column("user_id", ForeignKey("users.id")),
        Column("plan_id", ForeignKey("plans.id")),
        Column("status", String(20)),
        Column("trial_ends_at", DateTime),
        Column("started_at", DateTime),
    )
    orders = Table(
        "order",
        tables,
        Column("key", Integer, primary_key=True),
        Column("user_id", ForeignKey("users.id")),
        Column("total", Numeric(10, 2)),
        Column("date", DateTime),
    )
    tips = Table(
        "tips",
        tables,
        Column("id", Integer, primary_key=True),
        Column("user_id", ForeignKey("users.id")),
        Column("amount", Float),
    )
    day = [datetime(2026, 1, each) for each in range(1, 10)]  # noqa: DTZ001 - columns without zone
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        tables.create_all(connection)
        insert = connection.execute
        person = {"full_name": "Ann", "created_at": day[0], "password_hash": "x"}
        done = {"onboarding_completed": True, "deleted_at": None}
        insert(
            users.insert(),
            [
                {"id": 1, "email": "a@x.org", **person, **done},
                {"id": 2, "email": None, **person, **done},
                {"id": 3, "email": "c@x.org", **person, **done, "deleted_at": day[1]},
            ],
        )
        insert(plans.insert(), [{"id": 1, "name": "free"}, {"id": 2, "name": "pro"}])
        started = [{"plan_id": 1, "status": "canceled"}, {"plan_id": 2, "status": "active"}]
        insert(
            subscriptions.insert(),
            [
                {"user_id": 1, "trial_ends_at": day[5], "started_at": day[place], **each}
                for place, each in enumerate(started)
            ],
        )
        insert(
            orders.insert(),
            [{"user_id": 1, "total": each, "date": day[2]} for each in ("0.10", "0.20", "0.30")]
            + [{"user_id": None, "total": "5", "date": day[2]}],
        )
        insert(tips.insert(), [{"user_id": 1, "amount": each} for each in (0.1, 0.2, 0.7)])
    engine.dispose()


def test_an_apps_plans_and_orders_are_proposed(app_database, proposed):
    """The newest subscription with its plan's name, sums in cents, no secret, no deleted user."""
    app(app_database.url)
    assert proposed(app_database.url) == {
        "contacts/identity": {
            "1": {
                "email": "a@x.org",
                "display_name": "Ann",
                "signup_date": "2026-01-01",
                "onboarding_completed": True,
            }
        },
        "contacts/plan": {
            "1": {
                "plan": "pro",
                "subscription_status": "active",
                "trial_ends_at": "2026-01-06T00:00:00Z",
            }
        },
        "contacts/order": {
            "1": {
                "order_count": 3,
                "order_total": 0.6,
                "first_order_at": "2026-01-03T00:00:00Z",
                "last_order_at": "2026-01-03T00:00:00Z",
            }
        },
        "contacts/tip": {"1": {"tip_count": 3, "tip_total": 1}},
    }


def test_a_url_with_a_password_stays_out_of_the_file(chinook_postgres_url, tmp_path, capsys):
    """The settings file gets an address only where it holds no secret."""
    main(["init", str(tmp_path / "a"), "--from-database", "--url", chinook_postgres_url])
    told = capsys.readouterr().out
    text = (tmp_path / "a" / "meisa-cdc.toml").read_text(encoding="utf-8")
    secret = ":" in chinook_postgres_url.partition("//")[2].partition("@")[0]
    assert ("\nurl = " in text) is not secret
    assert ("Set MEISA_CDC_APP_DATABASE__URL" in told) is secret


def test_an_sqlite_file_is_found_again_from_anywhere(chinook_sqlite_url, tmp_path, capsys):
    """Its address is written as an absolute path, and the next steps do without setting it."""
    folder = tmp_path / "deep" / "down"
    assert main(["init", str(folder), "--from-database", "--url", chinook_sqlite_url]) == 0
    settings = load_settings(environ={}, cwd=folder)
    assert settings.require_app_database().file == tmp_path / "chinook.db"
    assert "MEISA_CDC_APP_DATABASE__URL" not in capsys.readouterr().out


def test_settings_that_are_there_are_used_and_kept(chinook_sqlite_url, tmp_path, capsys):
    """In a folder with settings they name the database and the folder of the mappings."""
    text = f'mappings_dir = "sql"\n[app_database]\nurl = "{chinook_sqlite_url}"\n'
    (tmp_path / "meisa-cdc.toml").write_text(text, encoding="utf-8")
    assert main(["init", str(tmp_path), "--from-database", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kept"] == ["meisa-cdc.toml"]
    assert told["written"] == ["sql/contacts/identity.sql", "sql/contacts/invoice.sql"]
    assert (tmp_path / "meisa-cdc.toml").read_text(encoding="utf-8") == text
    assert (tmp_path / "sql" / "contacts" / "invoice.sql").exists()


def test_what_was_left_out_is_told(sqlite_url, tmp_path, capsys):
    """Other tables that might hold the contacts are named, and those there was no room for."""
    tables, engine = MetaData(), create_engine(sqlite_url, poolclass=NullPool)
    for name in ("users", "accounts"):
        Table(name, tables, Column("id", Integer, primary_key=True), Column("email", String))
    for number in range(15):
        key: Column[int] = Column("user_id", ForeignKey("users.id"))
        Table(f"deed_{number:02}", tables, Column("id", Integer, primary_key=True), key)
    tables.create_all(engine)
    assert main(["init", str(tmp_path), "--from-database", "--url", sqlite_url]) == 0
    told = capsys.readouterr().out
    assert "Contacts are the rows of users.\nThey might be in accounts instead.\n" in told
    assert "point at contacts: deed_05, deed_06," in told
    assert "deed_12 and 2 more.\n" in told


def test_a_database_without_users_is_told(sqlite_url, tmp_path, capsys):
    """Nothing is written where no table looks like the users."""
    engine = create_engine(sqlite_url)
    Table("things", MetaData(), Column("id", Integer, primary_key=True)).create(engine)
    engine.dispose()
    assert main(["init", str(tmp_path / "a"), "--from-database", "--url", sqlite_url]) == 1
    assert "None of the 1 tables in sqlite:///" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
