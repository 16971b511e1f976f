"""The same customers come out of the sample database on SQLite, Postgres and MariaDB."""

import sqlite3
from collections import Counter, defaultdict
from contextlib import closing

import pytest
from sqlalchemy import make_url

from meisa_cdc.core.values import canonical_email


@pytest.fixture
def on_sqlite(observe, chinook_sqlite_url):
    """Return the rows of every mapping on SQLite."""
    return observe("sqlite", chinook_sqlite_url)


def test_postgres_agrees(observe, on_sqlite, chinook_postgres_url):
    """Postgres yields the very same canonical values."""
    assert observe("postgres", chinook_postgres_url) == on_sqlite


def test_mariadb_agrees(observe, on_sqlite, chinook_mariadb_url):
    """MariaDB yields the very same canonical values."""
    assert observe("mysql", chinook_mariadb_url) == on_sqlite


def test_the_settings_agree(load):
    """The three folders differ in their SQL alone."""
    sets = [
        [(each.name, each.purpose, each.priority, each.every, each.fields) for each in load(name)]
        for name in ("sqlite", "postgres", "mysql")
    ]
    assert sets[0] == sets[1] == sets[2]


def test_one_customer_in_full(on_sqlite):
    """A customer known by heart, from every mapping, in the types that are sent."""
    assert {name: rows["6"] for name, rows in on_sqlite.items()} == {
        "identity": {
            "email": "hholy@gmail.com",
            "first_name": "Helena",
            "last_name": "Holý",
            "country": "Czech Republic",
            "company": None,
        },
        "purchases": {
            "invoice_count": 7,
            "total_spent": 49.62,
            "first_purchase": "2021-07-11",
            "last_purchase": "2025-11-13",
        },
        "support": {"support_rep": "Steve Johnson"},
        "taste": {"favourite_genre": "Rock"},
    }


def test_every_customer_is_a_contact(on_sqlite):
    """All 59 have a usable address and a row in every mapping."""
    assert {name: len(rows) for name, rows in on_sqlite.items()} == dict.fromkeys(
        ("identity", "purchases", "support", "taste"), 59
    )
    for row in on_sqlite["identity"].values():
        assert canonical_email(row["email"]) == row["email"]


def test_money_has_two_decimals(on_sqlite):
    """No sum shows what adding up in floating point leaves behind."""
    for row in on_sqlite["purchases"].values():
        assert row["total_spent"] == round(row["total_spent"], 2)
    assert sum(row["invoice_count"] for row in on_sqlite["purchases"].values()) == 412


def test_the_favourite_genre_is_the_one_bought_most(on_sqlite, chinook_sqlite_url):
    """Counted by hand; where genres tie, the one with the lower id, and ties do occur."""
    bought: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
    with closing(sqlite3.connect(str(make_url(chinook_sqlite_url).database))) as connection:
        lines = connection.execute(
            """
            select i.CustomerId, g.GenreId, g.Name, l.Quantity
            from InvoiceLine l, Invoice i, Track t, Genre g
            where i.InvoiceId = l.InvoiceId and t.TrackId = l.TrackId and g.GenreId = t.GenreId
            """
        )
        for customer, genre, name, quantity in lines:
            bought[str(customer)][genre, name] += quantity
    ties = 0
    for customer, genres in bought.items():
        most = max(genres.values())
        first, *others = sorted(genre for genre, count in genres.items() if count == most)
        ties += bool(others)
        assert on_sqlite["taste"][customer] == {"favourite_genre": first[1]}
    assert ties > 0
