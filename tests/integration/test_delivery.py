"""Deliveries over HTTP that go wrong: what is in doubt, put off, held back, or stops it all."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from meisa_cdc.cli.sync import exit_code
from meisa_cdc.core.breaker import MOST_FAILURES
from meisa_cdc.sandbox import Fault
from meisa_cdc.sync.once import Limits, Ran
from tests.installation import (
    LATER,
    PROMISE,
    UPSERT,
    Installation,
    Person,
    Program,
    deliver,
    needless,
    people,
    until,
    upserts,
)

#: One request, and nothing is tried again.
ONE = Limits(requests=1)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """Yield an installation with three users, never used."""
    with Installation.at(tmp_path, MEISA_CDC_MEISA__CONCURRENCY="1") as home:
        home.app_has(people(3))
        yield home


def fault(home: Installation, kind: Any, *, times: int = 1, **details: Any) -> None:
    """Let the next upserts go wrong."""
    home.account.script(Fault(kind=kind, path=UPSERT, times=times, **details))


def answer(home: Installation, status: int, *, times: int = 1, **details: Any) -> None:
    """Let the next upserts be answered with this status, and have no effect."""
    fault(home, "answer", status=status, times=times, **details)


def run(home: Installation, limits: Limits | None = None) -> Ran:
    """Do one run."""
    return deliver(home.settings(), limits=limits)


def code(ran: Ran) -> int:
    """Return the exit code that such a run ends with."""
    return exit_code(ran, releases_held=False)


# ---------------------------------------------------------------- no answer


@pytest.mark.parametrize(
    ("kind", "applied"),
    [("reset", False), ("reset", True), ("hang", False), ("hang", True), ("cut", True)],
)
def test_f60_no_answer_leaves_doubt_and_is_sent_again(home: Installation, kind: str, applied: bool):
    """Whether or not it was applied, the same run repeats it, and Meisa ends as the source."""
    home.environ["MEISA_CDC_MEISA__TIMEOUT"] = "1s"
    fault(home, kind, apply=applied, seconds=60.0)
    ran = run(home, ONE)
    assert (ran.unknown, ran.requests, len(home.doubted())) == (1, 1, 1)
    ran = run(home)
    assert (code(ran), ran.accepted, ran.requests) == (0, 3, 3)
    assert (home.in_step(), home.doubted()) == (True, set())
    assert needless(home.account) == applied


@pytest.mark.parametrize("applied", [False, True])
def test_f60_no_answer_and_the_source_goes_back(home: Installation, applied: bool):
    """A value in doubt is replaced by the present one, though the ledger holds that already."""
    run(home)
    home.app_has(people(3) | {"u0001": Person("u0001@example.com", plan="pro")})
    fault(home, "reset", apply=applied)
    run(home, ONE)
    home.app_has(people(3))
    ran = run(home)
    assert (ran.requests, ran.accepted) == (1, 1)
    assert home.meisa_has() == people(3)


def test_f60_repeated_within_one_run(home: Installation):
    """A run does not leave to the next one what it can repeat itself."""
    fault(home, "reset", apply=True)
    ran = run(home)
    assert (code(ran), ran.unknown, ran.accepted, ran.requests) == (0, 1, 3, 4)
    assert (home.in_step(), home.doubted()) == (True, set())


# ---------------------------------------------------------------- while it delivers


def slowly(home: Installation) -> None:
    """Let a run of ten contacts take a second, in which it looks several times."""
    home.environ["MEISA_CDC_SCHEDULE__EVERY"] = "100ms"
    home.app_has(people(10))
    home.account.configure(latency=0.1)


def test_what_changes_meanwhile_goes_out_in_the_same_run(home: Installation):
    """The app database is looked at again and again; a contact waiting goes with newer values."""
    slowly(home)
    with home.program("sync") as program:
        until(lambda: len(upserts(home.account)) >= 2)
        home.app_has(people(10, plan="pro") | {"new": Person("new@example.com")})
        assert program.ended() == 0, program.told()
    assert home.in_step()
    assert len(upserts(home.account)) < 20


def test_f20_the_app_database_goes_away_meanwhile(home: Installation):
    """What is known goes out all the same; the run says what it could not see, and exits with 1."""
    slowly(home)
    with home.program("sync", "--format", "json") as program:
        until(lambda: len(upserts(home.account)) >= 2)
        home.app.rename(home.folder / "aside.db")
        assert program.ended() == 1
        document = json.loads(program.output())
    (home.folder / "aside.db").rename(home.app)
    assert document["delivered"] == 10
    assert [text for text in document["failures"] if "app.db" in text]
    assert home.in_step()


@pytest.mark.parametrize(
    ("limit", "sent"), [(["--max-requests", "4"], 4), (["--max-time", "1ms"], 0)]
)
def test_a_run_that_is_limited_leaves_the_rest(home: Installation, limit: list[str], sent: int):
    """It ends with 0, and the next one goes on where it stopped."""
    slowly(home)
    document = home.sync(*limit)
    assert (document["delivered"], document["backlog"]) == (sent, 10 - sent)
    home.sync()
    assert home.in_step()
    assert len(upserts(home.account)) == 10


# ---------------------------------------------------------------- not now


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("body", ['{"message": "Not now."}', "<html>Bad gateway</html>", ""])
def test_f62_put_off_and_sent_again(home: Installation, status: int, body: str):
    """A server that does not take it now gets it later; nothing is held against the contact."""
    answer(home, status, body=body)
    ran = run(home, ONE)
    assert (ran.deferred, ran.accepted, home.quarantined()) == (1, 0, {})
    assert len(home.doubted()) == 1
    ran = run(home)
    assert (code(ran), ran.accepted) == (0, 3)
    assert (home.in_step(), home.doubted()) == (True, set())


@pytest.mark.parametrize("body", ["<html>Welcome</html>", "", "null", '{"id": "1"', "[]"])
def test_f62_a_success_that_is_none_is_sent_again(home: Installation, body: str):
    """A 200 that is no contact proves nothing."""
    answer(home, 200, body=body)
    ran = run(home)
    assert (code(ran), ran.unknown, ran.accepted) == (0, 1, 3)
    assert home.in_step()


def test_f62_a_run_gives_up_on_a_server_that_takes_nothing(home: Installation):
    """Ten failures in a row end the run with a word; the backlog is kept and goes out later."""
    answer(home, 503, times=100)
    ran = run(home)
    assert (code(ran), ran.requests, ran.deferred) == (1, MOST_FAILURES, MOST_FAILURES)
    assert [text for text in ran.failures if "did not take the last 10 requests" in text]
    assert home.quarantined() == {}
    home.account.clear_script()
    assert (code(run(home)), home.in_step()) == (0, True)


def in_a_second() -> str:
    """Return the next second but one as an HTTP date."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize("wait", ["1", "-5", in_a_second])
def test_f61_too_many_requests_pause_everything(home: Installation, wait: object):
    """Nothing is sent before the time is up, then the contact is the first; it did not fail."""
    header = wait if isinstance(wait, str) else in_a_second()
    answer(home, 429, headers={"Retry-After": header})
    ran = run(home)
    assert (code(ran), ran.deferred, ran.accepted) == (0, 1, 3)
    refused, again, *_ = upserts(home.account)
    assert (refused.status, again.status) == (429, 200)
    assert again.external_id == refused.external_id
    assert again.at - refused.at >= 0.99


def test_f61_too_many_requests_are_no_failure(home: Installation):
    """A run does not give up for them, however often they come."""
    answer(home, 429, times=3, headers={"Retry-After": "0"})
    answer(home, 503, times=MOST_FAILURES - 1)
    ran = run(home)
    assert (code(ran), ran.failures, home.in_step()) == (0, (), True)


def test_f61_no_wait_leaves_the_rest_to_the_next_run(home: Installation):
    """A run that is not to wait ends with 0, and the backlog is kept."""
    answer(home, 429, headers={"Retry-After": "3600"})
    ran = run(home, Limits(no_wait=True))
    assert (code(ran), ran.requests, ran.deferred) == (0, 1, 1)
    with home.state() as state:
        assert sum(state.counts().backlog.values()) == 3


# ---------------------------------------------------------------- never like this


@pytest.mark.parametrize("status", [400, 409, 422])
def test_f63_a_rejected_contact_waits_for_another_payload(home: Installation, status: int):
    """It is shown with Meisa's reason, costs nothing more, and goes out once its data changed."""
    reason = '{"message": "The plan is not known."}'
    answer(home, status, external_id="u0001", body=reason)
    ran = run(home)
    assert (code(ran), ran.rejected, ran.accepted) == (4, 1, 2)
    assert home.quarantined() == {"u0001": (f"rejected_{status}", "The plan is not known.")}
    assert home.doubted() == set()
    ran = run(home)
    assert (code(ran), ran.requests, ran.plan.summary.quarantined) == (0, 0, 1)
    home.app_has(people(3) | {"u0001": Person("u0001@example.com", plan="pro")})
    ran = run(home)
    assert (code(ran), ran.requests, ran.accepted) == (0, 1, 1)
    assert (home.quarantined(), home.in_step()) == ({}, True)


def test_f63_the_operator_may_insist(home: Installation):
    """`quarantine` lists the contact with its reason, `quarantine retry` has it sent again."""
    answer(home, 422, external_id="u0001", body='{"message": "The plan is not known."}')
    home.sync(code=4)
    with home.program("quarantine", "--format", "json") as listing:
        assert listing.ended() == 0
        (listed,) = json.loads(listing.output())["quarantined"]
    assert (listed["external_id"], listed["message"]) == ("u0001", "The plan is not known.")
    with home.program("quarantine", "retry", "u0001", "u0002") as refusing:
        # Nobody believes that something happened to whom they misspelt, and nothing did.
        assert refusing.ended() == 64
        assert "u0002: not in quarantine" in refusing.told()
    assert set(home.quarantined()) == {"u0001"}
    with home.program("quarantine", "retry", "u0001") as retrying:
        assert retrying.ended() == 0
        assert "To be tried again by the next run: 1 contact." in retrying.output()
    assert home.sync()["delivered"] == 1
    assert home.in_step()


def test_f63_a_rejection_does_not_clear_earlier_doubt(home: Installation):
    """What an unanswered request may have changed stays in doubt, rejected though its repeat is."""
    run(home)
    home.app_has(people(3) | {"u0001": Person("u0001@example.com", plan="pro")})
    fault(home, "reset", apply=True)
    run(home, ONE)
    answer(home, 422)
    run(home)
    assert (set(home.quarantined()), home.doubted()) == ({"u0001"}, {"u0001"})
    home.app_has(people(3))
    ran = run(home)
    assert (code(ran), ran.accepted, home.meisa_has()) == (0, 1, people(3))


# ---------------------------------------------------------------- nothing goes


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "API key"), (403, "contacts:write"), (404, "base_url"), (302, "redirect")],
)
def test_f64_delivery_stops_and_keeps_the_backlog(home: Installation, status: int, said: str):
    """Exit 1 with clear words; nobody is quarantined, nothing is in doubt, all goes out later."""
    stranger = {"Location": "http://127.0.0.1:9/elsewhere"}
    answer(home, status, times=100, headers=stranger if status == 302 else {})
    document = home.sync(code=1)
    (failure,) = document["failures"]
    assert "Delivery stopped" in failure
    assert said in failure
    assert "backlog is kept" in failure
    assert (document["requests"], document["backlog"], document["quarantined"]) == (1, 3, 0)
    assert home.doubted() == set()
    home.account.clear_script()
    assert (home.sync()["delivered"], home.in_step()) == (3, True)


def test_f64_several_requests_under_way_are_no_more_than_that(home: Installation):
    """The first refusal stops what had not started yet."""
    home.app_has(people(30))
    home.environ["MEISA_CDC_MEISA__CONCURRENCY"] = "4"
    answer(home, 403, times=100)
    ran = run(home)
    assert (code(ran), len(upserts(home.account))) == (1, ran.requests)
    assert 1 <= ran.requests <= 8


# ---------------------------------------------------------------- asked to end


def hanging(stack: ExitStack, folder: Path, path: str = UPSERT) -> Installation:
    """Return an installation whose requests to this path are not answered."""
    folder.mkdir()
    home = stack.enter_context(Installation.at(folder))
    home.app_has(people(3))
    home.account.script(Fault(kind="hang", seconds=600.0, path=path, times=1000))
    return home


def ended_in_time(programs: list[Program]) -> list[int]:
    """Return their exit codes, all within what is promised, and a moment for the test."""
    give_up = time.monotonic() + PROMISE + 2.0
    return [program.ended(within=give_up - time.monotonic()) for program in programs]


def test_f05_asked_to_end_while_requests_hang(tmp_path: Path):
    """Within ten seconds `run` ends with 0 or 130 and `sync` with 130, what hung is in doubt."""
    cases = [
        ("run", signal.SIGTERM, 0),
        ("run", signal.SIGINT, 130),
        ("sync", signal.SIGTERM, 130),
        ("sync", signal.SIGINT, 130),
    ]
    with ExitStack() as stack:
        homes = [hanging(stack, tmp_path / f"{n}") for n, _ in enumerate(cases)]
        programs = [
            stack.enter_context(home.program(command, *WITH_RESULT[command]))
            for home, (command, _, _) in zip(homes, cases, strict=True)
        ]
        until(lambda: all(len(upserts(home.account)) == 3 for home in homes))
        for program, (_, number, _) in zip(programs, cases, strict=True):
            program.signal(number)
        assert ended_in_time(programs) == [code for *_, code in cases]
        # Both came to their proper end, nobody had to cut it short.
        assert [len(program.events("ended")) for program in programs[:2]] == [1, 1]
        assert [json.loads(program.output())["unknown"] for program in programs[2:]] == [3, 3]
        for home in homes:
            assert home.doubted() == set(people(3))
            home.account.clear_script()
            deliver(home.settings())
            assert home.in_step()


def test_f05_asked_to_end_while_something_else_hangs(tmp_path: Path):
    """Neither a check of the key nor an endless query keeps `run` from ending in time."""
    with ExitStack() as stack:
        asking = hanging(stack, tmp_path / "asking", "/ping/")
        reading = hanging(stack, tmp_path / "reading")
        reading.map(plan=ENDLESS)
        programs = [stack.enter_context(home.program("run")) for home in (asking, reading)]
        until(asking.account.requests)
        until(lambda: programs[1].has_open(reading.app))
        for program in programs:
            program.signal(signal.SIGTERM)
        assert ended_in_time(programs) == [0, 0]


@pytest.mark.parametrize("command", ["run", "sync"])
def test_f05_asked_twice_it_ends_at_once(home: Installation, command: str):
    """The second signal does not wait for the requests under way."""
    fault(home, "hang", seconds=600.0, times=1000)
    with home.program(command) as program:
        until(lambda: upserts(home.account))
        program.signal(signal.SIGTERM)
        program.signal(signal.SIGINT)
        assert program.ended(within=PROMISE / 2) == 130
    assert len(home.doubted()) == 1
    home.account.clear_script()
    deliver(home.settings(), later=LATER)
    assert home.in_step()


def test_f05_interrupted_before_anything_was_sent(tmp_path: Path):
    """Ctrl-C while the key is checked ends `sync` at once; the lease is given back."""
    with ExitStack() as stack:
        home = hanging(stack, tmp_path / "home", "/ping/")
        program = stack.enter_context(home.program("sync"))
        until(home.account.requests)
        program.signal(signal.SIGINT)
        assert program.ended(within=PROMISE / 2) == 130
        home.account.clear_script()
        assert home.sync()["delivered"] == 3


WITH_RESULT = {"run": (), "sync": ("--format", "json")}
ENDLESS = """\
-- Never comes to an end.
with recursive counting(n) as (select 1 union all select n + 1 from counting)
select id as external_id, (select max(n) from counting) as plan from users
"""
