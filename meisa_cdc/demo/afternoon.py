"""The afternoon after that morning: a tag that goes, and what happens once."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, Row, insert, select, update

from meisa_cdc.core.errors import Stop
from meisa_cdc.demo import history, morning
from meisa_cdc.demo.crowd import Crowd, name_of, subscribes_to
from meisa_cdc.demo.tables import ACTIVATIONS, BETA_SIGNUPS, PAYMENTS, SUBSCRIPTIONS, USERS

NOW = morning.NOW + timedelta(hours=5)
FEATURE = "export"


def apply(connection: Connection, *, spared: Sequence[int]) -> list[str]:
    """Change the database; return one sentence for each thing that happened.

    `spared` are users who are left alone. Raises Stop where the morning has not passed, or the
    afternoon has.
    """
    newcomer = connection.execute(
        select(USERS).where(USERS.c.email == morning.NEWCOMER["email"])
    ).first()
    if newcomer is None or newcomer.onboarding_completed:
        raise Stop(
            "The afternoon comes after the morning, and once.",
            hint="Build the database anew, and let its morning pass first.",
        )
    afternoon = _Afternoon(Crowd(connection, [*spared, newcomer.id]))
    return [
        afternoon.onboarding(newcomer),
        afternoon.monthly(),
        afternoon.feature(),
        afternoon.failed_payment(),
        afternoon.beta(),
    ]


class _Afternoon:
    """What happens to whom."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._connection = crowd.connection

    def onboarding(self, newcomer: Row[tuple[object, ...]]) -> str:
        self._crowd.update(newcomer, onboarding_completed=True)
        return f"{name_of(newcomer)} completed the onboarding."

    def monthly(self) -> str:
        annual = SUBSCRIPTIONS.c.billing_cycle == "annual"
        user = self._crowd.someone(subscribes_to(history.STANDARD, annual))
        self._connection.execute(
            update(SUBSCRIPTIONS)
            .where(SUBSCRIPTIONS.c.user_id == user.id, SUBSCRIPTIONS.c.status == "active")
            .values(
                billing_cycle="monthly",
                mrr_cents=history.monthly_revenue(history.STANDARD, "monthly"),
            )
        )
        return f"{name_of(user)} changed from annual to monthly billing."

    def feature(self) -> str:
        user = self._crowd.someone(USERS.c.id.not_in(select(ACTIVATIONS.c.user_id)))
        self._connection.execute(
            insert(ACTIVATIONS).values(user_id=user.id, feature=FEATURE, at=NOW)
        )
        return f"{name_of(user)} used the {FEATURE} for the first time."

    def failed_payment(self) -> str:
        user = self._crowd.someone(subscribes_to(history.STANDARD))
        self._connection.execute(
            insert(PAYMENTS).values(
                user_id=user.id,
                amount_cents=history.STANDARD["monthly_cents"],
                status="failed",
                at=NOW,
            )
        )
        return f"A payment of {name_of(user)} failed."

    def beta(self) -> str:
        user = self._crowd.someone(USERS.c.id.not_in(select(BETA_SIGNUPS.c.user_id)))
        self._connection.execute(insert(BETA_SIGNUPS).values(user_id=user.id, at=NOW))
        return f"{name_of(user)} signed up for the beta."
