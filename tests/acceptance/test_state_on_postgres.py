"""The main job with the state on Postgres, as in production."""

from sqlalchemy import MetaData, NullPool, create_engine, select

from tests.acceptance.installed import Desk, users

MANY = 12


def test_the_main_job_with_the_state_on_postgres(desk: Desk, postgres_url: str) -> None:
    """Held, planned without a trace, approved, delivered once; nothing lies in the folder."""
    desk.settings["MEISA_CDC_STATE__URL"] = postgres_url
    desk.settings["MEISA_CDC_GUARD__MIN_CONTACTS"] = str(MANY - 1)
    desk.app_has(users(MANY))
    assert desk.json("plan", code=3)["summary"]["create"] == MANY
    assert rows_of(postgres_url) == {}
    desk.run("sync", code=3)
    before = rows_of(postgres_url)
    digest = desk.json("plan", code=3)["digest"]
    assert rows_of(postgres_url) == before
    assert desk.json("sync", "--approve", str(digest))["delivered"] == MANY
    desk.app_has({**users(MANY), **users(1, plan="pro")})
    assert desk.json("sync")["delivered"] == 1
    assert desk.json("show", "u000")["ledger"]["custom_fields.plan"] == "pro"
    names = {path.name for path in desk.folder.iterdir()}
    assert names == {"app.db", "mappings"}


def test_an_apps_own_schema_is_refused(desk: Desk, chinook_postgres_url: str) -> None:
    """The state does not move in among foreign tables."""
    before = rows_of(chinook_postgres_url)
    ended = desk.run("sync", code=1, MEISA_CDC_STATE__URL=chinook_postgres_url)
    assert "table" in ended.err
    assert rows_of(chinook_postgres_url) == before


def rows_of(url: str) -> dict[str, list[str]]:
    """Return every row of every table of a database, as text in a fixed order."""
    engine = create_engine(url, poolclass=NullPool)
    tables = MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        return {
            name: sorted(map(repr, connection.execute(select(table))))
            for name, table in tables.tables.items()
        }
