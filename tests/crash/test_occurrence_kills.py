"""kill -9 at every step of what is done once: nothing happens twice, and nothing unnoticed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meisa_cdc.core.occurrence import Status
from meisa_cdc.sync.arrivals import BATCH
from tests.crash.driver import STEPS
from tests.crash.killing import kill
from tests.installation import LATER, Installation, deliver, people

#: Steps after which Meisa may have done it, as far as the state knows.
UNCERTAIN = (
    "after the intent",
    "half of the request sent",
    "applied, the answer unread",
    "answered, not recorded",
)
#: Steps of them after which it has.
DONE = ("applied, the answer unread", "answered, not recorded")
STEPS_OF_ONE = tuple(step for step in STEPS if step != "between two batches of a pass")
MAPPINGS = {
    "events/exports": "{{ config(%s) }}\nselect id as event_id, 'exported' as event_name, "
    "user_id as external_id, id as number from happened where kind = 'event'",
    "emails/failures": "select id as email_id, 'payment_failure' as trigger_key, "
    "'u0001@example.com' as to_email, id as number from happened where kind = 'mail'",
    "sequences/welcome": "select 'onboarding' as sequence_slug, user_id || '@example.com' as email "
    "from happened where kind = 'trial'",
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """Yield an installation in step, whose mappings of occurrences were read once."""
    with Installation.at(
        tmp_path,
        MEISA_CDC_MEISA__CONCURRENCY="1",
        MEISA_CDC_EMAILS__ENABLED="true",
        MEISA_CDC_GUARD__MAX_NEW_ROWS="5000",
    ) as home:
        home.app_has(people(3))
        with closing(sqlite3.connect(home.app)) as connection, connection:
            connection.execute("create table happened (id integer, kind text, user_id text)")
        write(home)
        home.sync()
        yield home


def write(home: Installation, delivery: str = "") -> None:
    """Write the mappings; events with this setting."""
    for name, text in MAPPINGS.items():
        file = home.folder / "mappings" / f"{name}.sql"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text % delivery if "%s" in text else text)


def happen(home: Installation, kind: str, *numbers: int) -> None:
    """Add rows to the app."""
    with closing(sqlite3.connect(home.app)) as connection, connection:
        rows = [(number, kind, f"u{number % 3:04}") for number in numbers]
        connection.executemany("insert into happened values (?, ?, ?)", rows)


def standing(home: Installation) -> dict[str, str]:
    """Return where each occurrence stands."""
    with home.state() as state:
        found = [each for batch in state.occurrences(list(Status)) for each in batch]
    return {each.key: str(each.status) for each in found}


def tracked(home: Installation) -> int:
    """Return how many events Meisa has recorded."""
    return sum(trigger.kind == "custom_event" for trigger in home.account.triggers())


@pytest.mark.parametrize("step", STEPS_OF_ONE)
def test_killed_at_a_step_no_event_is_tracked_twice(home: Installation, step: str):
    """What may have been tracked is parked; the others are tracked."""
    happen(home, "event", 1, 2, 3)
    kill(home, step, 2 if step in (*UNCERTAIN, "recorded", "before the intent") else 1)
    deliver(home.settings(), later=LATER)
    again = deliver(home.settings(), later=LATER)
    assert again.requests == 0
    if step in UNCERTAIN:
        assert sorted(standing(home).values()) == ["done", "done", "parked"]
        assert tracked(home) == 2 + (step in DONE)
    else:
        assert set(standing(home).values()) == {"done"}
        assert tracked(home) == 3


@pytest.mark.parametrize("step", UNCERTAIN)
def test_killed_at_a_step_no_event_is_lost_at_least_once(home: Installation, step: str):
    """Whoever prefers two to none gets what may not have been tracked once more."""
    write(home, "delivery='at_least_once'")
    home.sync()
    happen(home, "event", 1, 2, 3)
    kill(home, step, 2)
    deliver(home.settings(), later=LATER)
    assert set(standing(home).values()) == {"done"}
    assert tracked(home) == 3 + (step in DONE)


@pytest.mark.parametrize("step", STEPS_OF_ONE)
def test_killed_at_a_step_every_mail_is_sent_once(home: Installation, step: str):
    """Within the hour Meisa recognises what it has sent."""
    happen(home, "mail", 1, 2, 3)
    kill(home, step, 2 if step in (*UNCERTAIN, "recorded", "before the intent") else 1)
    deliver(home.settings(), later=LATER)
    assert set(standing(home).values()) == {"done"}
    assert len(home.account.emails()) == 3


def test_killed_and_found_after_hours_a_mail_is_parked(home: Installation):
    """By then Meisa might send it again."""
    happen(home, "mail", 1)
    kill(home, "applied, the answer unread")
    deliver(home.settings(), later=3600.0)
    assert standing(home) == {"1": "parked"}
    assert len(home.account.emails()) == 1


@pytest.mark.parametrize("step", UNCERTAIN)
def test_killed_at_a_step_everybody_is_enrolled_once(home: Installation, step: str):
    """Whoever is enrolled already is skipped over there."""
    happen(home, "trial", 0, 1, 2)
    kill(home, step)
    deliver(home.settings(), later=LATER)
    assert set(standing(home).values()) == {"done"}
    for number in range(3):
        assert len(home.account.enrollments(f"u{number:04}@example.com")) == 1


def test_killed_between_two_batches_of_a_first_run_nothing_is_sent(home: Installation):
    """What was not yet taken as the baseline is taken by the next run."""
    happen(home, "event", *range(BATCH + 5))
    (home.folder / "mappings/events/exports.sql").rename(
        home.folder / "mappings/events/renamed.sql"
    )
    kill(home, "between two batches of a pass")
    deliver(home.settings(), later=LATER)
    assert set(standing(home).values()) == {"baseline"}
    assert len(standing(home)) == BATCH + 5
    assert tracked(home) == 0
