"""The log of changed rows on MariaDB, as its commands show it."""

import json
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url

from meisa_cdc.cli.main import main
from tests.installation import deliver
from tests.installation.place import Installation

TABLES = (
    "create table users (id bigint primary key, email varchar(80), first_name text, plan int)",
    "create table plans (id int primary key, name varchar(40))",
    "insert into plans values (1, 'free'), (2, 'pro')",
    "insert into users select seq, concat('u', seq, '@example.com'), 'Ada', 1 from seq_1_to_3",
)
IDENTITY = "select id as external_id, email, first_name from users\n"
PLAN = "select u.id as external_id, p.name as plan from users u join plans p on p.id = u.plan\n"


class Desk:
    """A user with an app database on MariaDB, who may do anything there."""

    def __init__(self, place: Installation, url: str) -> None:
        self.place = place
        self.url = make_url(url)

    def connect(self) -> pymysql.Connection:
        """Connect as the app does."""
        return pymysql.connect(
            host=self.url.host,
            port=self.url.port or 3306,
            user=self.url.username,
            password=str(self.url.password or ""),
            database=self.url.database,
            autocommit=True,
        )

    def execute(self, *statements: str) -> None:
        """Change the app database."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command that must end with that code; return what it printed."""
        environ = self.place.folder / "environ"
        given = self.place.environ
        environ.write_text("".join(f"{name}='{value}'\n" for name, value in given.items()))
        config = self.place.folder / "meisa-cdc.toml"
        config.touch()
        out, err = StringIO(), StringIO()
        everywhere = ["--config", str(config), "--env-file", str(environ)]
        with redirect_stdout(out), redirect_stderr(err):
            ended = main([*arguments, *everywhere])
        assert ended == code, out.getvalue() + err.getvalue()
        return out.getvalue() + (err.getvalue() if code else "")


@pytest.fixture
def desk(tmp_path: Path, mariadb_url: str) -> Iterator[Desk]:
    """Yield a desk with two mappings."""
    given = {
        "MEISA_CDC_APP_DATABASE__URL": mariadb_url,
        "MEISA_CDC_SUPPRESSION__URL": f"sqlite:///{tmp_path / 'suppressed.db'}",
        "MEISA_CDC_GUARD__MIN_CONTACTS": "1000",
    }
    (tmp_path / "suppressed.db").touch()
    with Installation.at(tmp_path, None, **given) as place:
        desk = Desk(place, mariadb_url)
        desk.execute(*TABLES)
        place.map(identity=IDENTITY, plan=PLAN)
        yield desk


def statements(printed: str) -> list[str]:
    """Return the statements of a script, as a client tells them apart."""
    found, mark, text = [], ";", ""
    for line in printed.splitlines():
        if line.startswith("delimiter "):
            mark = line.removeprefix("delimiter ")
        elif not line.startswith("--"):
            text = f"{text}\n{line}" if text else line
            if text.endswith(mark):
                found.append(text.removesuffix(mark))
                text = ""
    assert not text.strip()
    return found


def test_what_is_printed_can_be_run_by_hand(desk: Desk):
    """Statement by statement, as a client reads them; then nothing is left to do."""
    printed = desk.run("capture", "setup")
    assert "identity: followed, reads `users`" in printed
    desk.execute(*filter(str.strip, statements(printed)))
    assert "Nothing is left to do" in desk.run("capture", "setup", "--print")
    status = desk.run("capture", "status")
    assert "Triggers meisa_cdc: on `plans`, `users`." in status
    assert "contacts/plan: log: the database keeps a log of changed rows" in status
    assert "Slot" not in status


def test_a_change_arrives_by_the_log(desk: Desk):
    """Set up, followed, looked at, and removed."""
    assert "Triggers meisa_cdc: none." in desk.run("capture", "status")
    assert "done  create trigger" in desk.run("capture", "setup", "--apply")
    assert "contacts/plan: log" in desk.run("capture", "status")
    deliver(desk.place.settings())
    desk.execute("select sleep(1.2)")
    deliver(desk.place.settings(), later=100)
    desk.execute("update users set plan = 2 where id = 2")
    ran = deliver(desk.place.settings(), later=200)
    assert ran.plan.summary.requests == 1
    document = json.loads(desk.run("status", "--format", "json"))
    assert {each["capture"] for each in document["mappings"]} == {"log"}
    assert "contacts/plan: capture log" in desk.run("check")
    desk.run("capture", "drop")
    assert "There is no log meisa_cdc" in desk.run("capture", "drop")
    document = json.loads(desk.run("capture", "status", "--format", "json"))
    assert document["triggers"] is None
    assert {each["capture"] for each in document["mappings"]} == {"checksum"}


def test_a_slot_is_refused(desk: Desk):
    """There is none on MariaDB."""
    assert "keeps no log of its own" in desk.run("capture", "setup", "--by", "slot", code=1)
