"""Requests that were given up and take effect late, after newer ones."""

import pytest

from meisa_cdc.core.delivery import SETTLES
from meisa_cdc.core.outcome import Answer
from meisa_cdc.sync.once import Limits
from meisa_cdc.sync.push import Push
from meisa_cdc.testing.meisa import Scripted
from tests.unit.sync.test_push import Died, die_at
from tests.unit.sync.worlds import World


def drain(world: World, push: Push | None = None) -> None:
    """Deliver until nothing is left that needs no further look."""
    push = push or world.push()
    while (wait := push.step()) is not None:
        push.rest(max(wait, 0.01))


def plans(world: World) -> list[object]:
    """Return the plans that were sent since the last call, None for requests without one."""
    return [body.get("custom_fields", {}).get("plan") for body in world.bodies()]


def plan_at_meisa(world: World) -> object:
    """Return the plan that Meisa holds for contact 1."""
    held = world.held_at_meisa("1")
    assert held is not None
    return held["custom_fields.plan"]


@pytest.fixture
def changed(world: World) -> World:
    """Return a world in which the plan of contact 1 went from free to pro, not yet delivered."""
    world.sync()
    world.plans({1: "pro", 2: "pro"})
    world.admit()
    world.bodies()
    return world


def resend(world: World, answer: Scripted) -> None:
    """Let a request end like that, and the next one be accepted."""
    world.meisa.answers.append(answer)
    drain(world)


def test_f60_a_late_request_is_put_right(changed: World):
    """It takes effect after a newer value was accepted; ten minutes on all is well."""
    changed.meisa.answers.append("late")
    push = changed.push()
    push.step()
    changed.plans({1: "max", 2: "pro"})
    changed.admit()
    drain(changed, push)
    assert plan_at_meisa(changed) == "max"
    assert changed.meisa.apply_late() == 1
    assert plan_at_meisa(changed) == "pro"
    changed.clock.advance(SETTLES)
    drain(changed)
    assert plan_at_meisa(changed) == "max"
    assert plans(changed) == ["pro", "max", "max"]
    assert changed.sync().requests == 0


@pytest.mark.parametrize("answer", ["timeout_lost", "timeout_applied", "reset", 408, 502, 504])
def test_f60_one_confirming_push_follows_ten_minutes_later(changed: World, answer: Scripted):
    """In the background, once, and by a process started since as well."""
    resend(changed, answer)
    assert plans(changed) == ["pro", "pro"]
    accepted = changed.clock.now()
    changed.clock.advance(SETTLES - 1)
    drain(changed)
    assert plans(changed) == []
    changed.clock.advance(accepted + SETTLES - changed.clock.now())
    push = changed.push()
    push.step(most=0)
    assert changed.state.contacts["1"].rank == 2
    assert changed.state.contacts["1"].in_doubt == {"custom_fields.plan"}
    drain(changed, push)
    assert plans(changed) == ["pro"]
    changed.clock.advance(10 * SETTLES)
    drain(changed)
    assert changed.sync().requests == 0


@pytest.mark.parametrize(
    "answer", [500, 503, 429, 401, "not_sent", Answer(status=503, retry_after=9)]
)
def test_f60_an_answer_needs_no_confirmation(changed: World, answer: Scripted):
    """Meisa, or nobody, had the request."""
    resend(changed, answer)
    changed.clock.advance(2 * SETTLES)
    drain(changed)
    changed.bodies()
    changed.clock.advance(2 * SETTLES)
    drain(changed)
    assert plans(changed) == []


def test_f60_a_crash_needs_no_confirmation(changed: World):
    """What was in flight then is resent, and that is all."""
    die_at(changed, "complete.before")
    with pytest.raises(Died):
        drain(changed)
    changed.clock.advance(60.0)
    drain(changed)
    assert plans(changed) == ["pro", "pro"]
    changed.clock.advance(2 * SETTLES)
    drain(changed)
    assert plans(changed) == []


def test_f60_a_resend_that_began_later_needs_no_confirmation(changed: World):
    """Nothing is carried out after so long."""
    changed.meisa.answers.append("timeout_lost")
    push = changed.push()
    push.step()
    push.step(most=0)
    changed.clock.advance(SETTLES)
    drain(changed)
    assert plans(changed) == ["pro", "pro"]
    changed.clock.advance(2 * SETTLES)
    drain(changed)
    assert plans(changed) == []


def test_f60_sync_does_not_wait_for_it(changed: World):
    """It ends once all is delivered; a later one confirms."""
    changed.meisa.answers.append("timeout_lost")
    begun = changed.clock.now()
    ran = changed.run(limits=Limits()).run()
    assert (ran.requests, ran.accepted) == (2, 1)
    assert changed.clock.now() - begun < 60.0
    changed.bodies()
    changed.clock.advance(SETTLES)
    assert changed.sync().requests == 1
    assert plans(changed) == ["pro"]


def test_f60_what_changed_meanwhile_is_confirmed_as_it_is_now(changed: World):
    """A newer difference that waits takes the confirmation along."""
    resend(changed, "timeout_lost")
    changed.bodies()
    changed.clock.advance(SETTLES)
    changed.plans({1: "max", 2: "pro"})
    changed.admit()
    drain(changed)
    assert plans(changed) == ["max"]
    changed.clock.advance(2 * SETTLES)
    drain(changed)
    assert changed.sync().requests == 0


def test_f60_a_confirmation_that_is_lost_itself_is_confirmed_in_turn(changed: World):
    """It may be late as well."""
    resend(changed, "timeout_lost")
    changed.clock.advance(SETTLES)
    changed.bodies()
    resend(changed, "timeout_lost")
    assert plans(changed) == ["pro", "pro"]
    changed.clock.advance(SETTLES)
    drain(changed)
    assert plans(changed) == ["pro"]


def test_f60_who_is_gone_by_then_is_left_alone(changed: World):
    """Nothing is sent of a deleted account; when it is back, what is in doubt is."""
    resend(changed, "timeout_lost")
    changed.people(2, 3)
    changed.admit()
    changed.bodies()
    changed.clock.advance(SETTLES)
    drain(changed)
    assert plans(changed) == []
    changed.people(1, 2, 3)
    changed.sync()
    assert plans(changed) == ["pro"]


def test_f60_a_new_contact_is_confirmed_whole(world: World):
    """Its creation may come late, after an update."""
    world.people(1)
    world.admit()
    world.meisa.answers.append("late")
    push = world.push()
    push.step()
    world.plans({1: "pro"})
    world.admit()
    drain(world, push)
    world.meisa.apply_late()
    assert plan_at_meisa(world) == "free"
    world.bodies()
    world.clock.advance(SETTLES)
    drain(world)
    (body,) = world.bodies()
    assert body["custom_fields"] == {"plan": "pro"}
    assert body["first_name"] == "Name 1"
    assert plan_at_meisa(world) == "pro"
