"""Sharing the key: how much of the windows we take once somebody else was seen to use it.

An answer 429 although we kept within our windows says that there are others. We then take less,
and more again: quickly up to well below where it became too much, and beyond that at a pace that
leaves hours between two such answers. A server that counts by the clock's hours admits nobody
until the next one once it has said 429, so each of these answers costs the others dearly.
"""

import math
from dataclasses import dataclass, replace

#: What is left of our share after an answer 429, and the least that is ever left.
SHRINK = 0.7
FLOOR = 0.03
#: The ceiling is this much of the share that turned out to be too much.
BELOW = 0.8
#: Share regained in a second, up to the ceiling.
REGAIN = 0.01 / 60
#: Seconds in which everything is regained beyond it, with the third power of the time: next to
#: nothing at first, where others are likely to be found, and ever more if they are not.
PROBE = 8 * 3600.0
#: Seconds for which what was seen of others counts.
REMEMBERED = 86400.0
#: Shares are suggested in such steps, and at most this one.
STEP = 0.05
MOST_RESERVE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """What answers 429 have taught us of others who use the same key."""

    #: Our part of each window right after the last such answer.
    share: float = 1.0
    #: Epoch seconds of that answer.
    since: float = 0.0
    #: Up to here the share grows quickly.
    ceiling: float = 1.0
    #: The least part of some window that was used by others at such an answer; 0: none yet.
    others: float = 0.0
    #: Epoch seconds at which `others` was seen.
    others_at: float = 0.0
    #: Whether nothing was admitted since that answer.
    shut: bool = False


def share(throttle: Throttle, now: float) -> float:
    """Return the part of each window that we take now, FLOOR to 1."""
    if throttle.share >= 1.0:
        return 1.0
    passed = max(0.0, now - throttle.since)
    quick = min(passed, max(0.0, throttle.ceiling - throttle.share) / REGAIN)
    return min(1.0, throttle.share + quick * REGAIN + ((passed - quick) / PROBE) ** 3)


def shrunk(throttle: Throttle, *, others: float, started: float, now: float) -> Throttle:
    """Return the throttle after a request that started then was answered 429.

    `others` is the least part of some window that cannot have been used by us. One that started
    before the last such answer was known tells nothing new.
    """
    if started < throttle.since:
        return throttle
    if throttle.shut:
        # Still the same: what we took since cannot have been too much.
        return replace(throttle, since=now)
    before = share(throttle, now)
    most = max(others, throttle.others if seen(throttle, now) else 0.0)
    return Throttle(
        share=max(FLOOR, before * SHRINK),
        since=now,
        ceiling=max(FLOOR, before * BELOW),
        others=most,
        others_at=now,
        shut=True,
    )


def admitted(throttle: Throttle, *, started: float) -> Throttle:
    """Return the throttle after a request that started then was answered otherwise than 429."""
    if not throttle.shut or started < throttle.since:
        return throttle
    return replace(throttle, shut=False)


def seen(throttle: Throttle, now: float) -> bool:
    """Tell whether others were lately seen to use the key."""
    return throttle.others > 0 and now - throttle.others_at < REMEMBERED


def suggested_reserve(throttle: Throttle, reserve: float) -> float:
    """Return the reserve, 0..1, that would leave others what they were seen to use."""
    wanted = math.ceil((throttle.others + STEP) / STEP - 1e-9) * STEP
    return round(max(reserve, min(MOST_RESERVE, wanted)), 2)
