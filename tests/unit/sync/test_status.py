"""The one document that says what waits, how long, and why."""

from meisa_cdc.core.delivery import Answer
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.sync.acquaintance import check_belongs
from meisa_cdc.sync.status import run_document, status
from tests.unit.sync.worlds import IDENTITY, PLAN, World, windows


def document(world: World) -> dict[str, object]:
    """Return the status document."""
    return status(world.state, world.windows, now=world.clock.now())


def test_nothing_was_ever_done(world: World):
    """Nothing waits, and everything may be sent."""
    world.windows = windows("60/60s,1000/3600s")
    assert document(world) == {
        "contacts": {
            "present": 0,
            "removed": 0,
            "invalid": 0,
            "quarantined": 0,
            "in_doubt": 0,
        },
        "backlog": {
            "total": 0,
            "urgent": 0,
            "normal": 0,
            "background": 0,
            "oldest": None,
            "oldest_seconds": None,
        },
        "budget": [
            {"count": 60, "period_seconds": 60.0, "left": 60},
            {"count": 1000, "period_seconds": 3600.0, "left": 1000},
        ],
        "paused_until": None,
        "forecast": {"requests": 0, "seconds": 0.0, "done_at": world.clock.now()},
        "mappings": [],
        "holds": [],
        "unmapped": [],
        "meisa": None,
        "suppressions": None,
        "runs": [],
        "as_of": world.clock.now(),
    }


def test_what_waits_is_told_by_class_and_age(world: World):
    """And how long it takes."""
    world.windows = windows("1/10s")
    world.sync()
    world.clock.advance(100)
    told = document(world)
    assert told["backlog"] == {
        "total": 2,
        "urgent": 0,
        "normal": 0,
        "background": 2,
        "oldest": world.clock.now() - 100,
        "oldest_seconds": 100.0,
    }
    assert told["forecast"] == {
        "requests": 2,
        "seconds": 10.0,
        "done_at": world.clock.now() + 10.0,
    }


def test_contacts_are_told_by_their_condition(world: World):
    """Each of those that need a look."""
    world.people(1, 2, 3, 4, 5)
    world.sync()
    world.plans({1: "a", 2: "b", 3: "c"})
    world.meisa.answers.extend([422, "timeout_lost"])
    world.sync()
    world.people(1, 2, 3, rows=[(4, None, "Name 4")])
    world.admit()
    assert document(world)["contacts"] == {
        "present": 4,
        "removed": 1,
        "invalid": 1,
        "quarantined": 1,
        "in_doubt": 1,
    }


def test_a_pause_is_told_while_it_lasts(world: World):
    """Meisa asked for it."""
    world.meisa.answers.append(Answer(status=429, retry_after=30.0))
    world.sync()
    until = world.clock.now() + 30.0
    assert document(world)["paused_until"] == until
    world.clock.advance(31)
    assert document(world)["paused_until"] is None


def test_mappings_holds_and_the_rest_are_told(world: World):
    """With what a person needs to approve."""
    world.guard = GuardSettings(min_contacts=1, first_load="send")
    check_belongs(world.state, world.meisa.ping())
    world.state.set_note("suppressions", {"count": 7})
    run = world.state.start_run("sync", world.clock.now())
    world.sync()
    world.state.end_run(run, world.clock.now(), 0, {"delivered": 3})
    world.table(PLAN, "external_id cycle", [(1, "month"), (2, "year")])
    world.edit(PLAN)
    ran = world.sync()
    told = document(world)
    assert told["mappings"] == [
        {"mapping": IDENTITY, "read_at": world.clock.now(), "contacts": 3},
        {"mapping": PLAN, "read_at": world.clock.now(), "contacts": 2},
    ]
    assert told["holds"] == [
        {
            "mapping": PLAN,
            "reason": "max_change",
            "message": "2 of 2 contacts would change, over 30 %",
            "contacts": 2,
            "digest": ran.plan.digest,
            "recorded_at": world.clock.now(),
            "approved_at": None,
        }
    ]
    assert told["unmapped"] == ["custom_fields.plan"]
    assert told["meisa"] == {"product": "sandbox", "environment": "test"}
    assert told["suppressions"] == {"count": 7}
    assert told["runs"] == [run_document(each) for each in world.state.runs(5)]
    assert run_document(world.state.runs(1)[0]) == {
        "run_id": run,
        "command": "sync",
        "started_at": world.clock.now(),
        "ended_at": world.clock.now(),
        "exit_code": 0,
        "result": {"delivered": 3},
    }
