"""What made-up users did since they signed up: what they paid, made and when they came back."""

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from meisa_cdc.demo.people import happens

#: The application opened; like all its times in UTC, without saying so.
OPENED = datetime.fromisoformat("2024-01-08")
#: The demo's today; everything happened before.
TODAY = datetime.fromisoformat("2026-11-01")

PLANS: tuple[dict[str, Any], ...] = (
    {"id": 1, "code": "standard", "name": "Standard", "monthly_cents": 1900},
    {"id": 2, "code": "pro", "name": "Pro", "monthly_cents": 4900},
)
STANDARD, PRO = PLANS
#: An annual subscription costs ten months.
ANNUAL_MONTHS = 10
TRIAL = timedelta(days=14)
POST_KINDS = ("idea", "post", "comment")
FEATURES = ("export", "calendar", "team")

Row = dict[str, Any]


def monthly_revenue(plan: Row, billing_cycle: str) -> int:
    """Return what a subscription brings in a month, in cents."""
    cents: int = plan["monthly_cents"]
    return cents if billing_cycle == "monthly" else round(cents * ANNUAL_MONTHS / 12)


def signups(chance: random.Random, count: int) -> list[datetime]:
    """Return that many moments of sign-up, in order; there were more of late."""
    return sorted(_between(chance, OPENED, chance.random() ** 0.6) for _ in range(count))


def subscriptions(chance: random.Random, joined: datetime) -> Iterator[Row]:
    """Yield the subscriptions of one user, oldest first; only the last can be running."""
    start = joined + timedelta(hours=chance.expovariate(1 / 200))
    if happens(chance, 40) or start >= TODAY:
        return
    plan = chance.choices((STANDARD, PRO), weights=(7, 3))[0]
    while True:
        end = start + timedelta(days=30 + int(chance.expovariate(1 / 500)))
        if end >= TODAY:
            break
        yield _subscription(chance, plan, start, end)
        if happens(chance, 55):
            return
        # Those who go on move up, at once or after a while.
        start = end + timedelta(days=chance.choice((0, 0, 45)))
        plan = PRO
        if start >= TODAY:
            return
    yield _subscription(chance, plan, start, None)


def _subscription(chance: random.Random, plan: Row, start: datetime, end: datetime | None) -> Row:
    cycle = chance.choices(("monthly", "annual"), weights=(7, 3))[0]
    if end is not None:
        status = "canceled"
    elif TODAY - start < TRIAL:
        status = "trialing"
    else:
        status = "past_due" if happens(chance, 5) else "active"
    return {
        "plan_id": plan["id"],
        "status": status,
        "billing_cycle": cycle,
        "mrr_cents": monthly_revenue(plan, cycle),
        "started_at": start.replace(microsecond=0),
        "canceled_at": end.replace(microsecond=0) if end else None,
    }


def posts(chance: random.Random, joined: datetime) -> Iterator[Row]:
    """Yield what one user made; a quarter never start."""
    if happens(chance, 25):
        return
    for _ in range(1 + int(chance.expovariate(1 / 7))):
        kind = chance.choices(POST_KINDS, weights=(5, 4, 1))[0]
        yield {"kind": kind, "created_at": _between(chance, joined, chance.random())}


def payments(subscriptions: Iterable[Row]) -> Iterator[Row]:
    """Yield the payment that each subscription began with; that of a past due one failed."""
    for each in subscriptions:
        if each["status"] != "trialing":
            yield {
                "amount_cents": each["mrr_cents"],
                "status": "failed" if each["status"] == "past_due" else "paid",
                "at": each["started_at"],
            }


def activations(chance: random.Random, joined: datetime) -> Iterator[Row]:
    """Yield the features that one user has tried; most have tried none."""
    for feature in FEATURES:
        if happens(chance, 8):
            yield {"feature": feature, "at": _between(chance, joined, chance.random())}


def beta_signups(chance: random.Random, joined: datetime) -> Iterator[Row]:
    """Yield the one sign-up for the beta of those few who wanted it."""
    if happens(chance, 3):
        yield {"at": _between(chance, joined, chance.random())}


def logins(chance: random.Random, joined: datetime) -> list[datetime]:
    """Return when one user signed in, in order; a few never came back."""
    count = int(chance.expovariate(1 / 9))
    return sorted(_between(chance, joined, chance.random()) for _ in range(count))


def _between(chance: random.Random, start: datetime, share: float) -> datetime:
    """Return the moment at this share of the time up to today, on a random second."""
    seconds = int((TODAY - start).total_seconds() * share)
    return start + timedelta(seconds=max(0, seconds - chance.randrange(60)))
