"""What the leader does when things go wrong: rest, probe, tell, keep the old set."""

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from meisa_cdc.core.breaker import PROBE_REFUSED, PROBE_TROUBLED
from meisa_cdc.core.errors import LeaseLost, MappingError, StateUnavailable, SuppressionFailed
from meisa_cdc.core.outcome import Answer
from meisa_cdc.daemon.health import Health
from meisa_cdc.daemon.leader import FIRST_RETRY, Leader
from meisa_cdc.daemon.schedule import SUPPRESSIONS
from tests.unit.daemon.conftest import Log
from tests.unit.sync.worlds import IDENTITY, PLAN, World

Lead = Callable[..., Leader]
BOTH = (IDENTITY, PLAN)


def gaps(world: World) -> list[float]:
    """Return the seconds between one request and the next, whole ones."""
    starts = [request.at for request in world.meisa.requests]
    return [later - earlier for earlier, later in pairwise(starts)]


def delivered(world: World) -> Callable[[], bool]:
    """Return the condition that Meisa has everybody."""
    return lambda: len(world.meisa.contacts) == 3


def test_f64_a_wrong_key_is_probed_now_and_then(world: World, lead: Lead, log: Log, health: Health):
    """One request every 15 minutes, until the key is accepted; then all goes out, and is well."""
    world.admit()
    world.meisa.answers.extend([401, 401])
    lead(delivered(world))
    assert gaps(world)[:2] == [pytest.approx(PROBE_REFUSED, abs=1)] * 2
    assert [request.status for request in world.meisa.requests] == [401, 401, 201, 201, 201]
    assert len(log.told("delivery stopped")) == 2
    assert health.document()["ready"]


def test_f64_a_wrong_key_shows_in_health(world: World, lead: Lead, log: Log, health: Health):
    """While delivery rests, /readyz says what to do."""
    world.admit()
    world.meisa.answers.extend([401] * 10)
    seen: list[str] = []

    def enough() -> bool:
        seen.append(str(health.document()["problem"]))
        return len(world.meisa.requests) == 2

    lead(enough)
    assert "API key" in seen[-1]


def test_f62_a_server_in_trouble_gets_one_request_a_minute(
    world: World, lead: Lead, log: Log, health: Health
):
    """After ten failures in a row delivery rests, and one success ends the series."""
    world.admit()
    world.meisa.answers.extend([503] * 12)
    lead(delivered(world))
    long = [gap for gap in gaps(world) if gap >= PROBE_TROUBLED]
    assert len(long) == 3
    assert len(log.told("delivery stopped")) == 3
    assert len(world.meisa.requests) == 15
    assert health.document()["ready"]


def test_f08_deliveries_wait_for_the_state(world: World, lead: Lead, log: Log, health: Health):
    """Where the intent cannot be stored nothing is sent; later it is, without a hand's turn."""
    world.admit()
    failing = [True] * 3

    def full(step: str) -> None:
        if step == "grant.before" and failing:
            failing.pop()
            assert world.meisa.requests == []
            raise StateUnavailable("The disk is full.")

    world.state.on_step = full
    began = world.clock.now()
    lead(delivered(world))
    assert world.clock.now() - began >= 3 * FIRST_RETRY
    assert len(log.told("delivery interrupted")) == 3
    assert health.document()["ready"]


def test_f07_a_lost_lease_ends_the_work(world: World, lead: Lead, log: Log):
    """The next write finds that somebody else leads, and nothing is sent."""
    world.admit()

    def taken(step: str) -> None:
        raise LeaseLost(f"Another process has taken over, at {step}.")

    world.state.on_step = taken
    with pytest.raises(LeaseLost):
        lead(lambda: False)
    assert world.meisa.requests == []
    assert "capture" not in [thread.name for thread in threading.enumerate()]


def test_f07_a_lease_that_is_lost_in_a_pass_ends_the_work(world: World, lead: Lead):
    """What the capturing thread meets ends the delivering one as well."""

    def taken(step: str) -> None:
        if step == "settle.before":
            raise LeaseLost("Another process has taken over.")

    world.state.on_step = taken
    with pytest.raises(LeaseLost):
        lead(lambda: False, names=BOTH)


def test_requests_under_way_are_collected_at_the_end(world: World, lead: Lead, log: Log):
    """What cannot be recorded any more stays in doubt, and is told."""
    world.admit()

    def full(step: str) -> None:
        if step == "complete.before":
            raise StateUnavailable("The disk is full.")

    world.state.on_step = full
    lead(lambda: len(world.meisa.requests) == 1)
    assert len(log.told("requests under way stay in doubt")) == 1
    doubted = [c.external_id for c in world.state.contacts.values() if c.in_doubt]
    assert doubted == ["1"]


def test_f20_a_pass_that_fails_is_repeated(world: World, lead: Lead, log: Log, health: Health):
    """The same mappings are due again after a while, and their rows arrive."""
    world.source.down = True

    def down() -> bool:
        if log.told("pass failed, will be repeated"):
            assert health.document()["ready"] is False or not world.source.down
            world.source.down = False
        return len(world.meisa.contacts) == 3

    lead(down, names=BOTH)
    assert health.document()["ready"]
    assert [each["mappings"] for each in log.told("pass")] == [[IDENTITY, PLAN]]


def test_f84_a_pull_that_fails_is_left_to_its_next_time(world: World, lead: Lead, log: Log):
    """It is told, and neither repeated at once nor in the way of anything."""
    pulls: list[int] = []

    def pull() -> None:
        pulls.append(1)
        raise SuppressionFailed("The list is cut off.")

    lead(delivered(world), names=(*BOTH, SUPPRESSIONS), pull=pull)
    assert pulls == [1]
    assert log.told("suppression list not pulled") == [{"error": "The list is cut off."}]


def test_the_list_is_pulled_although_the_app_database_is_away(world: World, lead: Lead, log: Log):
    """A failing pass does not keep the table of suppressed addresses from being brought up."""
    world.source.down = True
    pulls: list[int] = []
    lead(lambda: bool(pulls), names=(*BOTH, SUPPRESSIONS), pull=lambda: pulls.append(1))
    assert pulls == [1]


def test_f31_a_set_that_contradicts_itself_in_the_database_is_not_adopted(
    world: World, lead: Lead, log: Log
):
    """The old set is read in its place in the same pass, and it is told once."""
    old = dict(world.mappings)
    world.table("contacts/extra", "external_id plan", [(1, "team")])
    lead(delivered(world), names=BOTH, passes=replace(world.passes(), mappings=old))
    (refused,) = log.told("mapping files refused, the old set stays")
    assert "comes from" in refused["error"]
    assert log.told("mappings changed") == []


def test_f31_files_that_cannot_be_read_keep_the_old_set(world: World, lead: Lead, log: Log):
    """What was in force is read on."""

    def load() -> None:
        raise MappingError("is empty", mapping=PLAN)

    lead(delivered(world), names=BOTH, load=load)
    assert log.told("mapping files refused, the old set stays") == [
        {"error": "contacts/plan.sql: is empty"}
    ]


def test_an_answer_of_no_use_to_anyone_does_not_count_as_success(
    world: World, lead: Lead, health: Health
):
    """Health recovers by accepted or rejected deliveries, not by another kind of refusal."""
    world.admit()
    world.meisa.answers.extend([401, Answer(status=429, retry_after=1.0), 401, 401, 401])
    lead(lambda: len(world.meisa.requests) == 3)
    assert "Delivery stopped" in str(health.document()["problem"])
