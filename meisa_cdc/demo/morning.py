"""A morning in the demo's application: the changes that the tour finds first."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from meisa_cdc.core.errors import Stop
from meisa_cdc.demo import history
from meisa_cdc.demo.crowd import Crowd, name_of, never_subscribed, subscribes_to
from meisa_cdc.demo.tables import LOGINS, POSTS, SUBSCRIPTIONS, USERS

NOW = history.TODAY + timedelta(hours=9, minutes=12)
#: New posts of one user, and the count that they take them past.
NEW_POSTS = 5
MILESTONE = 10
NEWCOMER: dict[str, Any] = {
    "email": "renee.okafor@example.org",
    "first_name": "Renée",
    "last_name": "Okafor",
    "country": "NG",
    "job_title": "Founder",
    "language": "en",
    "referral_source": "friend",
    "created_at": NOW,
    "onboarding_completed": False,
    "password_hash": "scrypt$" + "0" * 48,
}


def apply(connection: Connection, *, spared: Sequence[int]) -> list[str]:
    """Change the database; return one sentence for each change, each about another user.

    `spared` are users who are left alone. Raises Stop where it was changed already.
    """
    came = select(USERS.c.id).where(USERS.c.email == NEWCOMER["email"])
    if connection.execute(came).first() is not None:
        raise Stop(
            "The changes are in this database already.", hint="Build the database anew first."
        )
    morning = _Morning(Crowd(connection, spared))
    return [
        morning.upgrade(),
        morning.churn(),
        morning.milestone(),
        morning.signup(),
        morning.new_name(),
        morning.new_address(),
    ]


def sign_in(connection: Connection, count: int, *, spared: Sequence[int]) -> int:
    """Let so many users sign in who were here before; return how many there were.

    `spared` are users who are left alone. Nobody's count reaches a figure that the example
    mapping waits for.
    """
    before = (
        select(LOGINS.c.user_id)
        .where(LOGINS.c.user_id.not_in(spared))
        .group_by(LOGINS.c.user_id)
        .having((func.count() + 1) % MILESTONE != 0)
        .order_by(LOGINS.c.user_id)
        .limit(count)
    )
    users = connection.execute(before).scalars().all()
    connection.execute(insert(LOGINS), [{"user_id": user, "at": NOW} for user in users])
    return len(users)


class _Morning:
    """What happens to whom."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._connection = crowd.connection

    def upgrade(self) -> str:
        user = self._crowd.someone(never_subscribed())
        self._connection.execute(
            insert(SUBSCRIPTIONS).values(
                user_id=user.id,
                plan_id=history.PRO["id"],
                status="active",
                billing_cycle="monthly",
                mrr_cents=history.monthly_revenue(history.PRO, "monthly"),
                started_at=NOW,
            )
        )
        return f"{name_of(user)} went from free to pro."

    def churn(self) -> str:
        user = self._crowd.someone(subscribes_to(history.PRO))
        self._end_subscription(user)
        return f"{name_of(user)} cancelled the pro plan."

    def milestone(self) -> str:
        made = (
            select(POSTS.c.user_id)
            .where(POSTS.c.kind == "post")
            .group_by(POSTS.c.user_id)
            .having(func.count().between(MILESTONE - NEW_POSTS, MILESTONE - 1))
        )
        user = self._crowd.someone(USERS.c.id.in_(made))
        self._connection.execute(
            insert(POSTS),
            [
                {"user_id": user.id, "kind": "post", "created_at": NOW - timedelta(minutes=each)}
                for each in range(NEW_POSTS)
            ],
        )
        return f"{name_of(user)} wrote {NEW_POSTS} posts, number {MILESTONE} among them."

    def signup(self) -> str:
        self._connection.execute(insert(USERS).values(NEWCOMER))
        return f"{NEWCOMER['first_name']} {NEWCOMER['last_name']} signed up."

    def new_name(self) -> str:
        user = self._crowd.someone(USERS.c.last_name.is_not(None), USERS.c.country == "ES")
        self._crowd.update(user, last_name=f"{user.last_name} Blanco")
        return f"{name_of(user)} corrected the last name: it is {user.last_name} Blanco."

    def new_address(self) -> str:
        user = self._crowd.someone(USERS.c.email == func.lower(USERS.c.email))
        local = user.email.partition("@")[0]
        address = f"{local}.work@example.org"
        self._crowd.update(user, email=address)
        return f"{name_of(user)} changed the address from {user.email} to {address}."

    def _end_subscription(self, user: Row[Any]) -> None:
        ended = (
            update(SUBSCRIPTIONS)
            .where(SUBSCRIPTIONS.c.user_id == user.id, SUBSCRIPTIONS.c.status == "active")
            .values(status="canceled", canceled_at=NOW)
        )
        self._connection.execute(ended)
