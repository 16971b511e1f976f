"""Delivering: intents, doubt, quarantine, pauses, back-off, crashes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from meisa_cdc.core.breaker import MOST_REJECTED
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.errors import StateUnavailable
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.outcome import Answer, Kind
from meisa_cdc.sync.push import LONGEST_WAIT, SOON, Push
from meisa_cdc.testing.meisa import Scripted
from tests.unit.sync.worlds import IDENTITY, PLAN, Delayed, Lanes, World, windows


class Died(Exception):
    """The process is gone."""


def die_at(world: World, step: str) -> None:
    """Let the process die at this step, once."""

    def on_step(reached: str) -> None:
        if reached == step:
            world.state.on_step = lambda _: None
            raise Died

    world.state.on_step = on_step


def contact(world: World, key: str = "1") -> Contact:
    """Return a contact as it is stored."""
    return world.state.contacts[key]


@pytest.fixture
def changed(world: World) -> World:
    """Return a world in which the plan of contact 1 went from free to pro, not yet seen."""
    world.sync()
    world.bodies()
    world.plans({1: "pro", 2: "pro"})
    return world


@pytest.fixture
def delayed(world: World) -> Delayed:
    """Let answers come when the test says so, to up to two requests at once."""
    lanes = Delayed()
    world.lanes, world.concurrency = lanes, 2
    return lanes


def plan_bodies(world: World) -> list[object]:
    """Return the plans that were sent since the last call."""
    return [body["custom_fields"]["plan"] for body in world.bodies()]


def test_the_intent_is_stored_before_the_request_leaves(changed: World, delayed: Delayed):
    """From then on nobody is sure what Meisa holds."""
    changed.admit()
    push = changed.push()
    push.step()
    assert contact(changed).in_doubt == {"custom_fields.plan"}
    (record,) = changed.state.deliveries(most=1)
    assert (record.external_id, record.done_at, record.fields) == (
        "1",
        None,
        ["custom_fields.plan"],
    )
    assert changed.meisa.requests == []
    delayed.answer()
    push.step()
    assert contact(changed).in_doubt == frozenset()
    assert contact(changed).ledger["custom_fields.plan"] == "pro"


@pytest.mark.parametrize("step", ["grant.after", "complete.before"])
def test_f03_what_may_have_been_sent_is_sent_again_though_the_source_went_back(
    changed: World, step: str
):
    """The diff alone would say nothing."""
    changed.admit()
    die_at(changed, step)
    with pytest.raises(Died):
        changed.sync()
    assert contact(changed).in_doubt == {"custom_fields.plan"}
    changed.plans({1: "free", 2: "pro"})
    changed.clock.advance(60)
    changed.bodies()
    changed.sync()
    assert plan_bodies(changed) == ["free"]
    assert contact(changed).in_doubt == frozenset()
    assert changed.sync().requests == 0


def test_f01_a_crash_after_the_answer_costs_one_needless_request(changed: World):
    """It converges."""
    die_at(changed, "complete.before")
    with pytest.raises(Died):
        changed.sync()
    changed.clock.advance(60)
    changed.sync()
    assert plan_bodies(changed) == ["pro", "pro"]
    assert changed.sync().requests == 0


def test_f02_a_crash_before_the_intent_loses_nothing(changed: World):
    """The difference is still there."""
    die_at(changed, "grant.before")
    with pytest.raises(Died):
        changed.sync()
    assert contact(changed).in_doubt == frozenset()
    changed.sync()
    assert plan_bodies(changed) == ["pro"]


@pytest.mark.parametrize("step", ["settle.before", "settle.after", "record_read.before"])
def test_a_crash_in_a_pass_loses_nothing(changed: World, step: str):
    """The next pass finds it again, or finds it done."""
    die_at(changed, step)
    with pytest.raises(Died):
        changed.admit()
    changed.sync()
    assert plan_bodies(changed) == ["pro"]


@pytest.mark.parametrize(
    "answer",
    ["timeout_applied", "timeout_lost", "reset", 500, 408, Answer(status=200, body="<html>")],
)
def test_f60_after_an_ambiguous_answer_the_present_value_is_sent(changed: World, answer: Scripted):
    """Even where it is what Meisa acknowledged last."""
    changed.meisa.answers.append(answer)
    changed.sync()
    assert contact(changed).in_doubt == {"custom_fields.plan"}
    changed.plans({1: "free", 2: "pro"})
    changed.clock.advance(60)
    changed.sync()
    assert plan_bodies(changed) == ["pro", "free"]
    held = changed.held_at_meisa("1")
    assert held is not None
    assert held["custom_fields.plan"] == "free"
    assert changed.sync().requests == 0


@pytest.mark.parametrize("answer", [400, 409, 422])
def test_f63_a_rejected_contact_is_set_aside(changed: World, answer: int):
    """The same payload is not tried again; others go on."""
    changed.plans({1: "pro", 2: "max"})
    changed.meisa.answers.append(answer)
    ran = changed.sync()
    assert (ran.accepted, ran.rejected) == (1, 1)
    quarantine = contact(changed).quarantine
    assert quarantine is not None
    assert (quarantine.code, quarantine.message) == (f"rejected_{answer}", f"scripted {answer}")
    assert contact(changed).in_doubt == frozenset()
    ran = changed.sync()
    assert (ran.requests, ran.plan.summary.quarantined) == (0, 1)


def test_f63_another_payload_is_tried_again(changed: World):
    """Its content changed."""
    changed.meisa.answers.append(422)
    changed.sync()
    changed.bodies()
    changed.plans({1: "max", 2: "pro"})
    changed.sync()
    assert plan_bodies(changed) == ["max"]
    assert contact(changed).quarantine is None


def test_f63_a_difference_that_is_gone_needs_no_quarantine(changed: World):
    """Nothing is to be sent."""
    changed.meisa.answers.append(422)
    changed.sync()
    changed.plans({1: "free", 2: "pro"})
    ran = changed.sync()
    assert contact(changed).quarantine is None
    assert (ran.requests, ran.plan.summary.unchanged) == (0, 3)


def test_f63_the_operator_can_have_it_tried_again(changed: World):
    """As `quarantine retry` does."""
    changed.meisa.answers.append(422)
    changed.sync()
    changed.bodies()
    changed.state.release(["1"])
    changed.sync()
    assert plan_bodies(changed) == ["pro"]


def test_a_rejection_does_not_clear_doubt_from_before(changed: World):
    """The first attempt may have reached Meisa."""
    changed.meisa.answers.extend(["timeout_applied", 422])
    changed.sync()
    changed.clock.advance(60)
    changed.sync()
    assert contact(changed).quarantine is not None
    assert contact(changed).in_doubt == {"custom_fields.plan"}
    changed.bodies()
    changed.plans({1: "free", 2: "pro"})
    changed.sync()
    assert plan_bodies(changed) == ["free"]


def test_f66_an_answer_for_somebody_else_is_not_recorded(changed: World):
    """And the contact is set aside, its fields in doubt."""
    body = {"id": "contact-9", "external_id": "9", "email": "9@example.com"}
    changed.meisa.answers.append(Answer(status=200, body=body))
    changed.sync()
    quarantine = contact(changed).quarantine
    assert quarantine is not None
    assert quarantine.code == "identity_mismatch"
    assert contact(changed).ledger["custom_fields.plan"] == "free"
    assert contact(changed).in_doubt == {"custom_fields.plan"}


def test_f66_a_contact_that_meisa_forgot_is_sent_again_whole(changed: World):
    """It was deleted over there."""
    changed.meisa.forget("1")
    changed.sync()
    assert changed.held_at_meisa("1") == {
        "email": "1@example.com",
        "first_name": "Name 1",
        "custom_fields.plan": "pro",
    }


def test_f67_a_value_that_meisa_normalises_is_recorded_as_sent(world: World):
    """It is no difference from then on."""
    body = {"id": "contact-1", "external_id": "1", "email": "1@example.com", "first_name": "n"}
    world.meisa.answers.append(Answer(status=201, body=body))
    world.sync()
    assert contact(world).ledger["first_name"] == "Name 1"
    assert world.sync().requests == 0


# -------------------------------------------------------------------- when


def test_the_most_urgent_goes_first_then_the_oldest(world: World):
    """Newcomers are urgent."""
    world.sync()
    world.bodies()
    world.plans({1: "pro", 2: "max"})
    world.admit()
    world.clock.advance(1)
    world.table(PLAN, "external_id plan", [(1, "pro"), (2, "max"), (3, "free")])
    world.edit(PLAN, "first edition", priority=Priority.BACKGROUND)
    world.admit()
    world.people(1, 2, 3, 4)
    world.sync()
    assert world.sent_keys() == ["4", "1", "2", "3"]


def test_f62_failures_back_off(changed: World):
    """Longer each time, per contact; a use at last begins anew."""
    changed.meisa.answers.extend([500, 503, "reset", "accept"])
    changed.admit()
    push = changed.push()
    starts = []
    while (wait := push.step()) is not None:
        push.rest(wait)
        starts = [request.at for request in changed.meisa.requests]
    gaps = [round(after - before) for before, after in pairwise(starts)]
    assert gaps == [2, 4, 8]
    assert push.deliveries.attempts == {}
    assert push.deliveries.outcomes == {Kind.DEFERRED: 2, Kind.UNKNOWN: 1, Kind.ACCEPTED: 1}


def test_f61_a_429_pauses_everybody_and_is_no_attempt(changed: World):
    """For as long as the server said; the contact keeps its place."""
    changed.plans({1: "pro", 2: "max"})
    changed.admit()
    changed.meisa.answers.append(Answer(status=429, retry_after=7.0))
    push = changed.push()
    begun = changed.clock.now()
    while (wait := push.step()) is not None:
        push.rest(wait)
    assert [round(r.at - begun, 1) for r in changed.meisa.requests] == [0.0, 7.0, 7.0]
    assert changed.sent_keys() == ["1", "1", "2"]
    assert push.breaker.failures == 0


def test_f61_a_429_that_names_no_time_pauses_a_minute(changed: World):
    """And the fields stay in doubt, since nobody promised otherwise."""
    changed.meisa.answers.append(429)
    ran = changed.sync()
    assert (ran.requests, ran.deferred) == (1, 1)
    assert contact(changed).in_doubt == {"custom_fields.plan"}
    changed.clock.advance(59)
    assert changed.sync().requests == 0
    changed.clock.advance(1)
    assert changed.sync().requests == 1


def test_f62_a_503_may_name_a_pause_too(changed: World):
    """It counts as an attempt, though."""
    changed.meisa.answers.append(Answer(status=503, retry_after=30.0))
    changed.sync()
    assert changed.state.usage(1).paused_until == changed.clock.now() + 30.0


@pytest.mark.parametrize("status", [401, 403, 404, 301, 307])
def test_f64_a_wrong_key_or_address_stops_delivery(changed: World, status: int):
    """Nobody is quarantined for it, and the backlog is kept."""
    changed.plans({1: "pro", 2: "max"})
    changed.meisa.answers.append(status)
    ran = changed.sync()
    assert ran.requests == 1
    assert f"Delivery stopped: http_{status}." in ran.failures[0]
    assert changed.state.counts().backlog == {1: 2}
    assert contact(changed).quarantine is None
    assert contact(changed).in_doubt == frozenset()


def test_a_request_that_never_left_is_simply_tried_again(changed: World):
    """It is certain that Meisa did not take it."""
    changed.meisa.answers.append("not_sent")
    changed.sync()
    assert contact(changed).in_doubt == frozenset()
    changed.clock.advance(60)
    changed.sync()
    assert plan_bodies(changed) == ["pro", "pro"]


@pytest.fixture
def crowded() -> tuple[World, Push, Lanes]:
    """Return a world in which thirty people wait for five lanes."""
    world = World(windows=windows("1000/1s"), concurrency=5)
    world.lanes = lanes = Lanes(5)
    world.people(*range(10, 40))
    world.admit()
    return world, world.push(), lanes


def boarded(lanes: Lanes) -> int:
    """Return how many requests have a lane."""
    return sum(future.running() for _, future in lanes.waiting)


def test_intents_are_stored_ahead_of_free_lanes(crowded: tuple[World, Push, Lanes]):
    """No lane waits for the disk; no more requests than lanes are with Meisa."""
    world, push, lanes = crowded
    push.step()
    assert (push.under_way, push.started, boarded(lanes)) == (10, 10, 5)
    assert sum(bool(contact.in_doubt) for contact in world.state.contacts.values()) == 10
    push.step()
    assert push.under_way == 10
    lanes.answer(2)
    # Before anybody decided anything, the lanes have their next requests.
    assert (len(lanes.waiting), boarded(lanes)) == (8, 5)
    push.step()
    assert (push.under_way, push.started, boarded(lanes)) == (10, 12, 5)
    while push.step() is not None:
        lanes.answer(len(lanes.waiting))
    assert len(world.bodies()) == 30


def test_with_few_lanes_nothing_is_stored_ahead(world: World):
    """A kill leaves one in doubt for each lane."""
    world.people(*range(10, 40))
    world.admit()
    world.concurrency, world.lanes = 4, Lanes(4)
    push = world.push()
    push.step()
    push.step()
    assert push.under_way == 4


def test_what_waits_for_a_lane_is_taken_back_in_trouble(crowded: tuple[World, Push, Lanes]):
    """Its contact is as if nothing had been started, and goes out later."""
    world, push, lanes = crowded
    world.meisa.answers.append(429)
    push.step()
    lanes.most = 0
    lanes.answer(1)
    push.step()
    assert (push.under_way, push.started) == (4, 5)
    assert [future.cancelled() for _, future in lanes.waiting] == [False] * 4 + [True] * 5
    in_doubt = [key for key, contact in world.state.contacts.items() if contact.in_doubt]
    assert sorted(in_doubt) == ["10", "11", "12", "13", "14"]
    codes = [each.code for each in world.state.deliveries()]
    assert (codes.count("http_429"), codes.count("withheld")) == (1, 5)
    assert push.deliveries.outcomes == {Kind.DEFERRED: 1}
    assert push.breaker.failures == 0
    lanes.most, lanes.waiting = 5, lanes.waiting[:4]
    lanes.answer(4)
    while (wait := push.step()) is not None:
        world.clock.advance(wait)
        lanes.answer(len(lanes.waiting))
    assert all(contact.ledger for contact in world.state.contacts.values())


def test_one_refused_contact_takes_nothing_back(crowded: tuple[World, Push, Lanes]):
    """It says nothing of the others."""
    world, push, lanes = crowded
    world.meisa.answers.append(400)
    push.step()
    lanes.answer(1)
    push.step()
    assert (push.under_way, push.deliveries.withheld) == (10, 0)


def test_too_many_refused_ones_take_back_what_waits_for_a_lane():
    """As soon as they halt delivery; what was taken back is not judged by."""
    world = World(windows=windows("100000/1s"), concurrency=10)
    world.guard = GuardSettings(first_load="send")
    world.lanes = lanes = Lanes(10)
    world.people(*range(100, 400))
    world.admit()
    push = world.push()
    push.step()
    while not push.breaker.halted:
        world.meisa.answers.append(400 if lanes.answered % 15 == 14 else "accept")
        lanes.answer(1)
        push.step()
    assert lanes.answered == MOST_REJECTED * 15
    assert push.deliveries.outcomes[Kind.REJECTED] == MOST_REJECTED
    assert [future.cancelled() for _, future in lanes.waiting] == [False] * 10 + [True] * 9
    # Nobody waits for room that they took, nor judges by them.
    assert len(world.state.usage(10_000).done) == lanes.answered + 10


def test_nothing_is_stored_ahead_while_meisa_fails(crowded: tuple[World, Push, Lanes]):
    """To find out whether it works again takes no more requests than lanes."""
    world, push, lanes = crowded
    world.meisa.answers.append(503)
    push.step()
    lanes.most = 0
    lanes.answer(1)
    push.step()
    lanes.waiting = lanes.waiting[:4]
    push.step()
    assert push.under_way == 5


def test_what_waits_for_a_lane_is_taken_back_at_the_end(crowded: tuple[World, Push, Lanes]):
    """It needs no confirmation later."""
    world, push, lanes = crowded
    push.step()
    push.finish(0.0)
    assert (push.under_way, push.started) == (5, 5)
    assert sum(bool(contact.in_doubt) for contact in world.state.contacts.values()) == 5
    assert [future.cancelled() for _, future in lanes.waiting] == [False] * 5 + [True] * 5


def test_only_so_many_requests_are_under_way(world: World, delayed: Delayed):
    """And never two for one contact, though it changed meanwhile."""
    world.admit()
    push = world.push()
    assert push.step() == LONGEST_WAIT
    assert sorted(push.deliveries.flights) == ["1", "2"]
    world.plans({1: "pro", 2: "max"})
    world.admit()
    push.step()
    assert len(delayed.waiting) == 2
    delayed.answer(1)
    push.step()
    # The second one changed since; that its answer is stored with the next intent costs it a turn.
    flights = push.deliveries.flights
    assert [(key, flight.grant.id) for key, flight in flights.items()] == [("1", 1), ("3", 3)]
    delayed.answer(1)
    push.step()
    assert [(key, flight.grant.id) for key, flight in flights.items()] == [("1", 1), ("2", 4)]
    while push.step() is not None:
        delayed.answer_all()
    assert contact(world, "2").ledger["custom_fields.plan"] == "max"
    assert len(world.bodies()) == 5


def test_an_answer_does_not_overwrite_what_was_observed_since(changed: World, delayed: Delayed):
    """The newer value is sent next."""
    changed.admit()
    push = changed.push()
    push.step()
    changed.plans({1: "max", 2: "pro"})
    changed.admit()
    delayed.answer()
    push.step()
    assert contact(changed).ledger["custom_fields.plan"] == "pro"
    assert contact(changed).pending == {"custom_fields.plan": "max"}
    delayed.answer()
    assert push.step() is None
    assert plan_bodies(changed) == ["pro", "max"]


def test_no_window_is_exceeded(world: World):
    """Restarts and all."""
    world.windows = windows("4/10s,12/100s")
    world.people(*range(1, 31))
    world.admit()
    while world.state.counts().backlog:
        push = world.push()
        push.step()
        push.finish(0.0)
        world.clock.advance(0.9)
    assert len(world.meisa.requests) == 30
    assert world.meisa.most_within(10.0) <= 4
    assert world.meisa.most_within(100.0) <= 12


def test_f13_a_clock_set_back_stalls_nobody(changed: World):
    """Not even those who were answered by the later time."""
    changed.sync()
    changed.bodies()
    changed.clock.advance(-3600)
    changed.plans({1: "max", 2: "pro"})
    changed.sync()
    assert plan_bodies(changed) == ["max"]


def test_f13_a_clock_set_back_bursts_nobody(world: World):
    """What can no longer be dated counts as the burst spent."""
    world.windows = windows("12/60s")
    world.people(*range(1, 21))
    world.sync()
    world.clock.advance(-3600)
    before = len(world.meisa.requests)
    world.sync()
    assert len(world.meisa.requests) <= before + 1


# -------------------------------------------------------------------- one step


def test_a_step_starts_no_more_than_it_may(world: World):
    """`most` counts what it starts."""
    world.concurrency = 4
    world.admit()
    push = world.push()
    push.step(most=2)
    assert push.started == 2
    push.step(most=0)
    assert (push.started, push.deliveries.flights) == (2, {})


def test_a_step_says_when_there_is_more_to_do(world: World):
    """Soon, later, or never."""
    world.windows = windows("1/10s")
    world.people(1, 2)
    push = world.push()
    assert push.step() is None
    world.admit()
    assert push.step() == LONGEST_WAIT
    assert push.step() == 10.0
    world.clock.advance(10.0)
    assert push.step() == LONGEST_WAIT
    assert push.step() is None


def test_a_full_window_is_no_reason_to_wait_for_nothing(world: World):
    """All was sent."""
    world.windows = windows("1/1000s")
    world.people(1)
    world.sync()
    assert world.push().step() is None


def test_a_full_window_that_opens_before_anybody_is_due(world: World):
    """Then the contact's own delay counts."""
    world.windows = windows("1/1s")
    world.people(1)
    world.admit()
    world.meisa.answers.append(500)
    push = world.push()
    push.step()
    assert push.step() == pytest.approx(2.0)


def at_grant(world: World, act: Callable[[], None]) -> None:
    """Let somebody else do this at the last moment before a grant, once."""

    def on_step(reached: str) -> None:
        if reached == "grant.before":
            world.state.on_step = lambda _: None
            act()

    world.state.on_step = on_step


def test_a_contact_that_a_pass_settled_at_the_last_moment_is_left_alone(changed: World):
    """There is nothing to send any more."""
    changed.admit()
    settled = replace(contact(changed), pending={}, rank=None, since=None)
    at_grant(changed, lambda: changed.state.put_contact(settled))
    push = changed.push()
    assert push.step() == SOON
    assert push.step() is None
    assert changed.meisa.requests == []


def test_room_that_another_process_took_is_gone(changed: World):
    """Both count in one budget."""
    changed.windows = windows("1/10s")
    changed.clock.advance(10)
    changed.admit()
    now = changed.clock.now()

    def take() -> None:
        changed.state.grant("ping", now=now, deadline=now + 5.0, admit=lambda _: (now + 10.0,))

    at_grant(changed, take)
    push = changed.push()
    assert push.step() == 15.0
    assert push.step() == 15.0
    assert changed.meisa.requests == []


def test_a_server_in_trouble_gets_ever_fewer_requests(world: World):
    """After ten failures in a row, none."""
    world.people(*range(1, 31))
    world.admit()
    world.meisa.answers.extend([500] * 30)
    world.concurrency = 4
    push = world.push()
    under_way = [len(push.deliveries.flights) for _ in steps(push, 12)]
    assert under_way == [4, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert push.halted
    assert push.started == 10


def steps(push: Push, count: int) -> Iterator[float | None]:
    """Yield what each of these steps returns."""
    for _ in range(count):
        yield push.step()


def test_one_answer_of_use_ends_a_series_of_failures(world: World):
    """A rejection is of use."""
    world.people(*range(1, 31))
    world.admit()
    world.meisa.answers.extend([*[500] * 9, 422, *[500] * 9])
    push = world.push()
    list(steps(push, 20))
    assert push.breaker.failures == 9
    assert not push.halted


def test_resting_lets_time_pass(world: World):
    """Never much in one go, so that a request to end is heard."""
    push = world.push()
    before = world.clock.now()
    push.rest(0.2)
    push.rest(100.0)
    assert world.clock.now() == pytest.approx(before + 0.2 + LONGEST_WAIT)


def test_resting_ends_with_an_answer(world: World, delayed: Delayed):
    """No time is lost."""
    world.admit()
    push = world.push()
    push.step()
    delayed.answer()
    before = world.clock.now()
    push.rest(100.0)
    assert world.clock.now() == before


@pytest.mark.parametrize("failures", [1, 3])
def test_an_answer_that_could_not_be_stored_is_stored_later(
    changed: World, delayed: Delayed, failures: int
):
    """The disk was full for a moment; Meisa is not asked once more for it."""
    changed.plans({1: "pro", 2: "max"})
    changed.meisa.answers.extend([500, "accept"])
    changed.admit()
    push = changed.push()
    push.step()
    delayed.answer_all()
    left = failures

    def on_step(reached: str) -> None:
        nonlocal left
        if reached == "complete.before" and left:
            left -= 1
            raise StateUnavailable("The disk is full.")

    changed.state.on_step = on_step
    for _ in range(failures):
        with pytest.raises(StateUnavailable):
            push.step()
        assert sorted(push.deliveries.flights) == ["1", "2"]
    push.step()
    assert push.deliveries.outcomes == {Kind.DEFERRED: 1, Kind.ACCEPTED: 1}
    assert (push.deliveries.attempts, push.deliveries.flights) == ({"1": 1}, {})
    assert len(plan_bodies(changed)) == 2


def test_turns_are_kept_where_several_start_at_once(world: World):
    """Each class has the places it would have had one by one."""
    world.sync()
    world.bodies()
    world.plans({1: "max", 2: "max", 3: "max"})
    world.admit()
    world.people(*range(1, 31))
    world.admit()
    world.concurrency = 7
    order = started_order(world)
    assert [place for place, key in enumerate(order) if key in {"1", "2", "3"}] == TURNS


#: Of 30 deliveries after the three of the first load, where the normal class has its turns.
TURNS = [1, 11, 21]


def started_order(world: World) -> list[str]:
    """Return whom the requests were about, in the order in which they were granted."""
    push = world.push()
    while (wait := push.step()) is not None:
        push.rest(wait)
    return [record.external_id for record in world.state.deliveries()][::-1][3:]


def test_finishing_collects_what_is_answered_and_starts_nothing(world: World, delayed: Delayed):
    """The rest stays in doubt."""
    world.admit()
    push = world.push()
    push.step()
    delayed.answer(1)
    push.finish(0.0)
    assert sorted(push.deliveries.flights) == ["1"]
    assert world.state.counts().in_doubt == 1
    delayed.answer()
    push.finish(8.0)
    assert push.deliveries.flights == {}
    assert world.state.counts().in_doubt == 0
    assert push.started == 2


def test_identity_alone_is_enough(world: World):
    """A contact has an address, if nothing else."""
    del world.mappings[PLAN]
    world.sync()
    assert world.rows(IDENTITY)
    assert world.bodies()[2] == {
        "external_id": "3",
        "email": "3@example.com",
        "first_name": "Name 3",
        "source": "initial_sync",
    }
