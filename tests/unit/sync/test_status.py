"""The one document that says what waits, how long, and why."""

from dataclasses import replace

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.outcome import Answer, Kind, Outcome
from meisa_cdc.core.sharing import Throttle
from meisa_cdc.records import Concluded
from meisa_cdc.sync.acquaintance import check_belongs
from meisa_cdc.sync.status import outlook, run_document, status
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
        "sharing": None,
        "halt": None,
        "paused_until": None,
        "forecast": {"requests": 0, "seconds": 0.0, "done_at": world.clock.now()},
        "cost": {"by_field": {}, "sole": {}},
        "occurrences": [],
        "mappings": [],
        "log_dropped": None,
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
    found = {"capture": "scan", "capture_reason": "as its table is", "full_scan_at": None}
    assert told["mappings"] == [
        {"mapping": IDENTITY, "read_at": world.clock.now(), "contacts": 3, **found},
        {"mapping": PLAN, "read_at": world.clock.now(), "contacts": 2, **found},
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


def test_what_waits_is_told_by_field(world: World):
    """As a plan tells of what it would send."""
    world.sync()
    world.plans({1: "max", 2: "max"})
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.admit()
    assert document(world)["cost"] == {
        "by_field": {"custom_fields.plan": 2, "first_name": 1},
        "sole": {"custom_fields.plan": 1},
    }


def test_a_key_that_others_use_is_told_with_the_way_out(world: World):
    """For a day; what we take less of the windows until it is all again."""
    world.windows = windows("100/10s")
    world.people(1)
    world.admit()
    world.meisa.answers.append(Answer(status=429, retry_after=7.0))
    push = world.push()
    push.step()
    push.step()
    told = document(world)["sharing"]
    assert told == {"share": 0.7, "others": 0.99, "reserve": 0.9}
    world.clock.advance(2 * 86400)
    assert document(world)["sharing"] is None


def test_what_we_take_less_is_told_after_others_are_forgotten(world: World):
    """The share may take longer to come back."""
    throttle = Throttle(share=0.03, ceiling=0.03, others=0.0, since=world.clock.now())
    grant = world.state.grant("ping", now=1.0, deadline=2.0, admit=lambda _: ())
    assert grant is not None
    learnt = Concluded(
        grant=grant,
        now=2.0,
        outcome=Outcome(kind=Kind.DEFERRED, code="http_429"),
        react=lambda usage, _: replace(usage, throttle=throttle),
    )
    world.state.complete(learnt)
    assert document(world)["sharing"] == {"share": 0.03, "others": None, "reserve": None}


def test_a_halt_is_told_with_its_reason_and_the_next_try(world: World):
    """Or that a person has to act."""
    world.admit()
    world.meisa.answers.append(401)
    push = world.push()
    push.step()
    push.step()
    now = world.clock.now()
    halt = document(world)["halt"]
    assert isinstance(halt, dict)
    assert (halt["reason"], halt["since"], halt["next_try"]) == ("http_401", now, now + 900.0)
    assert "missing, wrong or revoked" in halt["message"]


def test_the_outlook_is_one_line(world: World):
    """Under the windows as they are used; nothing where nothing waits."""
    world.windows = windows("1/10s")
    assert outlook(world.state, world.windows, now=world.clock.now()) == ""
    world.admit()
    assert outlook(world.state, world.windows, now=world.clock.now()) == (
        "20 s left, done by 2026-01-01T00:00:20Z"
    )
