"""Every exit code that docs/json.md lists, for the reason it gives."""

import json
import signal
import time

import pytest
from sqlalchemy import make_url

from meisa_cdc.sandbox import Fault
from tests.acceptance.installed import PATIENCE, Desk, User, users

NOBODY_LISTENS = "http://127.0.0.1:1/api/v1"


def test_0_when_all_is_done(desk: Desk) -> None:
    """A run that delivered everything, and one that had nothing to do."""
    assert desk.json("sync", "--verbose", code=0)["delivered"] == 3
    assert desk.json("sync", code=0)["requests"] == 0


def test_1_when_one_mapping_fails_though_the_rest_was_done(desk: Desk) -> None:
    """The failed mapping is named once; changes of known contacts go out, creations wait."""
    desk.run("sync")
    desk.map(score="select id as external_id, score from no_such_table")
    desk.app_has({**users(2, plan="pro"), "u009": User("u009@example.com")})
    heard = desk.heard()
    told = desk.json("sync", code=1)
    (failure,) = told["failures"]
    assert "contacts/score" in failure
    assert "no_such_table" in failure
    assert {each.external_id for each in desk.sent(heard)} == {"u000", "u001"}
    planned = desk.json("plan", code=1)
    assert list(planned["failures"]) == ["contacts/score"]
    assert planned["waiting"] == 1


def test_1_when_the_password_is_wrong(desk: Desk, postgres_url: str) -> None:
    """The database's own words, without the password."""
    wrong = make_url(postgres_url).set(password="not-the-password")
    url = wrong.render_as_string(hide_password=False)
    ended = desk.run("sync", code=1, MEISA_CDC_APP_DATABASE__URL=url)
    assert ended.out == ""
    assert "password authentication failed" in ended.err
    assert "not-the-password" not in ended.err
    assert desk.sent() == []


def test_1_when_meisa_cannot_be_reached(desk: Desk) -> None:
    """One sentence says where Meisa should have been."""
    ended = desk.run("sync", code=1, MEISA_BASE_URL=NOBODY_LISTENS)
    assert "Meisa does not answer" in ended.err
    assert NOBODY_LISTENS in ended.err


def test_1_when_the_key_is_refused(desk: Desk) -> None:
    """Nothing is delivered with a wrong key, and the answer says that it is the key."""
    ended = desk.run("sync", code=1, MEISA_API_KEY="meisa_test_other")
    assert "key" in ended.err
    assert desk.sent() == []


def test_2_when_changes_are_pending_and_somebody_asked(desk: Desk) -> None:
    """Only --detailed-exitcode tells pending changes from none."""
    desk.run("plan", "--detailed-exitcode", code=2)
    desk.run("baseline")
    desk.run("plan", "--detailed-exitcode", code=0)


def test_3_when_something_is_held(desk: Desk) -> None:
    """A held first load ends plan and sync alike, with the digest that lets it go."""
    desk.settings["MEISA_CDC_GUARD__MIN_CONTACTS"] = "2"
    planned = desk.json("plan", "--detailed-exitcode", code=3)
    held = desk.json("sync", code=3)
    assert planned["guard"] == held["guard"]
    assert held["guard"]["holds"][0]["digest"] == planned["digest"]
    assert desk.sent() == []


def test_4_when_rows_were_invalid(desk: Desk) -> None:
    """The good rows go out; the bad one is named with its reason."""
    desk.app_has({**users(2), "u009": User(None)})
    assert desk.json("sync", code=4)["delivered"] == 2
    (invalid,) = desk.json("plan", "--detailed-exitcode", code=4)["invalid"]
    assert (invalid["external_id"], invalid["code"]) == ("u009", "email_missing")


def test_4_when_meisa_rejected_a_contact(desk: Desk) -> None:
    """In the run that was rejected; the next has nothing to do with it."""
    desk.account.script(Fault(kind="answer", status=422, external_id="u001"))
    told = desk.json("sync", code=4)
    assert (told["delivered"], told["rejected"], told["quarantined"]) == (2, 1, 1)
    again = desk.json("sync", code=0)
    assert (again["quarantined"], again["requests"]) == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sync", "--max-time", "soon"], "--max-time"),
        (["sync", "--select", "contacts/nothing"], "contacts/identity, contacts/plan"),
        (["approve"], "DIGEST"),
    ],
)
def test_64_when_the_command_line_is_wrong(desk: Desk, arguments: list[str], said: str) -> None:
    """What is wrong with it, on stderr, and nothing happened."""
    ended = desk.run(*arguments, code=64)
    assert ended.out == ""
    assert said in ended.err
    assert not desk.state.exists()


def test_130_when_interrupted_and_nothing_is_lost(desk: Desk) -> None:
    """Ctrl-C lets the requests under way end; the next run sends the rest, and nothing twice."""
    desk.app_has(users(40))
    desk.account.configure(latency=0.1)
    with desk.started("sync", "--format", "json") as process:
        wait_until_sent(desk, 4)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in err
    done = json.loads(out)
    assert done["delivered"] + done["backlog"] == 40
    assert done["backlog"] > 0
    desk.account.configure(latency=0.0)
    assert desk.json("sync")["delivered"] == done["backlog"]
    assert sorted(str(each.external_id) for each in desk.sent()) == sorted(users(40))


def wait_until_sent(desk: Desk, count: int) -> None:
    """Return once the sandbox got that many upserts."""
    give_up = time.monotonic() + PATIENCE
    while len(desk.sent()) < count:
        assert time.monotonic() < give_up
        time.sleep(0.01)
