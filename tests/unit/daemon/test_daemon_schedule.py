"""When mappings are due: intervals, cron expressions, and what was missed."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from meisa_cdc.core.mapping import Mapping
from meisa_cdc.daemon.schedule import SUPPRESSIONS, CronTrigger, Due, Schedules

#: Thursday, 15 January 2026, 12:00 UTC.
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp()
DAY, HOUR = 86400.0, 3600.0


def due_at_noon(*mappings: Mapping, **last: float) -> set[str]:
    """Return what is due at once, when the clockwork starts at noon."""
    due = Due()
    schedules = Schedules(
        mark=due.mark, every=60.0, suppressions_every=HOUR, zone=ZoneInfo("Europe/Berlin")
    )
    known = {name.replace("_", "/"): NOON - ago for name, ago in last.items()}
    schedules.start(mappings, {SUPPRESSIONS: NOON, **known}, NOON)
    schedules.stop()
    return set(due.take(0.0))


def mapping(name: str = "contacts/plan", **settings: object) -> Mapping:
    """Return a mapping with these settings."""
    return Mapping(name=name, text="", digest="", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "ago", "is_due"),
    [
        ({}, 59, False),
        ({}, 61, True),
        ({"every": HOUR}, HOUR - 1, False),
        ({"every": HOUR}, HOUR + 1, True),
        ({"cron": "0 3 * * *"}, HOUR, False),
        ({"cron": "0 3 * * *"}, 11 * HOUR, True),
        ({"cron": "0 3 * * MON"}, 2 * DAY, False),
        ({"cron": "0 3 * * MON"}, 4 * DAY, True),
        ({"every": HOUR, "enabled": False}, DAY, False),
    ],
)
def test_what_was_missed_while_nobody_ran_is_due_at_once(settings, ago, is_due):
    """A restart reads what its schedule has asked for since it was read last, and nothing else."""
    assert due_at_noon(mapping(**settings), contacts_plan=ago) == (
        {"contacts/plan"} if is_due else set()
    )


def test_what_was_never_read_is_due_at_once():
    """Whatever its schedule says, and the suppression list too."""
    never = [mapping("contacts/a", cron="0 0 1 1 *"), mapping("contacts/b", every=DAY)]
    assert due_at_noon(*never) == {"contacts/a", "contacts/b"}
    assert due_at_noon(suppressions=2 * HOUR) == {SUPPRESSIONS}


def test_a_changed_schedule_is_read_at_once_and_others_keep_their_time():
    """New, changed and removed mappings take effect; the rest is left alone."""
    due = Due()
    schedules = Schedules(
        mark=due.mark, every=HOUR, suppressions_every=HOUR, zone=ZoneInfo("Europe/Berlin")
    )
    last = {SUPPRESSIONS: NOON, "contacts/a": NOON, "contacts/b": NOON - 120}
    schedules.start([mapping("contacts/a"), mapping("contacts/b")], last, NOON)
    assert due.take(0.0) == frozenset()
    schedules.update([mapping("contacts/b", every=60.0), mapping("contacts/c")], last, NOON)
    assert due.take(0.0) == {"contacts/b", "contacts/c"}
    schedules.update([mapping("contacts/b", every=60.0)], last, NOON)
    assert due.take(0.0) == frozenset()
    schedules.stop()


def times(expression: str, after: str, count: int, zone: str = "Europe/Berlin") -> list[str]:
    """Return the next times of a cron expression in its own zone."""
    trigger = CronTrigger(expression, ZoneInfo(zone))
    moment = datetime.fromisoformat(after).astimezone(ZoneInfo(zone))
    found = []
    previous: datetime | None = None
    for _ in range(count):
        previous = trigger.get_next_fire_time(previous, moment)
        assert previous is not None
        found.append(f"{previous.astimezone(ZoneInfo(zone)):%a %d %H:%M}")
    return found


def test_f13_cron_lives_in_the_configured_zone():
    """Nine o'clock is nine o'clock there, summer and winter; the hour that is skipped runs once."""
    assert times("0 9 * * *", "2026-03-28T00:00+01:00", 3) == [
        "Sat 28 09:00",
        "Sun 29 09:00",
        "Mon 30 09:00",
    ]
    skipped = times("30 2 * * *", "2026-03-28T12:00+01:00", 2)
    assert [each[:6] for each in skipped] == ["Sun 29", "Mon 30"]
    assert times("0 9 * * 1", "2026-01-15T00:00+01:00", 1) == ["Mon 19 09:00"]


def test_due_is_taken_once():
    """Several marks before a take are one; a closed one lets its taker go."""
    due = Due()
    due.mark("a", "b")
    due.mark("a")
    assert due.take(0.0) == {"a", "b"}
    due.close()
    assert due.take(60.0) == frozenset()
