"""The commands that tell what happened, and those that send again."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from meisa_cdc.sandbox import Fault
from tests.acceptance.installed import Desk, Program, payload, sandbox, users

OBJECTION = Fault(kind="answer", status=422, external_id="u001", body='{"message": "No such day."}')


@pytest.fixture(scope="module")
def rejected(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Yield a desk after a run in which Meisa rejected one of three contacts; only to look at."""
    with sandbox() as meisa:
        desk = Desk.at(tmp_path_factory.mktemp("rejected") / "desk", program, meisa)
        desk.move_in()
        meisa.account.script(OBJECTION)
        desk.run("sync", code=4)
        yield desk


def test_a_rejected_contact_waits_until_somebody_says_so(desk: Desk) -> None:
    """The quarantine names it with Meisa's words; a retry sends it, nothing else does."""
    desk.account.script(OBJECTION)
    desk.run("sync", code=4)
    (held,) = desk.json("quarantine", "list")["quarantined"]
    assert (held["external_id"], held["code"], held["message"]) == (
        "u001",
        "rejected_422",
        "No such day.",
    )
    assert desk.json("quarantine", "retry")["released"] == 1
    assert desk.json("sync")["delivered"] == 1
    assert desk.run("quarantine").out == "No contact is in quarantine.\n"


def test_a_rejected_contact_is_tried_again_once_its_data_changes(desk: Desk) -> None:
    """What Meisa objected to may be mended in the app."""
    desk.account.script(OBJECTION)
    desk.run("sync", code=4)
    desk.app_has({**users(3), "u001": users(2)["u001"]._replace(first_name="Bo")})
    assert desk.json("sync")["delivered"] == 1
    assert desk.account.contact(external_id="u001") is not None


def test_resync_sends_what_was_acknowledged_again(desk: Desk) -> None:
    """One contact's fields, then one field of all; never more than was asked."""
    desk.run("sync")
    heard = desk.heard()
    assert desk.json("resync", "--contact", "u001") == {"contacts": 1}
    desk.run("sync")
    (record,) = desk.sent(heard)
    assert payload(record) == {
        "email": "u001@example.com",
        "external_id": "u001",
        "first_name": "Ada",
        "custom_fields": {"plan": "free"},
    }
    assert desk.json("resync", "--field", "plan") == {"contacts": 3}
    planned = desk.json("plan")["changes"]
    assert [each["external_id"] for each in planned] == ["u000", "u001", "u002"]
    assert {each["priority"] for each in planned} == {"background"}
    assert {tuple(each["fields"]) for each in planned} == {("custom_fields.plan",)}


def test_show_tells_all_of_one_contact(rejected: Desk) -> None:
    """What Meisa holds, what is pending, what was tried; by key and by address."""
    done = rejected.json("show", "U000@example.com")
    assert (done["external_id"], done["pending"], done["quarantine"]) == ("u000", {}, None)
    assert done["ledger"] == done["observed"]
    assert done["ledger"]["custom_fields.plan"] == "free"
    assert done["meisa_id"]
    assert [each["code"] for each in done["deliveries"]] == ["accepted"]
    assert "rejected_422, No such day." in rejected.run("show", "u001").out
    assert "plan" in rejected.run("show", "nobody", code=1).err


def test_status_is_one_screen(rejected: Desk) -> None:
    """Contacts, backlog, budget, mappings, suppressions and runs, as they are."""
    told = rejected.json("status")
    assert told["contacts"] == {
        "present": 3,
        "removed": 0,
        "invalid": 0,
        "quarantined": 1,
        "in_doubt": 0,
    }
    assert (told["backlog"]["total"], told["holds"], told["paused_until"]) == (0, [], None)
    assert [each["mapping"] for each in told["mappings"]] == ["contacts/identity", "contacts/plan"]
    assert told["meisa"] == {"product": "sandbox", "environment": "test"}
    assert told["suppressions"]["count"] == 0
    assert [(run["command"], run["exit_code"]) for run in told["runs"]] == [("sync", 4)]
    text = rejected.run("status").out
    assert "Backlog: empty." in text
    assert "1 in quarantine" in text


def test_status_of_a_backlog_says_how_long_it_takes(desk: Desk) -> None:
    """What a run left is counted."""
    assert desk.json("sync", "--max-requests", "1")["backlog"] == 2
    told = desk.json("status")
    assert told["backlog"]["total"] == told["forecast"]["requests"] == 2
    assert told["backlog"]["oldest_seconds"] >= 0


def test_history_keeps_every_delivery(rejected: Desk) -> None:
    """Runs and deliveries, of one contact, and all of them as JSON lines in a private file."""
    told = rejected.json("history")
    assert [run["command"] for run in told["runs"]] == ["sync"]
    upserts = [each for each in told["deliveries"] if each["kind"] == "upsert"]
    assert sorted((each["external_id"], each["code"]) for each in upserts) == [
        ("u000", "accepted"),
        ("u001", "rejected_422"),
        ("u002", "accepted"),
    ]
    one = rejected.json("history", "--contact", "u001", "--since", "1h")
    assert [each["message"] for each in one["deliveries"]] == ["No such day."]
    rejected.run("history", "--export", "--out", "all.jsonl")
    exported = rejected.folder / "all.jsonl"
    lines: list[Any] = [json.loads(line) for line in exported.read_text().splitlines()]
    assert sorted(lines, key=lambda each: each["id"]) == sorted(
        told["deliveries"], key=lambda each: each["id"]
    )
    assert exported.stat().st_mode & 0o077 == 0


def test_compile_shows_the_sql_with_its_values_beside_it(desk: Desk) -> None:
    """Full and restricted form; what a template puts in is bound, not written into the text."""
    desk.map(plan="select id as external_id, plan from users where plan <> {{ var('not', 'x') }}")
    (plan,) = desk.json("compile", "contacts/plan")["mappings"]
    assert plan["mapping"] == "contacts/plan"
    assert plan["values"] == ["x"]
    assert "'x'" not in plan["full"]
    assert plan["full"] != plan["restricted"]


def test_compile_tells_whom_a_changed_row_affects(desk: Desk) -> None:
    """Table by table: by a query, or anybody, with the reason."""
    text = """select u.id as external_id, v.plan, current_date as day from users u
    join users v on v.plan = u.plan"""
    desk.map(plan=text)
    (plan,) = desk.json("compile", "contacts/plan")["mappings"]
    (users,) = plan["affected"]["tables"]
    assert users["columns"] == ["id", "plan"]
    assert users["found_by"] == "query"
    assert "old users" in users["query"]
    assert plan["affected"]["unsteady"] == ["current_date"]
    shown = desk.run("compile", "contacts/plan").out
    assert "who is found by" in shown
    assert "for what changes of itself: current_date" in shown
    desk.map(plan="select id as external_id, plan from users limit 3")
    assert "anybody, since a LIMIT" in desk.run("compile", "contacts/plan").out
    desk.map(
        plan="with recursive x as (select id, plan from users) select id as external_id from x"
    )
    (plan,) = desk.json("compile", "contacts/plan")["mappings"]
    assert plan["affected"]["scan"]
    assert plan["affected"]["tables"][0]["found_by"] == "full_scan"
    assert "anybody, since it has a recursive" in desk.run("compile", "contacts/plan").out
    desk.map(plan="select id as external_id, plan from users")
    # A file keeps the rows as they were, so that even who stands in one is asked for there.
    assert 'select distinct "s2"."id"' in desk.run("compile", "contacts/plan").out


def test_migrate_makes_a_state(desk: Desk) -> None:
    """It has the present schema, and is the user's alone."""
    assert desk.json("migrate")["schema"] == "up to date"
    assert desk.state.stat().st_mode & 0o077 == 0


def test_check_says_of_each_thing_whether_it_is_right(desk: Desk) -> None:
    """Ok for what is, what to do for what is not; no contact is sent."""
    findings = desk.json("check")["findings"]
    assert "failed" not in {each["verdict"] for each in findings}
    told = {each["what"] for each in findings}
    assert {"state", "app database", "contacts/identity", "contacts/plan", "Meisa"} <= told
    desk.map(plan="select id as external_id, plan from usrs")
    findings = desk.json("check", code=1)["findings"]
    (failed,) = [each for each in findings if each["verdict"] == "failed"]
    assert failed["what"] == "contacts/plan"
    assert "usrs" in failed["text"]
    assert desk.sent() == []


def test_check_tries_what_a_watermark_asks(desk: Desk) -> None:
    """Not only what a first run does."""
    since = "select id as external_id, plan from users where {{ changed_since('seen_at') }}\n"
    desk.map(plan="{{ config(capture='watermark') }}\n" + since)
    findings = desk.json("check", code=1)["findings"]
    (failed,) = [each for each in findings if each["verdict"] == "failed"]
    assert failed == {
        "what": "contacts/plan",
        "verdict": "failed",
        "text": "no such column: seen_at",
    }
    (compiled,) = desk.json("compile", "contacts/plan")["mappings"]
    assert "seen_at >= ?" in compiled["changed"]
    assert "seen_at" not in compiled["full"]


def test_check_tells_once_of_a_file_that_is_no_mapping(desk: Desk) -> None:
    """Neither the database nor Meisa is to blame."""
    desk.map(plan="{{ config(every='1s', every='2s') }}\nselect 1\n")
    findings = desk.json("check", code=1)["findings"]
    (failed,) = [each for each in findings if each["verdict"] == "failed"]
    assert failed["what"] == "mappings"
    assert failed["text"].startswith("contacts/plan.sql:1: keyword argument repeated: every")
    ok = {each["what"] for each in findings if each["verdict"] == "ok"}
    assert {"app database", "Meisa"} <= ok


def test_a_field_that_nobody_knows_starts_no_run(desk: Desk) -> None:
    """Nor does it leave one that never ends."""
    desk.run("sync")
    before = desk.json("history")["runs"]
    desk.run("baseline", "--field", "nope", code=64)
    assert desk.json("history")["runs"] == before


def test_a_plan_can_be_cut_short_and_kept(desk: Desk) -> None:
    """--limit cuts the rows and says so; --out writes the document to a private file."""
    cut = desk.json("plan", "--limit", "1", "--out", "plan.json")
    assert (cut["truncated"], len(cut["changes"]), cut["summary"]["create"]) == (True, 1, 3)
    file = desk.folder / "plan.json"
    assert json.loads(file.read_text())["changes"] == cut["changes"]
    assert file.stat().st_mode & 0o077 == 0
    assert "… and 2 more (--limit N shows more)" in desk.run("plan", "--limit", "1").out


def test_f24_a_mapping_that_cannot_be_read_is_named_once(desk: Desk) -> None:
    """`plan` and `check` say what is wrong with it, and who waits for it."""
    desk.map(plan="select id as external_id, plan from subscriptions\n")
    shown = desk.run("plan", code=1)
    assert "FAILED contacts/plan: no such table: subscriptions\n" in shown.out
    assert "New contacts arrive whole: 3 wait until every mapping can be read.\n" in shown.out
    checked = desk.run("check", code=1).out
    assert "failed  contacts/plan: no such table: subscriptions\n" in checked
