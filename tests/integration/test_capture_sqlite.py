"""The log of changed rows on SQLite: set up, followed, looked at, lost, removed, by commands."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from meisa_cdc.cli.main import main
from tests.installation import until
from tests.installation.place import Installation, Person, people

PLAN = "{{ config(capture='log') }}\nselect id as external_id, plan from users\n"
APPLY = ("setup", "--apply")


class Desk:
    """A user with an app database in a file."""

    def __init__(self, place: Installation) -> None:
        self.place = place

    def execute(self, *statements: str) -> None:
        """Change the app database, as the app would."""
        with closing(sqlite3.connect(self.place.app, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def run(self, *arguments: str, code: int = 0, **settings: str) -> str:
        """Run a command that must end with that code; return what it printed."""
        given = self.place.environ | settings
        environ = self.place.folder / "environ"
        environ.write_text("".join(f"{name}='{value}'\n" for name, value in given.items()))
        config = self.place.folder / "meisa-cdc.toml"
        config.touch()
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            ended = main([*arguments, "--config", str(config), "--env-file", str(environ)])
        assert ended == code, out.getvalue() + err.getvalue()
        return out.getvalue() + (err.getvalue() if code else "")

    def document(self, *arguments: str, code: int = 0, **settings: str) -> Any:
        """Run a command; return its document."""
        return json.loads(self.run(*arguments, "--format", "json", code=code, **settings))

    def captures(self) -> dict[str, tuple[str, str]]:
        """Return how changes were found last, and why: what `status` says."""
        told = self.document("status")["mappings"]
        return {each["mapping"]: (each["capture"], each["capture_reason"]) for each in told}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Yield a desk whose app has three users."""
    with Installation.at(tmp_path) as place:
        place.map(plan=PLAN)
        place.app_has(people(3))
        yield Desk(place)


def test_a_log_that_is_asked_for_and_not_there_is_said(desk: Desk):
    """With what to do about it."""
    text = desk.run("capture", code=1)
    assert "Triggers meisa_cdc: none." in text
    assert "meisa-cdc capture setup" in text
    assert "Slot" not in text
    assert "There is no log meisa_cdc." in desk.run("capture", "drop")


def test_setting_up_prints_and_applies(desk: Desk):
    """One transaction; run again, it has nothing left to do."""
    printed = desk.run("capture", "setup", "--print")
    assert printed.index("begin immediate;") < printed.index("CREATE TRIGGER")
    assert printed.rstrip().endswith("commit;")
    assert "lock_timeout" not in printed
    told = desk.document("capture", *APPLY)
    assert (told["by"], told["applied"], told["problems"]) == ("triggers", True, [])
    again = desk.document("capture", "setup", "--by", "triggers", "--apply")
    assert (again["applied"], again["statements"]) == (True, [])
    assert "Nothing is left to do." in desk.run("capture", "setup")
    status = desk.document("capture", "status")
    assert status["triggers"] == {"tables": ["users"]}
    assert (status["slot"], status["publication"], status["missing"]) == (None, None, [])
    assert "Triggers meisa_cdc: on users." in desk.run("capture")
    findings = desk.document("check")["findings"]
    assert ("contacts/plan", "capture log: as its config says") in [
        (each["what"], each["text"]) for each in findings
    ]
    shown = desk.run("compile", "contacts/plan")
    assert shown.startswith("-- contacts/plan, capture log: as its config says\n")
    assert "meisa_cdc_changes_" in shown
    error = desk.run("capture", "setup", "--by", "slot", code=1)
    assert "SQLite keeps no log of its own" in error


def test_what_was_printed_can_be_run_by_hand(desk: Desk):
    """Word for word, by the app's own tools."""
    printed = desk.run("capture", "setup", "--print")
    with closing(sqlite3.connect(desk.place.app, isolation_level=None)) as connection:
        connection.executescript(printed)
    assert desk.document("capture", "setup")["statements"] == []


def test_a_changed_row_reaches_meisa_without_a_full_read(desk: Desk):
    """Each contact once, whose row it is; `auto` takes the log, too."""
    desk.run("capture", *APPLY)
    desk.run("sync")
    assert desk.place.meisa_has() == people(3)
    desk.execute("update users set plan = 'pro' where id = 'u0001'")
    # A row that nobody tells of shows that the others were not read.
    with closing(sqlite3.connect(desk.place.app, isolation_level=None)) as connection:
        connection.execute("begin")
        connection.execute("update users set first_name = 'Untold' where id = 'u0002'")
        tables = connection.execute("select name from sqlite_master where name like '%changes_%'")
        for (name,) in tables.fetchall():
            connection.execute(f"delete from {name} where id = 'u0002'")
        connection.execute("commit")
    desk.run("sync")
    assert desk.captures() == {
        "contacts/identity": ("log", "the database keeps a log of changed rows"),
        "contacts/plan": ("log", "as its config says"),
    }
    assert desk.place.meisa_has() == {
        **people(3),
        "u0001": Person("u0001@example.com", plan="pro"),
    }


def test_without_its_triggers_a_mapping_is_scanned_and_says_so(desk: Desk):
    """After a migration of the app's, as Django does them on SQLite."""
    desk.run("capture", *APPLY)
    desk.run("sync")
    desk.execute(
        "create table fresh (id text primary key, email text, first_name text, plan text)",
        "insert into fresh select id, email, first_name, 'pro' from users",
        "drop table users",
        "alter table fresh rename to users",
    )
    desk.run("sync")
    assert {person.plan for person in desk.place.meisa_has().values()} == {"pro"}
    kind, why = desk.captures()["contacts/plan"]
    assert kind == "scan"
    assert "changes of" in why
    text = desk.run("capture", code=1)
    assert "Not complete for these mappings" in text
    desk.run("capture", *APPLY)
    desk.run("sync")
    desk.execute("update users set plan = 'free' where id = 'u0002'")
    desk.run("sync")
    assert desk.captures()["contacts/plan"][0] == "log"
    assert desk.place.meisa_has()["u0002"].plan == "free"
    assert desk.document("capture", "drop")["statements"]
    assert desk.document("capture", "drop")["statements"] == []
    desk.execute("alter table users drop column plan")


def test_trouble_is_called_so(desk: Desk):
    """Where the app's writes fail because of us."""
    desk.run("capture", *APPLY)
    desk.execute("drop table meisa_cdc_log")
    assert "TROUBLE meisa_cdc_log is gone" in desk.run("capture", code=1)
    desk.run("capture", "drop")
    desk.execute("update users set plan = 'pro'")
    desk.run("capture", *APPLY)
    with closing(sqlite3.connect(desk.place.app)) as connection:
        found = connection.execute("select name from sqlite_master where name like '%changes_%'")
        ((images,),) = found.fetchall()
    desk.execute(f"drop table {images}")
    assert f"TROUBLE {images} is gone" in desk.run("capture", code=1)


def test_whoever_sets_up_may_be_named(desk: Desk, tmp_path: Path):
    """By the URL of the same file, and of no other."""
    url = f"sqlite:///{desk.place.app}"
    other = f"sqlite:///{tmp_path}/other.db"
    sqlite3.connect(tmp_path / "other.db").close()
    told = desk.document("capture", *APPLY, code=1, MEISA_CDC_SETUP_URL=other)
    assert [each["problem"] for each in told["problems"]] == [
        "MEISA_CDC_SETUP_URL leads to another database than app_database.url"
    ]
    assert desk.document("capture", *APPLY, MEISA_CDC_SETUP_URL=url)["applied"]
    missing = f"sqlite:///{tmp_path}/missing.db"
    for each in (other, missing):
        error = desk.run("capture", "drop", code=1, MEISA_CDC_SETUP_URL=each)
        assert "leads to another database" in error
    assert desk.document("capture", "status")["triggers"] == {"tables": ["users"]}


def test_a_schema_of_other_bytes_is_read_all_the_same(desk: Desk):
    """Whatever stands in a table that no mapping reads."""
    with closing(sqlite3.connect(desk.place.app, isolation_level=None)) as connection:
        connection.execute("create table notes (a integer, b text default 'cafe')")
        connection.execute("pragma writable_schema = on")
        made = b"create table notes (a integer, b text default 'caf\xe9')"
        changed = "update sqlite_master set sql = cast(? as text) where name = 'notes'"
        connection.execute(changed, [made])
    assert desk.document("capture", *APPLY)["applied"]
    assert desk.document("capture", "drop")["statements"]


def test_run_wakes_up_by_itself(desk: Desk):
    """Long before any schedule, and after the file was replaced by another."""
    desk.run("capture", *APPLY)
    desk.place.environ["MEISA_CDC_SCHEDULE__EVERY"] = "1h"
    with desk.place.program("run") as program:
        until(lambda: desk.place.meisa_has() == people(3))
        desk.execute("update users set plan = 'pro' where id = 'u0001'")
        until(lambda: desk.place.meisa_has()["u0001"].plan == "pro")
        copy = desk.place.folder / "copy.db"
        with (
            closing(sqlite3.connect(desk.place.app)) as one,
            closing(sqlite3.connect(copy)) as two,
        ):
            one.backup(two)
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("update users set plan = 'team' where id = 'u0002'")
        for behind in ("-wal", "-shm"):
            Path(f"{desk.place.app}{behind}").unlink(missing_ok=True)
        copy.replace(desk.place.app)
        until(lambda: desk.place.meisa_has()["u0002"].plan == "team")
        assert not program.events("mapping failed")
