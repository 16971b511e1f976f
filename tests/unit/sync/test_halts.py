"""Halted deliveries: kept over a restart, tried now and then, started again by a person."""

from collections.abc import Sequence

import pytest

from meisa_cdc.core.breaker import MOST_FAILURES, MOST_REJECTED, REJECTIONS, UNAVAILABLE
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.outcome import Answer
from meisa_cdc.sync.overrides import baseline
from meisa_cdc.sync.push import Push
from meisa_cdc.testing.meisa import Scripted
from tests.unit.sync.worlds import IDENTITY, PLAN, World

MANY = 40


@pytest.fixture
def crowd(world: World) -> World:
    """Return a world in which forty people wait to be delivered."""
    world.guard = GuardSettings(min_contacts=1000)
    world.people(*range(1, MANY + 1))
    world.plans(dict.fromkeys(range(1, MANY + 1), "free"))
    world.admit()
    return world


def starts(world: World, push: Push, seconds: float) -> list[float]:
    """Deliver for that long; return when requests started, in seconds since."""
    begun = world.clock.now()
    world.meisa.requests.clear()
    while (past := world.clock.now() - begun) < seconds:
        wait = push.step()
        push.rest(min(seconds - past, 0.5 if wait is None else max(wait, 0.01)))
    return [round(request.at - begun) for request in world.meisa.requests]


def one(world: World) -> None:
    """Let a process deliver once, and end."""
    push = world.push()
    push.step(most=1)
    push.finish(1.0)


def answer(world: World, *answers: Scripted) -> None:
    """Set what Meisa answers next, and nothing else."""
    world.meisa.answers.clear()
    world.meisa.answers.extend(answers)


def halt(world: World, answers: Sequence[Scripted]) -> None:
    """Let deliveries come to a halt."""
    answer(world, *answers)
    push = world.push()
    starts(world, push, 1.0)
    assert push.halted
    answer(world)


# ---------------------------------------------------------------- a server in trouble


def test_f62_a_server_in_trouble_is_tried_once_a_minute(crowd: World):
    """However many wait, and whatever process asks."""
    answer(crowd, *[500] * 100)
    push = crowd.push()
    assert starts(crowd, push, 1.0) == [0] * MOST_FAILURES
    assert crowd.push().breaker.halted == UNAVAILABLE
    assert starts(crowd, crowd.push(), 200.0) == [59, 119, 179]
    assert starts(crowd, crowd.push(), 100.0) == [39, 99]


def test_f62_a_probe_that_works_lets_all_go(crowd: World):
    """Nothing of the halt is left."""
    halt(crowd, [500] * MOST_FAILURES)
    assert len(starts(crowd, crowd.push(), 120.0)) == MANY
    assert crowd.push().breaker.halted == ""
    assert crowd.push().breaker.failures == 0


def test_f62_failures_in_a_row_are_counted_over_a_restart(crowd: World):
    """A process that is started anew each time cannot hammer either."""
    for _ in range(MOST_FAILURES):
        assert not crowd.push().halted
        answer(crowd, 503)
        one(crowd)
    assert crowd.push().halted


def test_somebody_who_waits_has_one_tried_at_once(crowd: World):
    """`sync` says what came of it, and does not wait for the next."""
    halt(crowd, [500] * MOST_FAILURES)
    answer(crowd, 503, 503)
    ran = crowd.sync()
    assert (ran.requests, ran.deferred) == (1, 1)
    (failure,) = ran.failures
    assert "Meisa did not take the last 11 requests. Meisa said: scripted 503." in failure
    assert crowd.sync(()).requests == 1
    answer(crowd)
    ran = crowd.sync()
    assert ran.failures == ()
    assert ran.accepted > MANY / 2


# ---------------------------------------------------------------- a wrong key or address


def test_f64_a_wrong_key_is_tried_every_quarter_of_an_hour(crowd: World):
    """By whatever process; nobody is quarantined."""
    answer(crowd, *[401] * 100)
    assert starts(crowd, crowd.push(), 901.0) == [0, 900]
    assert starts(crowd, crowd.push(), 1800.0) == [899, 1799]
    assert crowd.state.counts().quarantined == 0
    answer(crowd)
    assert len(starts(crowd, crowd.push(), 1000.0)) == MANY


def test_f64_a_probe_that_fails_otherwise_is_no_leave_to_go_on(crowd: World):
    """One a minute then."""
    halt(crowd, [401])
    crowd.meisa.answers.extend(["timeout_lost"] * 100)
    assert starts(crowd, crowd.push(), 1050.0) == [899, 959, 1019]


def test_f64_sync_tries_a_wrong_key_at_once(crowd: World):
    """Whoever has just corrected it sees it work."""
    halt(crowd, [401])
    answer(crowd, 401)
    ran = crowd.sync()
    assert (ran.requests, len(ran.failures)) == (1, 1)
    assert "The API key is missing, wrong or revoked." in ran.failures[0]
    assert crowd.sync().accepted == MANY


# ---------------------------------------------------------------- too many rejections


def rejecting(world: World) -> None:
    """Let so many be rejected that deliveries halt."""
    halt(world, [422] * MOST_REJECTED)
    assert world.push().breaker.halted == REJECTIONS
    world.bodies()


def test_f63_the_eleventh_rejection_halts_until_a_person_acts(crowd: World):
    """The rest of the backlog is kept; no restart, no time and no `sync` goes on."""
    answer(crowd, *[422] * MOST_REJECTED)
    assert len(starts(crowd, crowd.push(), 10_000.0)) == MOST_REJECTED
    assert starts(crowd, crowd.push(), 10_000.0) == []
    ran = crowd.sync()
    assert (ran.requests, len(ran.failures)) == (0, 1)
    assert "11 or more of the last 200 contacts were rejected" in ran.failures[0]
    assert "quarantine retry" in ran.failures[0]
    counts = crowd.state.counts()
    assert (counts.quarantined, sum(counts.backlog.values())) == (
        MOST_REJECTED,
        MANY - MOST_REJECTED,
    )


def test_f63_rejections_among_many_accepted_ones_do_not_halt(world: World):
    """Ten of the last two hundred, though more of all there ever were."""
    world.guard = GuardSettings(min_contacts=10_000)
    world.people(*range(1, 501))
    world.plans({})
    world.admit()
    twenty: list[Scripted] = [*["accept"] * 19, 422]  # type: ignore[list-item]
    answer(world, *twenty * 25)
    starts(world, world.push(), 10.0)
    assert world.state.counts().quarantined == 25
    assert not world.push().halted


def test_f63_with_a_person_to_act_there_is_nothing_to_wait_for(crowd: World):
    """Though somebody deferred is due."""
    answer(crowd, 500, *[422] * MOST_REJECTED)
    push = crowd.push()
    while not push.halted:
        push.step()
    crowd.clock.advance(100.0)
    assert push.step() is None


def test_f63_a_retry_starts_again_with_an_empty_window(crowd: World):
    """The rejections so far count no more, even if some follow."""
    rejecting(crowd)
    crowd.state.release()
    crowd.state.forgive()
    answer(crowd, *[422] * (MOST_REJECTED - 1))
    assert len(starts(crowd, crowd.push(), 10.0)) == MANY
    assert not crowd.push().halted
    answer(crowd, 422)
    crowd.plans({40: "pro"})
    assert crowd.sync().failures != ()
    assert crowd.push().halted


def test_f63_an_edited_mapping_starts_again(crowd: World):
    """It may have been its fault; what it does not change stays set aside."""
    rejecting(crowd)
    crowd.edit(PLAN)
    ran = crowd.sync()
    assert ran.failures == ()
    assert (ran.accepted, ran.rejected) == (MANY - MOST_REJECTED, 0)
    assert crowd.state.counts().quarantined == MOST_REJECTED


def test_f63_reading_the_same_again_starts_nothing(crowd: World):
    """Rows, further mappings and another order are no correction."""
    rejecting(crowd)
    crowd.rows(PLAN).reverse()
    crowd.table("contacts/more", "external_id cheers", [(1, "!")])
    for _ in range(3):
        assert crowd.sync().requests == 0
    assert crowd.push().halted


def test_f63_an_edit_that_is_held_starts_nothing_yet(crowd: World):
    """It does once somebody approves it."""
    rejecting(crowd)
    crowd.guard = GuardSettings(min_contacts=3, max_change=0.1, max_missing=0.1)
    crowd.plans(dict.fromkeys(range(1, MANY + 1), "pro"))
    crowd.edit(PLAN)
    ran = crowd.sync()
    assert len(ran.held) == 1
    assert ran.requests == 0
    assert crowd.push().halted
    assert crowd.sync(approve=ran.plan.digest).accepted == MANY


def test_f63_a_baseline_of_an_edited_mapping_starts_again(crowd: World):
    """It was read, and nothing of it is held."""
    rejecting(crowd)
    crowd.edit(PLAN)
    baseline(crowd.passes(), [IDENTITY, PLAN])
    assert not crowd.push().halted


# ---------------------------------------------------------------- sharing the key


def test_f61_what_others_use_is_left_to_them_over_a_restart(crowd: World):
    """Less of each window from then on, and slowly more again."""
    answer(crowd, Answer(status=429, retry_after=2.0))
    one(crowd)
    throttle = crowd.state.usage(1).throttle
    assert throttle.share == pytest.approx(0.7)
    assert throttle.since == crowd.clock.now()
    assert crowd.state.usage(1).paused_until == crowd.clock.now() + 2.0
    assert not crowd.push().halted
