"""The demo's app database: built the same every time, changed twice, and asked whom to mail."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, NullPool, create_engine, insert, text

from meisa_cdc.core.errors import Stop
from meisa_cdc.demo import afternoon, history, morning, tables
from meisa_cdc.demo.people import Census, happens

SEED = 20261101
#: With fewer users there would be nobody for some of the changes.
FEWEST_USERS = 100

#: Rows that no contact can be made of, as every real product has some: user ids.
WITHOUT_EMAIL = 23
MALFORMED_EMAIL = 57
SHARED_EMAIL = (38, 81)
#: Users that something is wrong with.
ODD = (WITHOUT_EMAIL, MALFORMED_EMAIL, *SHARED_EMAIL)

#: What the application asks before it sends mail itself: everyone who is not suppressed.
MAILABLE = """\
select u.id, u.email
from users u
left join meisa_suppressed_emails s on s.email = lower(u.email)
where u.email is not null and s.email is null
"""
#: The users whom that query leaves out.
SUPPRESSED = """\
select u.id, u.email
from users u
join meisa_suppressed_emails s on s.email = lower(u.email)
"""


def build(path: Path, *, users: int = 2000) -> None:
    """Make the database at `path`, equal for equal `users`.

    Raises Stop where something is at `path` already, ValueError for fewer than FEWEST_USERS.
    """
    if users < FEWEST_USERS:
        raise ValueError(f"at least {FEWEST_USERS} users, not {users}")
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise Stop(f"{path} exists already.", hint="Delete it, or name another file.") from None
    rows = _rows(random.Random(SEED), users)
    with _connected(path) as connection:
        tables.METADATA.create_all(connection)
        for table in tables.METADATA.sorted_tables:
            connection.execute(insert(table), rows[table.name])


def changes(path: Path) -> list[str]:
    """Let a morning pass in the application; return one sentence for each thing that changed.

    Raises Stop where it has passed already.
    """
    with _connected(path) as connection:
        return morning.apply(connection, spared=ODD)


def happenings(path: Path) -> list[str]:
    """Let the afternoon after that morning pass; return one sentence for each thing that happened.

    Raises Stop where there was no morning, or the afternoon has passed already.
    """
    with _connected(path) as connection:
        return afternoon.apply(connection, spared=ODD)


def sign_in(path: Path, count: int = 40) -> int:
    """Let so many users sign in, and nothing else change; return how many there were."""
    with _connected(path) as connection:
        return morning.sign_in(connection, count, spared=ODD)


def suppression_join(path: Path) -> list[tuple[str, int]]:
    """Return how many users with an address are mailable and how many are suppressed.

    The table of suppressed addresses has to be in the app database.
    """
    questions = {"mailable": MAILABLE, "suppressed": SUPPRESSED}
    with _connected(path) as connection:
        return [
            (name, len(connection.execute(text(question)).all()))
            for name, question in questions.items()
        ]


@contextmanager
def _connected(path: Path) -> Iterator[Connection]:
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def _rows(chance: random.Random, users: int) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {
        table.name: [] for table in tables.METADATA.sorted_tables
    }
    rows["plans"].extend(history.PLANS)
    census = Census(chance)
    for user, joined in enumerate(history.signups(chance, users), start=1):
        logins = history.logins(chance, joined)
        rows["users"].append(
            asdict(census.person())
            | {
                "id": user,
                "created_at": joined,
                "last_login_at": logins[-1] if logins else None,
                "onboarding_completed": happens(chance, 70),
                "password_hash": f"scrypt${chance.randbytes(24).hex()}",
            }
        )
        rows["logins"].extend({"user_id": user, "at": at} for at in logins)
        for name, made in (("subscriptions", history.subscriptions), ("posts", history.posts)):
            rows[name].extend({"user_id": user} | row for row in made(chance, joined))
    for name, row in _happened(chance, rows["users"], rows["subscriptions"]):
        rows[name].append(row)
    _spoil(rows["users"])
    return rows


def _happened(
    chance: random.Random, users: list[dict[str, Any]], subscriptions: list[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (table, row) of what happened to people once; nothing for the odd ones."""
    subscribed: dict[int, list[dict[str, Any]]] = {}
    for each in subscriptions:
        subscribed.setdefault(each["user_id"], []).append(each)
    for user in users:
        if user["id"] in ODD:
            continue
        once = {
            "payments": history.payments(subscribed.get(user["id"], ())),
            "activations": history.activations(chance, user["created_at"]),
            "beta_signups": history.beta_signups(chance, user["created_at"]),
        }
        for name, made in once.items():
            yield from ((name, {"user_id": user["id"]} | row) for row in made)


def _spoil(users: list[dict[str, Any]]) -> None:
    by_id = {user["id"]: user for user in users}
    by_id[WITHOUT_EMAIL]["email"] = None
    malformed = by_id[MALFORMED_EMAIL]
    malformed["email"] = malformed["email"].replace("@", " at ")
    first, second = (by_id[each] for each in SHARED_EMAIL)
    first["email"] = first["email"].lower()
    second["email"] = first["email"].upper()
