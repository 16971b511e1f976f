"""One run of `sync`: what ends it, what it looks at again, what it says of itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from meisa_cdc.core.breaker import MOST_FAILURES
from meisa_cdc.core.errors import LeaseLost, SourceUnavailable
from meisa_cdc.core.plan import Plan
from meisa_cdc.sync.once import Limits, all_due
from meisa_cdc.testing import HandClock
from tests.unit.sync.worlds import IDENTITY, PLAN, Delayed, World, windows


def crowd(world: World, count: int = 30) -> None:
    """Let there be more people."""
    world.people(*range(1, count + 1))


def test_a_run_tells_what_became_of_its_requests(world: World):
    """Accepted, rejected, put off, and unknown."""
    crowd(world, 4)
    world.meisa.answers.extend(["accept", 400, 500, "timeout_lost"])
    ran = world.sync()
    assert (ran.accepted, ran.rejected, ran.deferred, ran.unknown) == (1, 1, 1, 1)
    assert (ran.requests, ran.failures, ran.interrupted) == (4, (), False)


def test_a_run_waits_for_the_budget(world: World):
    """Unless it is told not to."""
    world.windows = windows("1/10s")
    begun = world.clock.now()
    assert world.sync().accepted == 1
    ran = world.sync(limits=Limits())
    assert ran.accepted == 2
    assert world.clock.now() >= begun + 20


def test_a_run_waits_for_what_was_put_off(world: World):
    """Until nothing is left."""
    world.meisa.answers.append(503)
    ran = world.sync(limits=Limits())
    assert (ran.accepted, ran.deferred, ran.requests) == (3, 1, 4)


def test_a_run_can_end_after_so_many_requests(world: World):
    """The backlog keeps the rest."""
    ran = world.sync(limits=Limits(requests=2))
    assert (ran.requests, ran.accepted) == (2, 2)
    assert world.state.counts().backlog == {2: 1}


def test_a_run_without_requests_only_admits(world: World):
    """As a cautious first try."""
    ran = world.sync(limits=Limits(requests=0))
    assert (ran.requests, ran.plan.summary.create) == (0, 3)
    assert world.state.counts().backlog == {2: 3}


def test_a_run_can_end_after_some_time(world: World):
    """However much is left."""
    world.windows = windows("1/10s")
    crowd(world)
    begun = world.clock.now()
    ran = world.sync(limits=Limits(seconds=25.0))
    assert ran.accepted == 3
    assert 25.0 <= world.clock.now() - begun < 26.0


def test_a_run_ends_when_meisa_is_down(world: World):
    """After ten failures in a row, however long the backlog."""
    crowd(world)
    world.meisa.answers.extend([503] * 30)
    ran = world.sync(limits=Limits())
    assert ran.requests == MOST_FAILURES
    (failure,) = ran.failures
    assert "Meisa did not take the last 10 requests" in failure
    assert sum(world.state.counts().backlog.values()) == 30


def test_a_run_ends_when_it_is_asked_to(world: World):
    """What is under way has a moment to end."""
    crowd(world)
    asked: list[bool] = []
    run = world.run(
        stopping=lambda: bool(asked), progress=lambda done: asked.extend([True] * (done > 2))
    )
    ran = run.run()
    assert ran.interrupted
    assert 3 <= ran.accepted < 30
    assert world.state.counts().in_doubt == 0


def test_a_run_that_was_asked_to_end_before_it_delivered_sends_nothing(world: World):
    """It has admitted, and that is all."""
    ran = world.run(stopping=lambda: True).run()
    assert (ran.requests, ran.interrupted) == (0, True)


def test_what_is_not_answered_in_the_end_is_unknown(world: World):
    """Its fields stay in doubt."""
    lanes = Delayed()
    world.lanes, world.concurrency = lanes, 2

    class Impatient(HandClock):
        """A clock on which every look takes a while."""

        def now(self) -> float:
            """Return the time, which passes."""
            self.advance(100.0)
            return super().now()

    world.clock = Impatient()
    asked: list[bool] = []

    def progress(_: int) -> None:
        if not asked:
            lanes.answer()
        asked.append(True)

    ran = world.run(stopping=lambda: bool(asked), progress=progress).run()
    assert (ran.unknown, ran.accepted, ran.requests) == (1, 1, 2)
    assert world.state.counts().in_doubt == 1


def test_the_graceful_part_is_the_delivery(world: World):
    """A request to end is heard there without being interrupted."""
    told: list[str] = []

    @contextmanager
    def graceful() -> Iterator[None]:
        told.append(f"begun after {len(world.meisa.requests)}")
        yield
        told.append(f"ended after {len(world.meisa.requests)}")

    world.run(graceful=graceful).run()
    assert told == ["begun after 0", "ended after 3"]


def test_the_plan_is_told_before_anything_is_stored(world: World):
    """So that whoever looks on knows what is coming."""
    seen: list[tuple[int, int]] = []

    def planned(plan: Plan) -> None:
        seen.append((plan.summary.create, len(world.state.contacts)))

    world.run().run(planned=planned)
    assert seen == [(3, 0)]


def test_progress_counts_what_is_concluded(world: World):
    """Up to all of it."""
    told: list[int] = []
    world.run(progress=told.append).run()
    assert told[-1] == 3
    assert told == sorted(told)


def test_a_failed_mapping_is_a_failure_of_the_run(world: World):
    """After the rest was done, and beside what failed before."""
    world.sync()
    world.source.failing = {PLAN}
    ran = world.run(failures=["suppression list: gone"]).run()
    assert ran.failures == ("suppression list: gone", f"{PLAN}: statement timeout")


def test_a_database_that_is_gone_ends_the_run(world: World):
    """There is nothing to do."""
    world.source.down = True
    with pytest.raises(SourceUnavailable):
        world.sync()


# -------------------------------------------------------------------- looking again


def act_at(concluded: int, act: Callable[[], object]) -> Callable[[int], None]:
    """Return a progress call that does something once, when so many are concluded."""
    done: list[bool] = []

    def progress(count: int) -> None:
        if count >= concluded and not done:
            done.append(True)
            act()

    return progress


def test_a_long_run_looks_again(world: World):
    """What changed meanwhile is sent, and overtakes what can wait."""
    world.windows = windows("1/10s")
    crowd(world, 12)
    progress = act_at(2, lambda: world.people(*range(1, 13), 99))
    ran = world.run(progress=progress).run()
    assert ran.accepted == 13
    assert "99" in world.sent_keys()[:9]


def test_it_looks_no_more_often_than_it_is_told(world: World):
    """Every minute."""
    world.windows = windows("1/10s")
    crowd(world, 13)
    world.run().run()
    looks = [name for name, _ in world.source.reads if name == IDENTITY]
    assert len(looks) == 1 + 2


def test_a_later_look_that_fails_is_told_and_harms_nothing(world: World):
    """Once, however often."""
    world.windows = windows("1/10s")
    crowd(world, 20)

    def break_it() -> None:
        world.source.down = True

    ran = world.run(progress=act_at(2, break_it)).run()
    assert ran.accepted == 20
    assert ran.failures == ("The app database went away.",)


def test_a_later_look_tells_what_it_holds(world: World):
    """The newest one counts."""
    world.windows = windows("1/10s")
    crowd(world, 12)
    ran = world.run(progress=act_at(2, world.rows(PLAN).clear)).run()
    assert [hold.mapping for hold in ran.held] == [PLAN]
    assert ran.plan.holds == ()


def test_a_later_look_tells_of_unusable_rows(world: World):
    """The look that had most of them counts."""
    world.windows = windows("1/10s")
    crowd(world, 12)
    row = (None, "x@example.com", "Nobody")
    ran = world.run(progress=act_at(2, lambda: world.rows(IDENTITY).append(row))).run()
    assert (ran.invalid, ran.plan.invalid_rows) == (1, 0)


def test_a_mapping_refused_only_in_the_database_later_is_told(world: World):
    """Two mappings came to yield one field."""
    world.windows = windows("1/10s")
    crowd(world, 12)

    def clash() -> None:
        world.source.tables[PLAN].columns = ["external_id", "first_name"]

    ran = world.run(progress=act_at(2, clash)).run()
    assert ran.accepted == 12
    assert "first_name comes from" in ran.failures[0]


def test_a_lost_lease_in_a_later_look_ends_the_run(world: World):
    """Somebody else has taken over."""
    world.windows = windows("1/10s")
    crowd(world, 12)

    def lose() -> None:
        def on_step(step: str) -> None:
            if step == "settle.before":
                raise LeaseLost("gone")

        world.state.on_step = on_step
        world.people(*range(1, 13), 99)

    with pytest.raises(LeaseLost):
        world.run(progress=act_at(2, lose)).run()


def test_a_look_that_is_still_going_on_is_waited_for(world: World):
    """It may bring more to send."""
    aside = Delayed()
    turns: list[int] = []

    def progress(_: int) -> None:
        turns.append(len(aside.waiting))
        if len(turns) >= 4:
            world.people(1, 2, 3, 4)
            aside.answer_all()

    ran = world.run(aside=aside, every=0.0, progress=progress).run()
    assert (ran.accepted, turns[3]) == (4, 1)
    assert "4" in world.sent_keys()


def test_a_look_that_is_still_going_on_when_time_is_up_is_waited_for(world: World):
    """What it finds goes to the backlog."""
    aside = Delayed()

    @contextmanager
    def graceful() -> Iterator[None]:
        yield
        world.people(1, 2, 3, 4)
        aside.answer_all()

    run = world.run(
        aside=aside,
        every=0.0,
        limits=Limits(seconds=10.0),
        graceful=graceful,
        progress=act_at(0, lambda: world.clock.advance(20.0)),
    )
    assert run.run().accepted == 1
    assert "4" in world.state.contacts


# -------------------------------------------------------------------- what is due


def test_all_enabled_mappings_are_due(world: World):
    """Or those of them that were selected."""
    world.edit(PLAN, enabled=False)
    assert all_due(world.passes()) == {IDENTITY}
    assert all_due(world.passes(), [PLAN, IDENTITY, "contacts/other"]) == {IDENTITY}
