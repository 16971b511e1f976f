"""Events, e-mails and enrolments as a user meets them."""

import json
import sqlite3
from contextlib import closing

import pytest

from meisa_cdc.sandbox import Fault
from tests.acceptance.installed import Desk

EVENTS = "select n as event_id, 'exported' as event_name, who as external_id, n from happened\n"
MAILS = (
    "-- Failed payments.\nselect n as email_id, 'payment_failure' as trigger_key,"
    " who || '@example.com' as to_email, n as amount from happened\n"
)
TRIALS = "select 'onboarding' as sequence_slug, who || '@example.com' as email from happened\n"


@pytest.fixture
def eventful(desk: Desk) -> Desk:
    """Return a desk in step, with mappings whose first run is over."""
    happen(desk)
    write(desk, "events/exports", EVENTS)
    write(desk, "sequences/trials", TRIALS)
    desk.run("sync")
    return desk


def write(desk: Desk, name: str, text: str) -> None:
    """Write a mapping of any kind."""
    file = desk.folder / "mappings" / f"{name}.sql"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


def happen(desk: Desk, *numbers: int, who: str = "u000") -> None:
    """Add rows to the app."""
    with closing(sqlite3.connect(desk.app)) as connection, connection:
        connection.execute("create table if not exists happened (n integer, who text)")
        connection.executemany("insert into happened values (?, ?)", [(n, who) for n in numbers])


def test_what_would_happen_is_shown_and_then_happens(eventful: Desk) -> None:
    """The plan lists it, a run does it, and the next plan is empty."""
    happen(eventful, 1, 2)
    text = eventful.run("plan").out
    assert "* events/exports 1  track exported for u000" in text
    assert "events/exports: 2 new; 2 requests." in text
    plan = eventful.json("plan", "--detailed-exitcode", code=2)
    assert plan["summary"]["requests"] == 3
    assert [(each["mapping"], each["key"], each["status"]) for each in plan["occurrences"]] == [
        ("events/exports", "1", "new"),
        ("events/exports", "2", "new"),
        ("sequences/trials", "onboarding u000@example.com", "new"),
    ]
    limited = eventful.json("plan", "--limit", "1")
    assert (len(limited["occurrences"]), limited["truncated"]) == (1, True)

    ran = eventful.json("sync")
    assert ran["occurrences"] == {
        "done": 3,
        "skipped": 0,
        "rejected": 0,
        "parked": 0,
        "waiting": 0,
    }
    assert eventful.json("plan", "--detailed-exitcode")["occurrences"] == []
    kinds = [each["kind"] for each in eventful.json("history")["deliveries"]]
    assert kinds.count("track_event") == 2
    assert kinds.count("bulk_enroll") == 1
    told = eventful.run("history", "--contact", "u000").out
    assert "events/exports 1" in told


def test_what_is_parked_is_settled_by_hand(eventful: Desk) -> None:
    """A run tells of it with 4; the list says what to do, and `resolve` does it."""
    happen(eventful, 1, 2)
    eventful.account.script(Fault(kind="reset", path="/events/track/", times=2))
    ended = eventful.run("sync", code=4)
    assert "2 for you to decide, see: meisa-cdc events" in ended.out
    (counted,) = eventful.json("status")["occurrences"]
    assert (counted["mapping"], counted["status"], counted["count"]) == (
        "events/exports",
        "parked",
        2,
    )
    assert "events/exports: 2 parked" in eventful.run("status").out
    listed = eventful.json("events")
    assert [each["key"] for each in listed["occurrences"]] == ["1", "2"]
    told = eventful.run("events", "list", "--limit", "1").out
    assert "parked" in told
    assert "… and 1 more" in told

    assert eventful.json("events", "resolve", "1", "--as", "done") == {"resolved": 1, "as": "done"}
    retried = eventful.run("events", "resolve", "--select", "exports", "--as", "retry")
    assert "1 are tried again by the next run." in retried.out
    unknown = eventful.run("events", "resolve", "99", "--as", "retry")
    assert "some keys name nothing" in unknown.err
    assert eventful.json("sync")["occurrences"]["done"] == 1
    assert eventful.run("events").out == "Nothing waits.\n"
    usage = eventful.run("events", "resolve", "--as", "done", code=64)
    assert "Name keys, or mappings with --select." in usage.err


def test_an_edited_mapping_waits_and_may_be_taken_as_done(eventful: Desk) -> None:
    """The hold names what it holds; baseline takes it, approving sends it."""
    happen(eventful, 1)
    write(eventful, "events/exports", EVENTS.replace("exported", "renamed"))
    held = eventful.json("sync", code=3)
    (hold,) = held["guard"]["holds"]
    assert (hold["mapping"], hold["reason"], hold["contacts"]) == ("events/exports", "edited", 1)
    assert "held" in eventful.run("plan", code=3).out
    taken = eventful.json("baseline", "--select", "events/exports")
    assert taken["occurrences"] == 1
    happen(eventful, 2)
    assert eventful.json("sync")["occurrences"]["done"] == 1


def test_mails_are_off_until_they_are_switched_on(eventful: Desk) -> None:
    """Then they are shown each with its address, and sent once a list was pulled."""
    write(eventful, "emails/failures", MAILS)
    happen(eventful, 1)
    assert "Not enabled (emails.enabled): emails/failures." in eventful.run("plan").out
    assert eventful.json("plan")["not_enabled"] == ["emails/failures"]
    assert "emails: not enabled" in eventful.run("check").out
    eventful.run("sync")
    assert eventful.account.emails() == []

    eventful.settings["MEISA_CDC_EMAILS__ENABLED"] = "true"
    eventful.run("sync")
    assert eventful.account.emails() == []
    happen(eventful, 2, 3)
    happen(eventful, 4, who="u001")
    eventful.account.suppress(add=["u001@example.com"])
    text = eventful.run("plan").out
    assert '* emails/failures 2  send payment_failure for u000@example.com  {"variables"' in text
    ran = eventful.json("sync")
    assert (ran["occurrences"]["skipped"], len(eventful.account.emails())) == (1, 2)


def test_check_and_compile_know_every_kind(eventful: Desk) -> None:
    """Columns and scopes are checked; there is one form of the SQL."""
    write(eventful, "events/broken", "select 1 as event_id, 2 as external_id\n")
    told = eventful.run("check", code=1).out
    assert "events/broken: no column is called event_name" in told
    assert "ok      events/exports:" in told
    compiled = json.loads(eventful.run("compile", "events/exports", "--format", "json").out)
    assert compiled["mappings"][0]["restricted"] is None
    assert "for some contacts alone" not in eventful.run("compile", "events/exports").out
