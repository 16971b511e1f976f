"""The log of changed rows on Postgres: set up, looked at, lost, removed."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq
from sqlalchemy import URL, make_url

from meisa_cdc.cli.main import main
from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.database import AppDatabase
from tests.installation.place import Installation, Person

TABLES = (
    "create table users (id bigint primary key, email text, first_name text, plan_id int)",
    "create table plans (id int primary key, name text)",
    "insert into plans values (1, 'free'), (2, 'pro')",
    """insert into users select n, 'u' || n || '@example.com', 'Ada', 1
    from generate_series(1, 3) n""",
)
TELLS = "(publish = 'insert, update, delete, truncate')"
IDENTITY = "select id as external_id, email, first_name from users\n"
PLAN = (
    "{{ config(capture='log') }}\n"
    "select u.id as external_id, p.name as plan from users u join plans p on p.id = u.plan_id\n"
)
KEPT = """
select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
from pg_replication_slots where slot_name = '{}'
"""
SETUP = "MEISA_CDC_SETUP_URL"
APPLY = ("setup", "--apply", "--allow-unlimited-wal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A user with an app database on Postgres, who may do anything there."""

    place: Installation
    url: URL

    def execute(self, *statements: str) -> None:
        """Change the app database, as the app would."""
        with closing(self.connect()) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def connect(self) -> psycopg.Connection[Any]:
        """Connect as the app does."""
        text = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(text, autocommit=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the app database."""
        with closing(self.connect()) as connection:
            return connection.execute(query.encode()).fetchall()

    def run(self, *arguments: str, code: int = 0, settings: dict[str, str] | None = None) -> str:
        """Run a command that must end with that code; return what it printed."""
        given = self.place.environ | (settings or {})
        environ = self.place.folder / "environ"
        environ.write_text("".join(f"{name}='{value}'\n" for name, value in given.items()))
        config = self.place.folder / "meisa-cdc.toml"
        config.touch()
        everywhere = ["--config", str(config), "--env-file", str(environ)]
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            ended = main([*arguments, *everywhere])
        assert ended == code, out.getvalue() + err.getvalue()
        return out.getvalue() + (err.getvalue() if code else "")

    def sync(self) -> None:
        """Run once; all has to go well."""
        self.run("sync", "--format", "json")

    def capture(
        self, *arguments: str, code: int = 0, settings: dict[str, str] | None = None
    ) -> Any:
        """Run a `capture` command; return its document."""
        words = ("capture", *arguments, "--format", "json")
        return json.loads(self.run(*words, code=code, settings=settings))

    def plans(self) -> dict[str, str]:
        """Return the plan of each contact, as Meisa has it."""
        return {key: person.plan for key, person in self.place.meisa_has().items()}

    def captures(self) -> dict[str, tuple[str, str]]:
        """Return how changes were found last, and why, by mapping: what `status` says."""
        told = json.loads(self.run("status", "--format", "json"))
        return {
            each["mapping"]: (each["capture"], each["capture_reason"]) for each in told["mappings"]
        }

    def slots(self) -> list[str]:
        """Return the slots of the app database."""
        query = (
            "select slot_name::text from pg_replication_slots where database = current_database()"
        )
        return [name for (name,) in self.rows(query)]

    def finds(self, plan: int, how: str) -> str:
        """Change somebody's plan; assert that a pass finds it that way, and return why."""
        name = {1: "free", 2: "pro"}[plan]
        self.execute(f"update users set plan_id = {plan} where id = 2")
        self.sync()
        assert self.plans() == {"1": "free", "2": name, "3": "free"}
        kind, why = self.captures()["contacts/plan"]
        assert kind == how
        return why


@pytest.fixture
def desk(tmp_path: Path, postgres_url: str) -> Iterator[Desk]:
    """Yield a desk whose app has three users."""
    settings: dict[str, Any] = {
        "MEISA_CDC_APP_DATABASE__URL": postgres_url,
        "MEISA_CDC_SUPPRESSION__URL": postgres_url,
        "MEISA_CDC_CAPTURE__NAME": name(tmp_path),
    }
    with Installation.at(tmp_path, **settings) as place:
        place.map(identity=IDENTITY, plan=PLAN)
        desk = Desk(place=place, url=make_url(postgres_url))
        desk.execute(*TABLES)
        yield desk


def name(folder: Path) -> str:
    """Return a name that no other test's slot has: those are the server's, not a database's."""
    return f"log_{abs(hash(folder)) % 10**9}"


@contextmanager
def role(desk: Desk, called: str, *grants: str) -> Iterator[str]:
    """Yield the URL of a role of that name; `{}` in what it is granted stands for it."""
    called = f"{called}_{desk.url.database}"
    desk.execute(f"create role {called} login password 'secret'")
    desk.execute(*(each.format(called) for each in grants))
    url = desk.url.set(username=called, password="secret")
    yield url.render_as_string(hide_password=False)
    desk.execute(f"reassign owned by {called} to current_user", f"drop owned by {called}")
    desk.execute(f"drop role {called}")


def problems(document: Any) -> list[str]:
    """Return what stands in the way."""
    return [each["problem"] for each in document["problems"]]


def statements(document: Any) -> list[str]:
    """Return the first words of the statements."""
    return [" ".join(each["sql"].split()[:3]) for each in document["statements"]]


def test_the_statements_are_printed_with_reasons_and_run_by_nobody(desk: Desk) -> None:
    """What identifies rows comes first and the slot last; only tables that are read, by name."""
    text = desk.run("capture", "setup", "--allow-unlimited-wal")
    log = desk.place.environ["MEISA_CDC_CAPTURE__NAME"]
    lines = [line for line in text.splitlines() if line and not line.startswith("--")]
    assert lines == [
        "set lock_timeout = '3s';",
        "alter table public.users replica identity full;",
        f'create publication "{log}" for table public.plans, public.users with {TELLS};',
        "set lock_timeout = 0;",
        f"select pg_catalog.pg_create_logical_replication_slot('{log}', 'pgoutput');",
    ]
    assert "-- A change of public.users has to tell what plan_id was;" in text
    assert "contacts/plan: followed, reads public.plans, public.users" in text
    assert desk.slots() == []
    assert desk.capture(code=1)["mappings"][1]["capture"] == "checksum"

    # They are what --apply runs.
    desk.execute(*lines)
    assert desk.capture("setup")["statements"] == []
    assert {each["capture"] for each in desk.capture()["mappings"]} == {"log"}


def test_what_is_set_up_finds_changes(desk: Desk) -> None:
    """And setting up again does nothing, whatever happened to be changed in between."""
    desk.sync()
    assert desk.captures()["contacts/plan"][0] == "checksum"
    done = desk.capture(*APPLY)
    assert (done["applied"], done["problems"]) == (True, [])
    assert statements(done) == [
        "alter table public.users",
        f'create publication "{done["name"]}"',
        f"select pg_catalog.pg_create_logical_replication_slot('{done['name']}', 'pgoutput');",
    ]
    desk.sync()
    assert desk.finds(2, "log") == "as its config says"
    again = desk.capture(*APPLY)
    assert (again["applied"], again["statements"]) == (True, [])
    assert desk.finds(1, "log")
    told = desk.capture()
    assert told["publication"]["tables"] == ["public.plans", "public.users"]
    assert told["slot"]["wal_status"] == "reserved"
    assert 0 <= told["slot"]["kept_bytes"] < 10**7
    assert f"Slot {told['name']}: reserved, keeps " in desk.run("capture", "status")


def test_the_app_can_update_every_table_that_is_published(desk: Desk) -> None:
    """Also those without a primary key, with a deferrable one, or told to identify nothing."""
    desk.execute(
        "create table bare (user_id bigint, n int)",
        "create table late (user_id bigint primary key deferrable initially deferred, n int)",
        "create table mute (user_id bigint primary key, n int)",
        "alter table mute replica identity nothing",
        "create table indexed (user_id bigint not null, n int)",
        "create unique index by_user on indexed (user_id)",
        "alter table indexed replica identity using index by_user",
        "drop index by_user",
    )
    tables = ("bare", "late", "mute", "indexed")
    for table in tables:
        desk.execute(f"insert into {table} values (1, 1), (2, 2)")
        desk.place.map(
            **{table: f"select user_id as external_id, sum(n) as {table} from {table} group by 1\n"}
        )
    done = desk.capture(*APPLY)
    altered = {each["sql"] for each in done["statements"] if each["sql"].startswith("alter")}
    assert {f"alter table public.{table} replica identity full;" for table in tables} <= altered
    assert desk.capture()["problems"] == []
    for table in tables:
        desk.execute(f"update {table} set n = 3 where user_id = 1", f"delete from {table}")


def test_a_table_that_the_app_could_no_longer_update_is_refused(desk: Desk) -> None:
    """Postgres 18 refuses UPDATEs where generated columns would have to identify rows."""
    if desk.rows("select current_setting('server_version_num')::int")[0][0] < 180_000:
        pytest.skip("older servers leave generated columns out")
    desk.execute(
        "create table orders (id bigint primary key, user_id bigint not null, cents int,"
        " euros numeric generated always as (cents / 100.0) stored)",
        "insert into orders values (1, 1, 100)",
    )
    desk.place.map(
        orders="select user_id as external_id, sum(cents) as spent from orders group by user_id\n"
    )
    done = desk.capture(*APPLY)
    (orders,) = [each for each in done["mappings"] if each["mapping"] == "contacts/orders"]
    assert not orders["followed"]
    assert "could not update its rows with REPLICA IDENTITY FULL" in orders["reason"]
    assert "Make a unique index on columns that are not null, user_id among" in orders["advice"]
    assert desk.capture()["publication"]["tables"] == ["public.plans", "public.users"]
    desk.execute("update orders set cents = 200")

    # The advice works.
    desk.execute(
        "create unique index spending on orders (user_id, id)",
        "alter table orders replica identity using index spending",
    )
    assert desk.capture(*APPLY)["problems"] == []
    desk.execute("update orders set cents = 300")
    (orders,) = [each for each in desk.capture()["mappings"] if "orders" in each["mapping"]]
    assert orders["capture"] == "log"

    # Whoever does what we refuse is told.
    desk.execute("alter table orders replica identity full")
    with pytest.raises(psycopg.Error, match="cannot update table"):
        desk.execute("update orders set cents = 400")
    (problem,) = desk.capture(code=1)["problems"]
    assert "public.orders is published, and nothing identifies its rows" in problem["problem"]


def test_a_primary_key_that_is_dropped_is_a_danger_that_status_tells(desk: Desk) -> None:
    """The app's UPDATE fails from then on, until somebody acts; the advice works."""
    desk.execute("create table notes (user_id bigint primary key, n int)")
    desk.place.map(notes="select user_id as external_id, n as notes from notes\n")
    desk.capture(*APPLY)
    desk.execute("insert into notes values (1, 1)", "alter table notes drop constraint notes_pkey")
    with pytest.raises(psycopg.Error, match="does not have a replica identity"):
        desk.execute("update notes set n = 2")
    (problem,) = desk.capture(code=1)["problems"]
    assert "public.notes is published, and nothing identifies its rows" in problem["problem"]
    assert "TROUBLE public.notes is published" in desk.run("capture", code=1)
    assert statements(desk.capture(*APPLY)) == ["alter table public.notes"]
    desk.execute("update notes set n = 2")


def test_what_cannot_be_followed_is_not_published(desk: Desk) -> None:
    """Each mapping is told why, and what to do; other tables are left alone."""
    desk.execute(
        "create table visits (user_id bigint, day date) partition by range (day)",
        "create table visits_1 partition of visits default",
        "create table scores (user_id bigint, n int)",
        "create table others (user_id bigint, n int)",
    )
    desk.place.map(
        visits="select user_id as external_id, count(*) as visits from visits group by user_id\n",
        part="select user_id as external_id, count(*) as part from visits_1 group by user_id\n",
        best="select user_id as external_id, n as best from scores limit 3\n",
        age="select user_id as external_id, now() as age from scores\n",
        read="{{ config(capture='scan') }}\nselect user_id as external_id, n as read from others\n",
        idle="{{ config(enabled=false) }}\nselect user_id as external_id, n as idle from others\n",
        bad="select user_id as external_id, m as bad from others\n",
    )
    done = desk.capture(*APPLY)
    reasons = {each["mapping"]: each["reason"] for each in done["mappings"]}
    assert reasons.pop("contacts/identity") is None
    assert reasons.pop("contacts/plan") is None
    assert "public.visits is partitioned" in reasons.pop("contacts/visits")
    assert "public.visits_1 is partitioned, or a partition" in reasons.pop("contacts/part")
    assert "LIMIT" in reasons.pop("contacts/best")
    assert "changes of itself" in reasons.pop("contacts/age")
    assert reasons.pop("contacts/read") == "its config says scan"
    assert reasons.pop("contacts/idle") == "it is switched off"
    assert 'column "m" does not exist' in reasons.pop("contacts/bad")
    assert reasons == {}
    assert desk.capture()["publication"]["tables"] == ["public.plans", "public.users"]
    told = {each["mapping"]: each for each in desk.capture()["mappings"]}
    assert "the log of changed rows does not help" in told["contacts/best"]["reason"]
    assert told["contacts/bad"]["capture"] is None


def test_a_new_mapping_has_the_slot_made_anew(desk: Desk) -> None:
    """A slot from before would tell a part only of transactions that were under way."""
    desk.capture(*APPLY)
    desk.sync()
    desk.execute(
        "create table posts (id int primary key, user_id bigint)", "insert into posts values (1, 2)"
    )
    desk.place.map(posts="select user_id as external_id, count(*) as posts from posts group by 1\n")
    before = desk.capture()
    assert [each["sql"].split()[0] for each in before["missing"]] == [
        "select",
        "alter",
        "alter",
        "select",
    ]
    assert "capture setup --print" in desk.run("capture")
    done = desk.capture(*APPLY)
    assert "pg_drop_replication_slot" in done["statements"][0]["sql"]
    assert done["statements"][2]["sql"].endswith(
        "set table public.plans, public.posts, public.users;"
    )
    assert "pg_create_logical_replication_slot" in done["statements"][3]["sql"]
    assert desk.capture()["missing"] == []

    # One that is gone needs no new slot.
    (desk.place.folder / "mappings" / "contacts" / "posts.sql").unlink()
    assert statements(desk.capture(*APPLY)) == [f'alter publication "{done["name"]}"']
    assert desk.finds(2, "log")


def test_a_slot_that_somebody_dropped_is_told_and_made_again(desk: Desk) -> None:
    """Until then the database adds up its rows."""
    log = desk.capture(*APPLY)["name"]
    desk.sync()
    assert desk.finds(2, "log")
    desk.execute(f"select pg_drop_replication_slot('{log}')")
    assert f"there is no slot {log}. Run `meisa-cdc capture setup`." in desk.finds(1, "checksum")
    kind, why = desk.captures()["contacts/identity"]
    assert kind == "checksum"
    assert why.endswith(f"; the log of changed rows does not help, since there is no slot {log}")
    desk.capture(code=1)
    assert len(desk.capture(*APPLY)["statements"]) == 1
    assert desk.finds(2, "log")


def test_a_publication_that_somebody_dropped_is_told_and_made_again(desk: Desk) -> None:
    """With a new slot: what the old one tells is of no publication."""
    log = desk.capture(*APPLY)["name"]
    desk.sync()
    desk.execute(f"drop publication {log}")
    assert f"there is no publication {log}" in desk.finds(2, "checksum")
    assert desk.capture(code=1)["publication"] is None
    assert len(desk.capture(*APPLY)["statements"]) == 3
    assert desk.finds(1, "log")


def test_a_publication_that_somebody_changed_is_put_right(desk: Desk) -> None:
    """One that does not tell of deletions, and one of a part of the rows."""
    log = desk.capture(*APPLY)["name"]
    desk.sync()
    desk.execute(f"alter publication {log} set (publish = 'insert')")
    assert "is not as `capture setup` makes it" in desk.finds(2, "checksum")
    assert statements(desk.capture(*APPLY)) == [f'alter publication "{log}"']
    assert desk.finds(1, "log")
    if desk.rows("select current_setting('server_version_num')::int")[0][0] >= 150_000:
        desk.execute(f"alter publication {log} set table users where (plan_id = 1), plans")
        assert "changes of public.users are not kept" in desk.finds(2, "checksum")
        assert len(desk.capture(*APPLY)["statements"]) == 3
        assert desk.finds(1, "log")


@pytest.fixture
def little_wal(desk: Desk) -> Iterator[Desk]:
    """Yield a desk whose server lets slots keep a megabyte."""
    with closing(desk.connect()) as connection:
        connection.execute("alter system set max_slot_wal_keep_size = '1MB'")
        connection.execute("select pg_reload_conf()")
        yield desk
        connection.execute("alter system reset max_slot_wal_keep_size")
        connection.execute("select pg_reload_conf()")


def test_an_invalidated_slot_is_told_and_made_anew(little_wal: Desk) -> None:
    """The server took its WAL away, as it was told to."""
    desk = little_wal
    # With a limit on the server, nobody has to allow anything.
    log = desk.capture("setup", "--apply")["name"]
    desk.sync()
    lose(desk)
    told = desk.capture(code=1)
    assert (told["slot"]["wal_status"], told["slot"]["void"] is None) == ("lost", False)
    assert f"Slot {log}: of no use, " in desk.run("capture", code=1)
    assert f"the slot {log} was invalidated" in desk.finds(2, "checksum")
    done = desk.capture("setup", "--apply")
    assert "It can be read no more" in done["statements"][0]["why"]
    assert len(done["statements"]) == 2
    assert desk.finds(1, "log")


def lose(desk: Desk) -> None:
    """Write WAL until the server takes it away from slots."""
    for _ in range(3):
        desk.execute(
            "create table if not exists noise (n int)",
            "insert into noise select n from generate_series(1, 1000) n",
            "select pg_switch_wal()",
        )
    desk.execute("checkpoint")


def test_a_slot_that_keeps_too_much_is_dropped_and_no_other(desk: Desk) -> None:
    """The app's disk goes before freshness: `status` and `capture status` say so."""
    log = desk.capture(*APPLY)["name"]
    desk.sync()
    desk.execute(f"select pg_create_logical_replication_slot('{log}_other', 'pgoutput')")
    # What was read is not held against it at once: the server lets go of it at intervals.
    desk.execute("create table noise (n int)", "insert into noise select generate_series(1, 30000)")
    ((kept,),) = desk.rows(KEPT.format(log))
    desk.place.environ["MEISA_CDC_CAPTURE__MAX_WAL"] = f"{kept * 0.7 / 1e6:.6f}MB"
    desk.sync()
    assert sorted(desk.slots()) == [log, f"{log}_other"]

    # Nobody reads on, since no mapping is followed any more.
    desk.execute("insert into noise select generate_series(1, 100000)")
    desk.place.environ["MEISA_CDC_CAPTURE__MAX_WAL"] = "0.05MB"
    desk.place.map(
        plan=PLAN.replace("'log'", "'scan'"),
        identity=f"{{{{ config(capture='scan') }}}}\n{IDENTITY}",
    )
    desk.sync()
    assert desk.slots() == [f"{log}_other"]
    told = json.loads(desk.run("status", "--format", "json"))["log_dropped"]
    assert told["reason"].startswith(f"the slot {log} was dropped since it kept ")
    assert told["reason"].endswith("more than capture.max_wal (50 kB)")
    desk.place.map(plan=PLAN)
    assert desk.capture(code=1)["dropped"] == told
    assert f"Dropped at {told['at']}: {told['reason']}." in desk.run("capture", code=1)
    assert f"The log of changed rows: {told['reason']}" in desk.run("status")
    assert f"there is no slot {log}" in desk.finds(2, "checksum")

    desk.capture(*APPLY)
    assert desk.finds(1, "log")
    assert desk.capture()["dropped"] is None
    desk.execute(f"select pg_drop_replication_slot('{log}_other')")


@contextmanager
def reading(desk: Desk, log: str) -> Iterator[None]:
    """Read a slot, as any consumer does, for as long as the block."""
    text = desk.url.set(drivername="postgresql").render_as_string(hide_password=False)
    start = (
        f"START_REPLICATION SLOT {log} LOGICAL 0/0 (proto_version '1', publication_names '{log}')"
    )
    with closing(psycopg.connect(f"{text}?replication=database", autocommit=True)) as reader:
        assert reader.pgconn.exec_(start.encode()).status == pq.ExecStatus.COPY_BOTH
        yield


def test_a_slot_in_use_is_left_for_the_next_time(desk: Desk) -> None:
    """It is neither dropped for what it keeps, nor by `capture drop`, which says who reads it."""
    log = desk.capture(*APPLY)["name"]
    database = AppDatabase(desk.url, log=log, max_wal=1)
    desk.execute("create table noise as select generate_series(1, 1000) n")
    with reading(desk, log):
        assert database.protect() is None
        assert ", read by process " in desk.run("capture")
        error = desk.run("capture", "drop", code=1)
        assert "is active for PID" in error
        assert "Stop whoever reads it" in error
    assert desk.slots() == [log]
    assert "was dropped since it kept" in str(database.protect())
    assert database.protect() is None


def test_a_slot_that_we_may_not_drop_is_told(desk: Desk) -> None:
    """The pass goes on; whoever owns the tables may drop it."""
    log = desk.capture(*APPLY)["name"]
    desk.execute("create table noise as select generate_series(1, 1000) n")
    with role(desk, "reader", "grant select on all tables in schema public to {}") as reader:
        with pytest.raises(SourceUnavailable, match="could not be looked after: permission denied"):
            AppDatabase(reader, log=log, max_wal=1).protect()
        admin = desk.url.render_as_string(hide_password=False)
        settings = {"MEISA_CDC_APP_DATABASE__URL": reader, SETUP: admin}
        assert len(desk.capture("drop", settings=settings)["statements"]) == 2
    assert desk.slots() == []


def test_what_cannot_be_is_told_before_anything_is_done(desk: Desk) -> None:
    """All of it at once: what to do about a server without a limit, and roles without rights."""
    with role(desk, "reader", "grant select on all tables in schema public to {}") as reader:
        as_reader = {"MEISA_CDC_APP_DATABASE__URL": reader}
        told = desk.capture("setup", "--apply", code=1, settings=as_reader)
        assert not told["applied"]
        limit, slot, publication, tables = problems(told)
        assert "max_slot_wal_keep_size is not set" in limit
        assert "may not read a slot" in slot
        assert "may not create a publication" in publication
        assert "does not own public.plans, public.users" in tables
        assert "can read everything" in told["problems"][1]["advice"]
        text = desk.run("capture", "setup", code=1, settings=as_reader)
        assert "To be put right first:" in text
        # Who prints them does not run them.
        assert "does not own" not in text
        assert desk.slots() == []
        assert desk.rows("select 1 from pg_publication") == []


def test_the_owner_sets_up_what_the_reader_reads(desk: Desk) -> None:
    """With a URL of its own for that, which nothing shows."""
    granted = ("grant select on all tables in schema public to {}", "alter role {} replication")
    with (
        role(desk, "reader", *granted) as reader,
        role(
            desk,
            "owner",
            f"grant create on database {desk.url.database} to {{}}",
            "alter table users owner to {}",
            "alter table plans owner to {}",
        ) as owner,
    ):
        settings: dict[str, Any] = {"MEISA_CDC_APP_DATABASE__URL": reader, SETUP: owner}
        done = desk.capture(*APPLY, settings=settings)
        assert (done["applied"], done["problems"]) == (True, [])
        desk.place.environ |= settings
        desk.sync()
        assert desk.finds(2, "log")
        # The right to read it is taken away.
        desk.execute(f"alter role {make_url(reader).username} noreplication")
        told = desk.capture(code=1)
        assert "may not read a slot" in problems(told)[0]
        assert "the log cannot be read" not in json.dumps(told)
        desk.execute("update users set plan_id = 1 where id = 2")
        desk.sync()
        assert desk.plans()["2"] == "free"
        error = desk.run("capture", "drop", code=1)
        assert "pg_drop_replication_slot" in error
        assert "permission denied" in error
        desk.execute(f"alter role {make_url(reader).username} replication")
        assert len(desk.capture("drop")["statements"]) == 2
        assert desk.slots() == []


def test_a_url_that_leads_elsewhere_is_noticed(desk: Desk) -> None:
    """To another database, or to none; its password is in no message."""
    elsewhere = desk.url.set(database="postgres").render_as_string(hide_password=False)
    told = desk.capture(*APPLY, code=1, settings={SETUP: elsewhere})
    assert problems(told) == ["MEISA_CDC_SETUP_URL leads to another database than app_database.url"]
    wrong = desk.url.set(password="c4n4ry").render_as_string(hide_password=False)
    error = desk.run("capture", *APPLY, code=1, settings={SETUP: wrong})
    assert "Check MEISA_CDC_SETUP_URL" in error
    assert "c4n4ry" not in error
    error = desk.run("capture", *APPLY, code=1, settings={SETUP: "mysql://u@h"})
    assert "MEISA_CDC_SETUP_URL: the URL names no database" in error
    error = desk.run("capture", "drop", code=1, settings={SETUP: "mysql://u:c4n4ry@h/app"})
    assert "leads to another kind of database" in error
    assert "c4n4ry" not in error
    assert desk.slots() == []


def test_a_name_that_is_taken_is_left_alone(desk: Desk) -> None:
    """A publication of all tables, and a slot of another plugin, are somebody else's."""
    log = desk.place.environ["MEISA_CDC_CAPTURE__NAME"]
    desk.execute(
        f"create publication {log} for all tables",
        f"select pg_create_physical_replication_slot('{log}')",
    )
    told = desk.capture(*APPLY, code=1)
    assert problems(told) == [
        f"the slot {log} is of another database or another plugin",
        f"the publication {log} has all tables",
    ]
    assert statements(desk.capture("drop")) == []
    desk.execute(f"select pg_drop_replication_slot('{log}')")


def test_a_table_that_is_locked_holds_nobody_up(desk: Desk) -> None:
    """The app would wait behind us; run again, it goes on from where it stopped."""
    desk.execute("create table posts (user_id bigint, n int)")
    desk.place.map(posts="select user_id as external_id, sum(n) as posts from posts group by 1\n")
    with closing(desk.connect()) as busy:
        busy.execute("begin")
        busy.execute("select * from users")
        error = desk.run("capture", *APPLY, code=1)
        assert "a lock was not to be had within 3s" in error
        assert "public.users" in error
        busy.execute("rollback")
    assert desk.slots() == []
    done = desk.capture(*APPLY)
    # The first one had been done.
    assert statements(done)[0] == "alter table public.users"
    assert "posts" not in done["statements"][0]["sql"]


def test_it_is_removed_with_what_is_left_told(desk: Desk) -> None:
    """The slot goes first; tables keep what identifies their rows until somebody says so."""
    log = desk.capture(*APPLY)["name"]
    told = desk.capture("drop")
    assert [each["sql"].split()[0] for each in told["statements"]] == ["select", "drop"]
    assert told["left"][0]["sql"] == "alter table public.users replica identity default;"
    assert "There is no log" in desk.run("capture", "drop")
    assert "To take it back: alter table public.users" in desk.run("capture", "drop")
    reset = desk.capture("drop", "--reset-identity")
    assert statements(reset) == ["alter table public.users"]
    assert reset["left"] == []
    desk.sync()
    assert desk.finds(2, "checksum").endswith("Run `meisa-cdc capture setup`.")

    desk.capture(*APPLY)
    desk.execute(f"select pg_drop_replication_slot('{log}')")
    assert statements(desk.capture("drop")) == [f'drop publication "{log}";']
    desk.capture(*APPLY)
    desk.execute(f"drop publication {log}")
    assert "pg_drop_replication_slot" in desk.capture("drop")["statements"][0]["sql"]
    assert desk.slots() == []


def test_what_another_publication_needs_is_not_taken_away(desk: Desk) -> None:
    """A table without a primary key that others publish stays as it is."""
    desk.execute("create table bare (user_id bigint, n int)", "insert into bare values (1, 1)")
    desk.place.map(bare="select user_id as external_id, sum(n) as bare from bare group by 1\n")
    desk.capture(*APPLY)
    desk.execute("create publication somebodys for table bare")
    assert statements(desk.capture("drop", "--reset-identity"))[2:] == ["alter table public.users"]
    desk.execute("update bare set n = 2")


def test_nothing_to_follow_is_nothing_to_set_up(desk: Desk) -> None:
    """It says so instead of making an empty publication."""
    scanned = "{{ config(capture='scan') }}\n"
    desk.place.map(identity=scanned + IDENTITY, plan=PLAN.replace("'log'", "'scan'"))
    told = desk.capture(*APPLY, code=1)
    assert problems(told) == ["there is no mapping whose changes a log would tell"]
    assert desk.slots() == []


def test_check_says_what_is_missing_and_what_a_log_cannot_tell(desk: Desk) -> None:
    """By asking the database: for each mapping how its changes are found, and why."""
    desk.execute("create table scores (user_id bigint, n int)")
    config = "{{ config(capture='log') }}\n"
    desk.place.map(
        age=f"{config}select id as external_id, current_date as age from users\n",
        best=f"{config}select user_id as external_id, max(n) over () as best from scores\n",
        code="select id::text || '' as external_id, first_name as code from users\n",
    )
    findings = json.loads(desk.run("check", "--format", "json"))["findings"]
    (plan,) = [each for each in findings if "capture checksum: its config says" in each["text"]][:1]
    assert plan["verdict"] == "note"
    assert plan["text"].endswith("Run `meisa-cdc capture setup`.")
    desk.capture(*APPLY)
    findings = json.loads(desk.run("check", "--format", "json"))["findings"]
    notes: dict[str, list[tuple[str, str]]] = {}
    for each in findings:
        notes.setdefault(each["what"], []).append((each["verdict"], each["text"]))
    assert ("ok", "capture log: as its config says") in notes["contacts/plan"]
    assert any("current_date changes of itself" in text for _, text in notes["contacts/age"])
    assert any("has all rows read, since" in text for _, text in notes["contacts/best"])
    assert any("no index on a column" in text for _, text in notes["contacts/code"])
    shown = desk.run("compile", "contacts/plan")
    assert shown.startswith("-- contacts/plan, capture log: as its config says\n")
    assert "who stands in id, before or after" in shown


def test_people_of_the_fixture_are_in_step(desk: Desk) -> None:
    """The rest of this file changes one of them and looks at all."""
    desk.sync()
    assert desk.place.meisa_has() == {
        str(n): Person(f"u{n}@example.com", plan="free") for n in (1, 2, 3)
    }


TRIGGERS = ("setup", "--by", "triggers", "--apply")


def test_triggers_need_no_rights_on_the_server(desk: Desk) -> None:
    """Neither REPLICATION nor a limit; the reader gets the log's tables and nothing more."""
    grants = ("grant select on all tables in schema public to {}",)
    with role(desk, "reader", *grants) as reader:
        settings = {"MEISA_CDC_APP_DATABASE__URL": reader}
        told = desk.capture(*TRIGGERS, code=1, settings=settings)
        assert [
            each["problem"].partition(" reader_")[2].partition(" ")[2] for each in told["problems"]
        ] == ["does not own public.plans, public.users", "may not create tables in public"]
        admin = desk.url.render_as_string(hide_password=False)
        done = desk.capture(*TRIGGERS, settings={**settings, SETUP: admin})
        assert (done["by"], done["applied"], done["problems"]) == ("triggers", True, [])
        desk.place.environ.update(settings)
        desk.sync()
        assert desk.finds(2, "log") == "as its config says"
        assert desk.finds(1, "log")
        again = desk.capture(*TRIGGERS)
        assert (again["applied"], again["statements"]) == (True, [])
        told = desk.capture()
        assert told["triggers"]["tables"] == ["public.plans", "public.users"]
        assert (told["slot"], told["publication"]) == (None, None)
        error = desk.run("capture", "drop", code=1)
        assert "must be owner" in error
        assert "Set MEISA_CDC_SETUP_URL to a role that may" in error
        desk.place.environ["MEISA_CDC_APP_DATABASE__URL"] = admin


def test_triggers_follow_the_mappings(desk: Desk) -> None:
    """With another mapping they are made anew, and gone with the log, the app none the wiser."""
    text = desk.run("capture", *TRIGGERS)
    assert 'done  create or replace function "public".' in text
    assert "begin" not in text
    desk.execute("create table posts (user_id bigint, n int)", "insert into posts values (2, 1)")
    desk.place.map(posts="select user_id as external_id, sum(n) as posts from posts group by 1\n")
    assert "meisa-cdc capture setup --by triggers --print" in desk.run("capture")
    desk.capture(*TRIGGERS)
    assert desk.capture()["triggers"]["tables"] == ["public.plans", "public.posts", "public.users"]
    desk.execute("update posts set n = 2", "alter table posts disable trigger all")
    told = desk.capture()
    assert [each["capture"] for each in told["mappings"]] == ["log", "log", "checksum"]
    desk.capture(*TRIGGERS)
    assert {each["capture"] for each in desk.capture()["mappings"]} == {"log"}

    # Of what nobody reads any more, nothing is kept.
    (desk.place.folder / "mappings" / "contacts" / "posts.sql").unlink()
    desk.capture(*TRIGGERS)
    assert desk.capture()["triggers"]["tables"] == ["public.plans", "public.users"]

    # One log at a time.
    log = desk.place.environ["MEISA_CDC_CAPTURE__NAME"]
    assert problems(desk.capture(*APPLY, code=1)) == [f"there is a log {log} by triggers already"]
    assert desk.capture("drop")["statements"]
    assert desk.capture("drop")["statements"] == []
    assert desk.rows("select tgname from pg_trigger where not tgisinternal") == []
    desk.capture(*APPLY)
    assert problems(desk.capture(*TRIGGERS, code=1)) == [
        f"there is a slot or a publication {log} already"
    ]
    desk.execute("update posts set n = 3")


def test_triggers_know_no_partitions(desk: Desk) -> None:
    """Those that the app adds would have none."""
    desk.execute("create table visits (user_id bigint, day date) partition by range (day)")
    desk.place.map(
        visits="select user_id as external_id, count(*) as visits from visits group by user_id\n"
    )
    text = desk.run("capture", "setup", "--by", "triggers")
    assert "contacts/visits: not followed, since public.visits is partitioned" in text
    assert "visits" not in text.partition("set lock_timeout")[2]
