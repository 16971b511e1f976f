"""`run` as its users have it: one leads and one stands by, schedules, mapping files, health."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meisa_cdc.sandbox import Fault
from tests.installation import (
    IDENTITY,
    PLAN,
    PROMISE,
    UPSERT,
    Installation,
    Person,
    Program,
    people,
    until,
    upserts,
)

REFUSED = "mapping files refused, the old set stays"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """Yield an installation with three users that looks at them all the time."""
    with Installation.at(tmp_path, MEISA_CDC_SCHEDULE__EVERY="200ms") as home:
        home.app_has(people(3))
        yield home


def hang(home: Installation) -> None:
    """Let no upsert be answered."""
    home.account.script(Fault(kind="hang", seconds=600.0, path=UPSERT, times=1000))


def renamed(name: str) -> dict[str, Person]:
    """Return the users, all called that."""
    return people(3, first_name=name)


# ---------------------------------------------------------------- two processes


@pytest.mark.parametrize("command", ["run", "sync"])
def test_f06_sync_refuses_beside_another_and_names_it(home: Installation, command: str):
    """It ends with 1, says who works on the state, and sends nothing at all."""
    hang(home)
    with home.program(command) as first:
        until(lambda: len(upserts(home.account)) == 3)
        before = len(home.account.requests())
        with home.program("sync") as second:
            assert second.ended() == 1
            assert f"{command} on {os.uname().nodename} pid {first.process.pid}" in second.told()
        assert len(home.account.requests()) == before


def test_f06_run_stands_by_and_takes_over_from_a_dead_leader(home: Installation):
    """The one that stands by is ready, names the leader, and leads ten seconds after its death."""
    with home.program("run") as first:
        until(home.in_step)
        with home.program("run") as second:
            second.heard("standing by")
            status, document = second.get("/readyz")
            assert (status, document["ready"], document["role"]) == (200, True, "standby")
            assert f"pid {first.process.pid}" in document["leader"]
            requests = len(home.account.requests())
            first.signal(signal.SIGKILL)
            second.heard("leading", within=PROMISE + 2.0)
            assert len(home.account.requests()) - requests <= 1
            home.app_has(renamed("Bea"))
            until(home.in_step)
            until(lambda: second.get("/readyz")[0] == 200)
            assert second.get("/readyz")[1]["leader"] is None


def test_f06_a_leader_that_ends_makes_room(home: Installation):
    """Ended by SIGTERM, it gives the lease back, and its sync may follow at once."""
    with home.program("run") as first, home.program("run") as second:
        until(lambda: {first.role(), second.role()} == {"leading", "standby"})
        leader, other = (first, second) if first.role() == "leading" else (second, first)
        leader.signal(signal.SIGTERM)
        assert leader.ended() == 0
        other.heard("leading")
        other.signal(signal.SIGTERM)
        assert other.ended() == 0
    assert home.sync()["backlog"] == 0


# ---------------------------------------------------------------- when things are read


def read_in(program: Program) -> list[list[str]]:
    """Return the mappings that each pass read."""
    return [entry["mappings"] for entry in program.events("pass")]


def test_each_mapping_has_its_own_schedule(home: Installation):
    """One with `every` is read again and again, one with a rare `cron` once, as it never was."""
    home.map(
        identity="{{ config(every='100ms') }}" + IDENTITY,
        plan="{{ config(cron='0 0 29 2 *') }}" + PLAN,
    )
    with home.program("run") as program:
        until(home.in_step)
        home.app_has(people(3, first_name="Bea", plan="pro"))
        until(lambda: home.meisa_has() == renamed("Bea"))
        home.app_has(people(3, first_name="Bea", plan="pro") | {"new": Person("n@example.com")})
        until(lambda: "new" in home.meisa_has())
        program.heard("pass", 8)
        assert read_in(program)[0] == ["contacts/identity", "contacts/plan"]
        assert {tuple(each) for each in read_in(program)[1:]} == {("contacts/identity",)}
    assert home.meisa_has() == renamed("Bea") | {"new": Person("n@example.com")}


def test_a_restart_reads_what_is_due_and_nothing_else(home: Installation):
    """A mapping that was read a moment ago waits for its time, in another process as well."""
    home.map(plan="{{ config(every='1h') }}" + PLAN)
    home.sync()
    home.app_has(people(3, first_name="Bea", plan="pro"))
    with home.program("run") as program:
        until(lambda: home.meisa_has() == renamed("Bea"))
        program.heard("pass", 3)
        assert {tuple(each) for each in read_in(program)} == {("contacts/identity",)}
    assert home.meisa_has() == renamed("Bea")


def test_the_suppression_list_is_pulled_on_schedule(home: Installation):
    """Addresses come into the app's table and leave it, with nobody doing anything."""
    home.environ["MEISA_CDC_SUPPRESSION__EVERY"] = "200ms"
    with home.program("run"):
        home.account.suppress(add=["Bounced@example.com"])
        until(lambda: suppressed(home) == ["bounced@example.com"])
        home.account.suppress(remove=["bounced@example.com"])
        until(lambda: suppressed(home) == [])


def test_a_failed_pull_does_not_hold_deliveries_up(home: Installation):
    """A broken list is told in the log, and contacts go out all the same."""
    home.account.script(
        Fault(kind="truncate", path="/contacts/api/unsubscribed-emails/", times=1000)
    )
    with home.program("run") as program:
        program.heard("suppression list not pulled")
        until(home.in_step)


def suppressed(home: Installation) -> list[str] | None:
    """Return the addresses in the app's table; None while there is none."""
    with closing(sqlite3.connect(home.app)) as connection:
        try:
            rows = connection.execute("select email from meisa_suppressed_emails order by email")
        except sqlite3.OperationalError:
            return None
        return [email for (email,) in rows]


# ---------------------------------------------------------------- mapping files


BROKEN = {
    "half-written": "-- Who someone is.\nselect id as external_id, email, (first_",
    "empty": "",
    "not SQL": "\x00\x01 nothing of sense",
    "an undefined name": "select id as external_id, email, {{ nothing }} from users",
    "a field of another mapping": "select id as external_id, email, first_name, plan from users",
    "no e-mail": "select id as external_id, first_name from users",
    "hidden behind a star": "select id as external_id, * from users",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_f31_a_broken_file_keeps_the_old_set(home: Installation, text: str):
    """The log says so once, the old set goes on, and the mended file is picked up."""
    with home.program("run") as program:
        until(home.in_step)
        home.map(identity=text)
        (refused,) = program.heard(REFUSED)
        assert "contacts/" in refused["error"]
        home.app_has(renamed("Bea"))
        until(home.in_step)
        assert len(program.events(REFUSED)) == 1
        home.map(identity=IDENTITY.replace("first_name", "'Dr. ' || first_name as first_name"))
        program.heard("mappings changed")
        until(lambda: home.meisa_has() == renamed("Dr. Bea"))
        assert program.get("/readyz")[0] == 200


def test_f31_files_that_go_away_keep_the_old_set(home: Installation):
    """No file, no folder, or identity gone: what was in force goes on, also after the next edit."""
    with home.program("run") as program:
        until(home.in_step)
        folder = home.folder / "mappings" / "contacts"
        folder.rename(home.folder / "aside")
        program.heard(REFUSED)
        home.app_has(renamed("Bea"))
        until(home.in_step)
        (home.folder / "aside").rename(folder)
        program.heard("pass", len(program.events("pass")) + 2)
        (folder / "identity.sql").rename(home.folder / "identity.sql")
        program.heard(REFUSED, 2)
        home.app_has(renamed("Cleo"))
        until(home.in_step)
        (home.folder / "identity.sql").rename(folder / "identity.sql")
        (folder / "plan.sql").unlink()
        program.heard("mappings changed")
        home.app_has(people(3, first_name="Dora", plan="pro"))
        until(lambda: home.meisa_has() == renamed("Dora"))


def test_f31_a_new_mapping_and_a_new_schedule_are_picked_up(home: Installation):
    """A file that is added while it runs is read soon, at the times that it asks for."""
    with home.program("run") as program:
        until(home.in_step)
        home.map(age="{{ config(every='1h') }}select id as external_id, 42 as age from users")
        until(lambda: all(custom(home, key).get("age") == 42 for key in people(3)))
        assert sum("contacts/age" in each for each in read_in(program)) == 1


def custom(home: Installation, key: str) -> dict[str, object]:
    """Return a contact's custom fields."""
    contact = home.account.contact(external_id=key) or {}
    found = contact.get("custom_fields")
    return found if isinstance(found, dict) else {}


# ---------------------------------------------------------------- what fails, and how it is told


def test_f20_the_app_database_goes_away_and_comes_back(home: Installation):
    """The pass is repeated until it succeeds, nobody is taken for deleted, /readyz tells."""
    aside = home.folder / "aside.db"
    with home.program("run") as program:
        until(home.in_step)
        assert program.get("/livez") == (200, {"alive": True})
        until(lambda: program.get("/readyz")[0] == 200)
        home.app.rename(aside)
        (failed, *_) = program.heard("pass failed, will be repeated")
        assert "app.db" in failed["error"]
        until(lambda: program.get("/readyz")[0] == 503)
        assert "app.db" in program.get("/readyz")[1]["problem"]
        assert program.get("/livez")[0] == 200
        aside.rename(home.app)
        home.app_has(renamed("Bea"))
        until(home.in_step)
        until(lambda: program.get("/readyz")[0] == 200)
    with home.state() as state:
        assert (state.counts().removed, state.counts().present) == (0, 3)


def test_f24_a_mapping_that_fails_does_so_alone(home: Installation):
    """The log names it at each pass, its fields keep their values, the others go on."""
    with home.program("run") as program:
        until(home.in_step)
        home.map(plan="select id as external_id, plan from customers")
        (failed, *_) = program.heard("mapping failed")
        assert "contacts/plan" in failed["error"]
        home.app_has(people(3, first_name="Bea", plan="pro"))
        until(lambda: home.meisa_has() == renamed("Bea"))
        home.map(plan=PLAN)
        until(home.in_step)


def test_f46_a_hold_waits_for_its_approval(home: Installation):
    """The log says what is held and why; once approved it goes out, while nobody restarts it."""
    home.environ |= {"MEISA_CDC_GUARD__FIRST_LOAD": "hold", "MEISA_CDC_GUARD__MIN_CONTACTS": "2"}
    with home.program("run") as program:
        (held, *_) = program.heard("held until approved")
        assert (held["mapping"], held["reason"]) == ("contacts/identity", "first_load")
        with home.state() as state:
            (hold,) = state.holds()
        assert upserts(home.account) == []
        with home.program("approve", hold.digest) as approving:
            assert approving.ended() == 0, approving.told()
        until(home.in_step)


def test_f64_a_refused_key_is_told_and_stops_deliveries_alone(home: Installation):
    """Passes go on while delivery rests, nobody is quarantined, and /readyz says why."""
    home.account.script(Fault(kind="answer", status=401, path=UPSERT, times=1000))
    with home.program("run") as program:
        (stopped, *_) = program.heard("delivery stopped")
        assert "API key" in stopped["error"]
        passes = len(program.events("pass"))
        # Requests that were under way when the first refusal came are answered by then.
        program.heard("pass", passes + 2)
        sent = len(upserts(home.account))
        program.heard("pass", passes + 5)
        status, document = program.get("/readyz")
        assert (status, document["ready"]) == (503, False)
        assert "API key" in document["problem"]
        assert len(upserts(home.account)) == sent <= 4
        program.signal(signal.SIGTERM)
        assert program.ended() == 0
    assert (home.quarantined(), home.doubted()) == ({}, set())


def test_f63_a_contact_taken_out_of_quarantine_is_sent_by_the_running_daemon(home: Installation):
    """`quarantine retry` needs no restart and no change of the data."""
    home.account.script(Fault(kind="answer", status=422, path=UPSERT, external_id="u0001"))
    with home.program("run"):
        until(lambda: "u0001" in home.quarantined())
        with home.program("quarantine", "retry") as retrying:
            assert retrying.ended() == 0
        until(home.in_step)


def test_meisa_away_at_the_start_is_tried_again(home: Installation):
    """The daemon neither ends nor looks at the app database before it knows whom it serves."""
    home.account.script(Fault(kind="answer", status=503, path="/ping/", times=1000))
    with home.program("run") as program:
        program.heard("not ready, will be tried again")
        assert not home.doubted()
        home.account.clear_script()
        until(home.in_step)


def test_a_settings_mistake_ends_it_at_once(home: Installation):
    """What only a person can mend is told with exit code 1, before anything is opened."""
    home.map(plan=BROKEN["half-written"])
    with home.program("run") as program:
        assert program.ended() == 1
        assert "contacts/plan.sql" in program.told()
    assert home.account.requests() == []
