"""What the example mappings make of the demo's app database."""

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, insert, make_url

from meisa_cdc.core.mapping import Priority, missing_value, named
from meisa_cdc.demo import appdb, history, tables

FEBRUARY = datetime.fromisoformat("2026-02-01 08:30")
MAY = datetime.fromisoformat("2026-05-01")
JULY = datetime.fromisoformat("2026-07-01")


@pytest.fixture
def filled(sqlite_url):
    """Return a function that stores rows by table in a database of the demo's shape."""

    def fill(rows):
        engine = create_engine(sqlite_url, poolclass=NullPool)
        with engine.begin() as connection:
            tables.METADATA.create_all(connection)
            for table, values in rows.items():
                connection.execute(insert(table), values)
        return sqlite_url

    return fill


def subscription(user, status, *, plan=1, cycle="monthly", cents=1900, started=FEBRUARY):
    """Return a row of subscriptions."""
    return {
        "user_id": user,
        "plan_id": plan,
        "status": status,
        "billing_cycle": cycle,
        "mrr_cents": cents,
        "started_at": started,
    }


def test_the_plan_is_that_of_the_subscription_that_counts(observe, filled):
    """A running subscription counts before a cancelled one, then the newest; the rest is silent."""
    url = filled(
        {
            tables.PLANS: list(history.PLANS),
            tables.SUBSCRIPTIONS: [
                subscription(1, "active"),
                subscription(2, "canceled"),
                subscription(2, "active", plan=2, cycle="annual", cents=4083, started=MAY),
                # Cancelled later than the one that runs on.
                subscription(3, "active", started=FEBRUARY),
                subscription(3, "canceled", plan=2, cents=4900, started=MAY),
                subscription(4, "canceled", plan=2, cycle="annual", cents=4083, started=MAY),
                subscription(4, "canceled", started=FEBRUARY),
                subscription(5, "trialing", plan=2, cents=4900),
                subscription(6, "past_due"),
                # Two from the same second: the one stored last.
                subscription(7, "active", plan=1, started=JULY),
                subscription(7, "active", plan=2, cents=4900, started=JULY),
            ],
        }
    )
    plans = observe("example", url)["plan"]
    assert {key: tuple(row.values()) for key, row in plans.items()} == {
        "1": ("standard", "active", "monthly", 19),
        "2": ("pro", "active", "annual", 40.83),
        "3": ("standard", "active", "monthly", 19),
        "4": ("churned", "canceled", "annual", 0),
        "5": ("pro", "trialing", "monthly", 0),
        "6": ("standard", "past_due", "monthly", 19),
        "7": ("pro", "active", "monthly", 49),
    }


def test_posts_are_counted_by_kind(observe, filled):
    """Each kind has its count, none of the others'; someone without posts has no row."""
    kinds = {1: ["post", "post", "idea"], 2: ["comment"], 3: []}
    url = filled(
        {
            tables.POSTS: [
                {"user_id": user, "kind": kind, "created_at": MAY}
                for user, each in kinds.items()
                for kind in each
            ]
        }
    )
    assert observe("example", url)["usage"] == {
        "1": {"posts_generated": 2, "ideas_generated": 1, "comments_generated": 0},
        "2": {"posts_generated": 0, "ideas_generated": 0, "comments_generated": 1},
    }


def test_sign_ins_are_counted_and_the_last_one_dated(observe, filled):
    """The last sign-in is sent as a time in UTC, whichever was stored last."""
    url = filled(
        {
            tables.LOGINS: [
                {"user_id": 1, "at": each} for each in (FEBRUARY, JULY.replace(hour=7), MAY)
            ]
        }
    )
    assert observe("example", url)["activity"] == {
        "1": {"signin_count": 3, "last_active": "2026-07-01T07:00:00Z"}
    }


def test_identity_has_booleans_and_dates(observe, filled):
    """SQLite's 0 and 1 become booleans, its text a date; what was left out stays NULL."""
    user = {"created_at": FEBRUARY, "password_hash": "never read"}
    url = filled(
        {
            tables.USERS: [
                {"id": 1, "email": "a@example.org", "onboarding_completed": True, **user},
                {"id": 2, "email": None, "onboarding_completed": False, **user},
            ]
        }
    )
    rows = observe("example", url)["identity"]
    assert rows["1"]["onboarding_completed"] is True
    assert rows["2"]["onboarding_completed"] is False
    assert rows["1"]["signup_date"] == "2026-02-01"
    assert (rows["2"]["email"], rows["2"]["job_title"]) == (None, None)
    assert "never read" not in str(rows)


def test_those_without_a_row_have_a_meaning(load):
    """Who never paid is on the free plan, who made nothing has made nothing."""
    mappings = named(load("example"))
    plan, usage = mappings["contacts/plan"], mappings["contacts/usage"]
    activity = mappings["contacts/activity"]
    assert (missing_value(plan, "plan"), missing_value(plan, "mrr")) == ("free", 0)
    assert missing_value(plan, "subscription_status") is None
    counts = ("posts_generated", "ideas_generated", "comments_generated")
    assert [missing_value(usage, column) for column in counts] == [0, 0, 0]
    assert missing_value(activity, "signin_count") == 0


def test_what_marketing_waits_for_goes_first(load):
    """Plan changes are urgent, sign-ins are background and read once a day."""
    mappings = named(load("example"))
    assert mappings["contacts/plan"].priority is Priority.URGENT
    assert mappings["contacts/usage"].priority is Priority.NORMAL
    assert mappings["contacts/activity"].priority is Priority.BACKGROUND
    assert mappings["contacts/activity"].every == 24 * 3600


def test_a_morning_shows_as_six_contacts(observe, example_url):
    """Each change of the demo shows in one mapping, as the fields it is about."""
    before = observe("example", example_url)
    appdb.changes(Path(str(make_url(example_url).database)))
    after = observe("example", example_url)
    changed = {
        (name, key): sorted(
            column for column in row if before[name].get(key, {}).get(column) != row[column]
        )
        for name, rows in after.items()
        for key, row in rows.items()
        if before[name].get(key) != row
    }
    contacts = {key for _, key in changed}
    assert len(contacts) == len(changed) == 6
    assert sorted(columns for (name, _), columns in changed.items() if name != "identity") == [
        ["billing_cycle", "mrr", "plan", "subscription_status"],
        ["mrr", "plan", "subscription_status"],
        ["posts_generated"],
    ]
    known = before["identity"]
    assert sorted(
        changed["identity", key] for key in contacts & set(known) if ("identity", key) in changed
    ) == [
        ["email"],
        ["last_name"],
    ]
    (newcomer,) = contacts - set(known)
    assert after["identity"][newcomer]["first_name"] == "Renée"
    upgraded = [row for key, row in after["plan"].items() if before["plan"].get(key) != row]
    assert {row["plan"] for row in upgraded} == {"pro", "churned"}


def test_an_afternoon_shows_once_each(observe, example_url):
    """A tag is gone, and each mapping of what happens once has a new row."""
    path = Path(str(make_url(example_url).database))
    appdb.changes(path)
    before = observe("example", example_url)
    appdb.happenings(path)
    after = observe("example", example_url)
    (gone,) = set(before["annual"]) - set(after["annual"])
    assert before["annual"][gone] == {"tags/annual": '["annual-billing"]'}
    assert after["plan"][gone]["billing_cycle"] == "monthly"
    new = {
        name: [row for key, row in rows.items() if key not in before[name]]
        for name, rows in after.items()
    }
    assert {name: len(rows) for name, rows in new.items() if rows} == {
        "features": 1,
        "payment_failure": 1,
        "beta": 1,
    }
    assert new["features"][0].keys() == {"event_name", "external_id", "occurred_at", "feature"}
    assert new["payment_failure"][0]["amount"] == 19
    assert new["beta"] == [{"sequence_slug": "beta-program"}]
