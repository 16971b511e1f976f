"""The users of the demo's app database, of whom nobody is picked twice."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from meisa_cdc.demo import history
from meisa_cdc.demo.tables import SUBSCRIPTIONS, USERS


class Crowd:
    """Hands out users for what is to happen; `spared` are users who are left alone."""

    def __init__(self, connection: Connection, spared: Iterable[int]) -> None:
        self.connection = connection
        self._picked = list(spared)

    def someone(self, *conditions: ColumnElement[bool]) -> Row[Any]:
        """Return the first user of whom these hold and who was not picked yet."""
        found = self.connection.execute(
            select(USERS)
            .where(USERS.c.id.not_in(self._picked), *conditions)
            .order_by(USERS.c.id)
            .limit(1)
        ).one()
        self._picked.append(found.id)
        return found

    def update(self, user: Row[Any], **values: object) -> None:
        """Change the row of a user."""
        self.connection.execute(update(USERS).where(USERS.c.id == user.id).values(values))


def subscribes_to(plan: history.Row, *further: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition of an active subscription to a plan, of which more may have to hold."""
    running = select(SUBSCRIPTIONS.c.user_id).where(
        SUBSCRIPTIONS.c.status == "active", SUBSCRIPTIONS.c.plan_id == plan["id"], *further
    )
    return USERS.c.id.in_(running)


def never_subscribed() -> ColumnElement[bool]:
    """Return the condition of never having had a subscription."""
    return USERS.c.id.not_in(select(SUBSCRIPTIONS.c.user_id))


def name_of(user: Row[Any]) -> str:
    """Return a user's name as the app shows it."""
    return " ".join(part for part in (user.first_name, user.last_name) if part)
