"""The demo's app database is the same every time, lifelike, and changes once."""

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine

from meisa_cdc.core.errors import InvalidValue, Stop
from meisa_cdc.core.values import canonical_email, email_key
from meisa_cdc.demo import appdb, morning

ODD = {appdb.WITHOUT_EMAIL, appdb.MALFORMED_EMAIL, *appdb.SHARED_EMAIL}
TODAY = "2026-11-01"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a database that no test changes."""
    path = tmp_path_factory.mktemp("demo") / "app.db"
    appdb.build(path, users=400)
    return path


@pytest.fixture
def own(built: Path, tmp_path: Path) -> Path:
    """Return the path of a copy that the test may change."""
    path = tmp_path / "own.db"
    shutil.copyfile(built, path)
    return path


def asked(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def dumped(path: Path) -> set[str]:
    """Return everything that is in a database, as one SQL statement a row."""
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.iterdump())


def test_it_is_the_same_every_time(built, tmp_path):
    """Two databases for as many users hold the same rows."""
    appdb.build(tmp_path / "again.db", users=400)
    assert dumped(tmp_path / "again.db") == dumped(built)


def test_it_is_one_private_file(built):
    """The database is a plain file that only its owner can read, with nothing beside it."""
    assert list(built.parent.iterdir()) == [built]
    assert built.stat().st_mode & 0o777 == 0o600
    assert asked(built, "pragma journal_mode") == [("delete",)]


def test_it_does_not_overwrite(built):
    """What stands at the path already is left alone and named."""
    before = built.read_bytes()
    with pytest.raises(Stop, match=r"app\.db exists already"):
        appdb.build(built)
    assert built.read_bytes() == before


def test_it_has_the_users_asked_for(built, tmp_path):
    """As many users are made as were asked for, and too few are refused before anything is."""
    assert asked(built, "select count(*), min(id), max(id) from users") == [(400, 1, 400)]
    with pytest.raises(ValueError, match="at least 100 users, not 99"):
        appdb.build(tmp_path / "few.db", users=99)
    assert not (tmp_path / "few.db").exists()


def test_four_users_cannot_be_contacts(built):
    """One user has no address, one a malformed one, two share theirs; all others are fine."""
    holders: dict[str, set[int]] = {}
    broken: dict[int, str] = {}
    for user, email in asked(built, "select id, email from users"):
        try:
            holders.setdefault(email_key(canonical_email(email)), set()).add(user)
        except InvalidValue as error:
            broken[user] = error.code
    assert broken == {
        appdb.WITHOUT_EMAIL: "email_missing",
        appdb.MALFORMED_EMAIL: "email_malformed",
    }
    assert [users for users in holders.values() if len(users) > 1] == [set(appdb.SHARED_EMAIL)]
    first, second = (
        asked(built, f"select email from users where id = {user}")[0][0]
        for user in appdb.SHARED_EMAIL
    )
    assert first != second


def test_addresses_lead_nowhere(built):
    """Every address is in a domain reserved for examples, and is plain ASCII."""
    addresses = [row[0] for row in asked(built, "select email from users where email is not null")]
    kept = [each for each in addresses if " at " not in each]
    assert len(kept) == len(addresses) - 1
    assert {each.lower().partition("@")[2] for each in kept} == {"example.com", "example.org"}
    assert "".join(addresses).isascii()


def test_people_come_from_everywhere(built):
    """Names are from many countries and scripts, and some people left something out."""
    people = asked(built, "select first_name, last_name, country, job_title from users")
    assert len({country for _, _, country, _ in people}) >= 10
    letters = {letter for first, *_ in people for letter in first}
    assert letters >= {"é", "Ł", "ş"}
    assert any("\u0590" <= letter <= "\u05ff" for letter in letters)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in letters)
    assert any(last is None for _, last, _, _ in people)
    assert any(title is None for *_, title in people)


def test_nothing_happens_out_of_order(built):
    """Nobody does anything before the sign-up or after the demo's today."""
    for table, moment in (
        ("posts", "created_at"),
        ("logins", "at"),
        ("subscriptions", "started_at"),
        ("payments", "at"),
        ("activations", "at"),
        ("beta_signups", "at"),
    ):
        early = f"""
            select count(*) from {table} t join users u on u.id = t.user_id
            where t.{moment} < u.created_at or t.{moment} >= '{TODAY}'
        """
        assert asked(built, early) == [(0,)], table
    assert asked(built, f"select count(*) from users where created_at >= '{TODAY}'") == [(0,)]
    backwards = "select count(*) from subscriptions where canceled_at <= started_at"
    assert asked(built, backwards) == [(0,)]


def test_a_subscription_is_running_or_ended(built):
    """A user has one running subscription at most; ended ones, and only those, say when."""
    running = """
        select max(n) from (
            select count(*) n from subscriptions where status != 'canceled' group by user_id
        )
    """
    assert asked(built, running) == [(1,)]
    mixed = """
        select count(*) from subscriptions
        where (status = 'canceled') != (canceled_at is not null)
    """
    assert asked(built, mixed) == [(0,)]
    states = {row[0] for row in asked(built, "select distinct status from subscriptions")}
    assert states == {"active", "trialing", "past_due", "canceled"}
    several = (
        "select count(*) from (select 1 from subscriptions group by user_id having count(*) > 1)"
    )
    assert asked(built, several)[0][0] > 10


def test_revenue_follows_the_plan(built):
    """A monthly subscription brings its price a month, an annual one ten twelfths of it."""
    prices = asked(
        built,
        """
        select distinct p.code, s.billing_cycle, s.mrr_cents
        from subscriptions s join plans p on p.id = s.plan_id order by 1, 2
        """,
    )
    assert prices == [
        ("pro", "annual", 4083),
        ("pro", "monthly", 4900),
        ("standard", "annual", 1583),
        ("standard", "monthly", 1900),
    ]


def test_the_last_sign_in_agrees_with_the_list(built):
    """The users' own column says when they signed in last, as the list of sign-ins does."""
    differing = """
        select count(*) from users u
        where u.last_login_at is not (select max(l.at) from logins l where l.user_id = u.id)
    """
    assert asked(built, differing) == [(0,)]
    assert asked(built, "select count(*) from users where last_login_at is null")[0][0] > 0


def test_some_users_never_started(built):
    """Some users have no post and some no subscription, so that mappings lack rows."""
    for table in ("posts", "subscriptions"):
        none = f"select count(*) from users where id not in (select user_id from {table})"
        assert 0 < asked(built, none)[0][0] < 300, table


def test_a_morning_changes_one_thing_each_for_six_users(built, own):
    """Each change is about another user, none about those with an odd address."""
    sentences = appdb.changes(own)
    assert len(sentences) == len(set(sentences)) == 6
    gone, new = dumped(built) - dumped(own), dumped(own) - dumped(built)
    tables = Counter(statement.split('"')[1] for statement in gone)
    assert tables == {"users": 2, "subscriptions": 1}
    tables = Counter(statement.split('"')[1] for statement in new)
    assert tables == {"users": 3, "subscriptions": 2, "posts": 5}
    assert len(touched(built, own)) == 6


@pytest.mark.parametrize("users", [100, 140, 180, 220, 260])
def test_nobody_is_picked_twice(tmp_path, users):
    """In every database six users change, none of them one with an odd address."""
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    appdb.build(before, users=users)
    shutil.copyfile(before, after)
    appdb.changes(after)
    assert len(touched(before, after)) == 6
    assert not touched(before, after) & ODD


def test_those_who_are_spared_are_left_alone(built, own, tmp_path):
    """Spared users keep all their rows, even where they would have been picked first."""
    appdb.changes(own)
    first = touched(built, own)
    other = tmp_path / "other.db"
    shutil.copyfile(built, other)
    newcomer = 401
    with create_engine(f"sqlite:///{other}", poolclass=NullPool).begin() as connection:
        morning.apply(connection, spared=sorted(first - {newcomer}))
    assert touched(built, other) & first == {newcomer}


def touched(before: Path, after: Path) -> set[int]:
    """Return the users who are not in both databases with the same rows."""
    seen = """
        select id, 'user', email, last_name from users
        union all select user_id, 'post', id, kind from posts
        union all select user_id, 'subscription', id, status from subscriptions
    """
    return {row[0] for row in set(asked(before, seen)) ^ set(asked(after, seen))}


def test_the_sentences_tell_what_changed(own):
    """The sentences name the people, and what the database holds afterwards."""
    upgrade, churn, milestone, signup, name, address = appdb.changes(own)
    assert upgrade.endswith("went from free to pro.")
    assert churn.endswith("cancelled the pro plan.")
    assert "wrote 5 posts, number 10 among them" in milestone
    assert signup == "Renée Okafor signed up."
    first, last = asked(
        own, "select first_name, last_name from users where last_name like '% Blanco'"
    )[0]
    assert name.startswith(first)
    assert name.endswith(f"{last}.")
    moved = address.rstrip(".").rpartition(" ")[2]
    assert asked(own, f"select count(*) from users where email = '{moved}'") == [(1,)]


def test_the_milestone_is_crossed(built, own):
    """The author of the new posts had fewer than ten and has ten or more."""
    appdb.changes(own)
    counted = "select user_id, count(*) from posts where kind = 'post' group by user_id"
    before, after = dict(asked(built, counted)), dict(asked(own, counted))
    grown = {user: (before.get(user, 0), count) for user, count in after.items()}
    ((then, now),) = (pair for pair in grown.values() if pair[0] != pair[1])
    assert then < 10 <= now == then + 5


def test_changes_happen_once(own):
    """A second morning is refused and leaves the database as it is."""
    appdb.changes(own)
    before = dumped(own)
    with pytest.raises(Stop, match="already"):
        appdb.changes(own)
    assert dumped(own) == before


@pytest.mark.parametrize("users", [100, 140, 180, 220, 260, 400])
def test_an_afternoon_has_something_of_each_kind(tmp_path, users):
    """One row comes to each table of what happens once, and two change, none of odd users."""
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    appdb.build(before, users=users)
    appdb.changes(before)
    shutil.copyfile(before, after)
    sentences = appdb.happenings(after)
    assert len(sentences) == len(set(sentences)) == 5
    gone, new = dumped(before) - dumped(after), dumped(after) - dumped(before)
    assert Counter(each.split('"')[1] for each in gone) == {"users": 1, "subscriptions": 1}
    assert Counter(each.split('"')[1] for each in new) == {
        "users": 1,
        "subscriptions": 1,
        "payments": 1,
        "activations": 1,
        "beta_signups": 1,
    }
    latest = """
        select user_id from payments where at > :today union all
        select user_id from activations where at > :today union all
        select user_id from beta_signups where at > :today
    """.replace(":today", f"'{TODAY}'")
    happened = [row[0] for row in asked(after, latest)]
    assert len(set(happened)) == 3
    assert not {*happened} & ODD


def test_an_afternoon_follows_a_morning_and_happens_once(own):
    """Before it, and a second time, it is refused, and leaves the database as it is."""
    for prepare in (list, lambda: (appdb.changes(own), appdb.happenings(own))):
        prepare()
        before = dumped(own)
        with pytest.raises(Stop, match="comes after the morning, and once"):
            appdb.happenings(own)
        assert dumped(own) == before


def test_payments_follow_subscriptions(built):
    """A trial has cost nothing; the payment of whoever is past due failed."""
    assert asked(built, "select distinct status from payments order by 1") == [
        ("failed",),
        ("paid",),
    ]
    unpaid = """
        select count(*) from payments p
        where (p.status = 'failed') != exists (
            select 1 from subscriptions s where s.user_id = p.user_id
            and s.status = 'past_due' and s.started_at = p.at
        )
    """
    assert asked(built, unpaid) == [(0,)]


def test_even_the_smallest_database_can_change(tmp_path):
    """With the fewest users there is still somebody for every change, and it is always the same."""
    told = []
    for name in ("one.db", "two.db"):
        appdb.build(tmp_path / name, users=appdb.FEWEST_USERS)
        told.append(appdb.changes(tmp_path / name))
    assert told[0] == told[1]
    assert dumped(tmp_path / "one.db") == dumped(tmp_path / "two.db")


def test_the_application_asks_whom_it_may_mail(own):
    """Suppressed addresses are left out however their users spell them."""
    addresses = [row[0] for row in asked(own, "select email from users where email is not null")]
    spelt = next(each for each in addresses if each != each.lower() and each.count("@") == 1)
    shared = asked(own, f"select email from users where id = {appdb.SHARED_EMAIL[0]}")[0][0]
    with closing(sqlite3.connect(own)) as connection:
        connection.execute("create table meisa_suppressed_emails (email text primary key)")
        connection.executemany(
            "insert into meisa_suppressed_emails values (?)",
            {(spelt.lower(),), (shared,), ("nobody@example.org",)},
        )
        connection.commit()
    suppressed = sum(1 for each in addresses if each.lower() in (spelt.lower(), shared))
    assert suppressed in (2, 3)
    assert appdb.suppression_join(own) == [
        ("mailable", len(addresses) - suppressed),
        ("suppressed", suppressed),
    ]
