"""kill -9 at every step of a delivery: Meisa ends as the source, for one needless request."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from meisa_cdc.sync.judging import BATCH
from tests.crash.driver import STEPS
from tests.crash.killing import kill
from tests.installation import (
    LATER,
    Installation,
    Person,
    deliver,
    needless,
    people,
    upserts,
)

#: Steps at which Meisa has taken the request that the state knows as intended alone.
TAKEN = ("applied, the answer unread", "answered, not recorded")
DELIVERY = tuple(step for step in STEPS if step != "between two batches of a pass")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Installation]:
    """Yield an installation that was never used, which sends one request at a time."""
    with Installation.at(tmp_path, MEISA_CDC_MEISA__CONCURRENCY="1") as fresh:
        yield fresh


@pytest.fixture
def home(fresh: Installation) -> Installation:
    """Return an installation in step with six users."""
    fresh.app_has(people(6))
    finish(fresh)
    return fresh


def finish(home: Installation, *, later: float = 0.0) -> None:
    """Do one clean run, and see that a second one has nothing to send."""
    settings = home.settings()
    ran = deliver(settings, later=later)
    assert (ran.failures, ran.rejected, ran.unknown, ran.deferred) == ((), 0, 0, 0)
    again = deliver(settings, later=later)
    assert (again.plan.summary.requests, again.requests) == (0, 0)
    assert home.doubted() == set()


def changed(plan: str) -> dict[str, Person]:
    """Return the six users on another plan, and one who is new."""
    return people(6, plan=plan) | {"new": Person("new@example.com", plan=plan)}


def last_request(home: Installation) -> int:
    """Return the number of the newest request in the sandbox's log."""
    return max((record.number for record in home.account.requests()), default=0)


@pytest.mark.parametrize("step", [step for step in DELIVERY if step != "after the intent"])
def test_f01_killed_at_a_step_it_converges(home: Installation, step: str):
    """What was taken but not recorded is sent once more, and nothing else is.

    An answer is recorded with the next intent: before that, it is not recorded either.
    """
    before = last_request(home)
    home.app_has(changed("pro"))
    kill(home, step, 2)
    finish(home, later=LATER)
    assert home.meisa_has() == changed("pro")
    again = 1 if step in (*TAKEN, "before the intent") else 0
    assert (len(upserts(home.account, before)), needless(home.account, before)) == (
        7 + again,
        again,
    )


@pytest.mark.parametrize("number", [1, 7])
def test_f02_killed_between_intent_and_send_nothing_is_lost(home: Installation, number: int):
    """What was only intended is in doubt, and is sent by the next run."""
    before = last_request(home)
    home.app_has(changed("pro"))
    kill(home, "after the intent", number)
    assert len(home.doubted()) == 1
    assert len(upserts(home.account, before)) == number - 1
    finish(home, later=LATER)
    assert home.meisa_has() == changed("pro")
    assert (len(upserts(home.account, before)), needless(home.account, before)) == (7, 0)


@pytest.mark.parametrize("step", DELIVERY)
def test_f03_killed_and_the_source_goes_back(home: Installation, step: str):
    """A value that may have reached Meisa is replaced, though the ledger sees no difference."""
    before = last_request(home)
    home.app_has(people(6, plan="pro"))
    kill(home, step, 2)
    home.app_has(people(6))
    finish(home, later=LATER)
    assert home.meisa_has() == people(6)
    assert needless(home.account, before) <= 1


def test_f01_killed_at_one_step_after_the_other(home: Installation):
    """A run that never gets to its end costs one needless request each time at most."""
    before = last_request(home)
    flapping = ("pro", "free")
    for round_, step in zip(count(), DELIVERY, strict=False):
        home.app_has(changed(flapping[round_ % 2]))
        kill(home, step, later=round_ * LATER)
    home.app_has(changed("team"))
    finish(home, later=len(DELIVERY) * LATER)
    assert home.meisa_has() == changed("team")
    assert needless(home.account, before) <= len(DELIVERY)


@pytest.mark.parametrize("step", TAKEN)
def test_f01_killed_with_several_requests_under_way(home: Installation, step: str):
    """Each request under way may have to be repeated, none of another contact."""
    before = last_request(home)
    home.app_has(changed("pro"))
    kill(home, step, 2, MEISA_CDC_MEISA__CONCURRENCY="4")
    assert 1 <= len(home.doubted()) <= 4
    finish(home, later=LATER)
    assert home.meisa_has() == changed("pro")
    assert 1 <= needless(home.account, before) <= 4


def test_f01_killed_in_the_middle_of_a_first_load(fresh: Installation):
    """What a pass had not yet stored is found again, and greets as a first load all the same."""
    crowd = people(BATCH + 5)
    fresh.app_has(crowd)
    kill(fresh, "between two batches of a pass")
    with fresh.state() as state:
        assert state.counts().contacts == BATCH
    finish(fresh, later=LATER)
    assert fresh.meisa_has() == crowd
    assert needless(fresh.account) == 0
    assert {c["source"] for c in fresh.account.contacts()} == {"initial_sync"}
