"""When a field's difference is worth a request.

Always judged against the value that was sent last, so slow drift adds up and is sent in the end.
A difference that is not worth a request rides along with one that happens anyway.
"""

from dataclasses import dataclass
from typing import Literal

from meisa_cdc.core.contact import UNSET, Unset
from meisa_cdc.core.values import Value

WITH_OTHERS = "with_others"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinChange:
    """How far a number has to move before it counts."""

    #: At least 0; of the number itself, or of its last sent value where `relative`.
    amount: float
    relative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What makes a difference in one field worth a request."""

    send: Literal["always", "with_others"] = "always"
    #: Seconds after which a value that rides along is sent on its own after all.
    at_least_every: float | None = None
    #: Ascending; only crossing one of them counts.
    thresholds: tuple[float, ...] = ()
    min_change: MinChange | None = None


def causes(policy: Policy, sent: Value | Unset, value: Value) -> bool:
    """Tell whether a difference is worth a request of its own.

    `sent` is what Meisa acknowledged, UNSET where it never held the field.
    """
    if policy.send == WITH_OTHERS:
        return False
    before, after = _number(sent), _number(value)
    # Coming from nothing, going to nothing, or becoming another kind of value is no small step.
    if before is None or after is None:
        return True
    if policy.thresholds and not _crossed(policy.thresholds, before, after):
        return False
    return policy.min_change is None or _far(policy.min_change, before, after)


def _number(value: Value | Unset) -> float | None:
    if value is UNSET or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _crossed(thresholds: tuple[float, ...], before: float, after: float) -> bool:
    """A threshold is reached from below at its very value, and left below it."""
    return _reached(thresholds, before) != _reached(thresholds, after)


def _reached(thresholds: tuple[float, ...], value: float) -> int:
    return sum(1 for threshold in thresholds if value >= threshold)


def _far(change: MinChange, before: float, after: float) -> bool:
    moved = abs(after - before)
    if not change.relative:
        return moved >= change.amount
    # From nothing, any share is exceeded.
    return moved >= change.amount * abs(before) if before else True
