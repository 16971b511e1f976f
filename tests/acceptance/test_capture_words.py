"""The log of changed rows as a user meets it, on Postgres."""

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import make_url

from tests.acceptance.installed import Desk

TABLES = """
create table users (id text primary key, email text, first_name text, plan text);
insert into users values ('u1', 'u1@example.com', 'Ada', 'free');
"""


@pytest.fixture
def desk(desk_at: Callable[..., Desk], postgres_url: str) -> Iterator[Desk]:
    """Yield a desk whose app is on Postgres."""
    desk = desk_at()
    desk.move_in()
    desk.settings["MEISA_CDC_APP_DATABASE__URL"] = postgres_url
    desk.settings["MEISA_CDC_CAPTURE__NAME"] = f"{make_url(postgres_url).database}"
    url = make_url(postgres_url).set(drivername="postgresql")
    text = url.render_as_string(hide_password=False)
    with closing(psycopg.connect(text, autocommit=True)) as app:
        app.execute(TABLES.encode())
    yield desk
    desk.run("capture", "drop")


def test_a_log_is_made_looked_at_and_removed(desk: Desk) -> None:
    """Each document has the keys that docs/json.md gives it; what is printed can be run."""
    printed = desk.run("capture", "setup", code=1)
    assert "-- To be put right first:" in printed.out
    assert "max_slot_wal_keep_size is not set" in printed.out
    assert "create publication" in printed.out
    assert "MEISA_CDC_SETUP_URL" in desk.run("capture", "setup", "--help").out
    told = desk.json("capture", "setup", "--apply", "--allow-unlimited-wal")
    assert (told["by"], told["applied"]) == ("slot", True)
    assert desk.json("capture")["slot"]["wal_status"] == "reserved"
    told = desk.json("capture", "status")
    assert [each["capture"] for each in told["mappings"]] == ["log", "log"]
    desk.run("sync")
    assert "log: the database keeps a log of changed rows" in desk.run("status").out
    assert desk.json("status")["mappings"][0]["capture"] == "log"
    assert desk.json("capture", "drop")["left"] == []
    assert desk.json("capture")["slot"] is None


def test_triggers_are_another_way(desk: Desk) -> None:
    """In the same words."""
    assert "create trigger" in desk.run("capture", "setup", "--by", "triggers").out
    assert desk.json("capture", "setup", "--by", "triggers", "--apply")["by"] == "triggers"
    assert desk.json("capture", "status")["triggers"] == {"tables": ["public.users"]}
    assert "Triggers " in desk.run("capture").out
    assert desk.run("capture", "setup", "--by", "magic", code=64).out == ""
