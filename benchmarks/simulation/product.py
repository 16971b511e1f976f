"""What happens in an app in a week: sign-ups, upgrades, usage and logins of its users.

A user's class of change is that of the fields concerned: sign-ups and changes of plan are urgent,
usage counts are normal, the time of the last login can wait.
"""

import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from meisa_cdc.core.mapping import Priority

#: A Monday, 2026-01-12, 00:00 UTC.
START = 1_768_176_000.0
HOUR = 3600.0
DAY = 24 * HOUR
CONTACTS = 200_000
#: Of changes of plan, so many are taken back, after some minutes.
TAKEN_BACK = 0.03
SECOND_THOUGHTS = 600.0
#: A kind of change beside the three classes: a change of plan is taken back.
BACK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Changes an hour, averaged over a day."""

    signups: float
    upgrades: float
    usage: float
    logins: float

    @property
    def all(self) -> float:
        """All changes an hour."""
        return self.signups + self.upgrades + self.usage + self.logins


@dataclass(slots=True, kw_only=True)
class Changes:
    """Changes in order of time, in columns; there are millions."""

    #: Contacts at the end.
    contacts: int
    #: Epoch seconds.
    end: float
    #: Contacts of which everything is still to be sent at the start.
    backlog: int = 0
    times: "array[float]" = field(default_factory=lambda: array("d"))
    who: "array[int]" = field(default_factory=lambda: array("l"))
    #: The class of each, or BACK.
    kinds: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.times)


def changes(rates: Rates, *, days: float, backlog: int, seed: int) -> Changes:
    """Return so many days of changes, the same ones for the same seed."""
    chance = random.Random(seed)
    made = Changes(contacts=CONTACTS, end=START + days * DAY, backlog=backlog)
    later: list[tuple[float, int, int]] = []
    for hour in range(math.ceil(days * 24)):
        first = START + hour * HOUR
        events = [*later, *_of_hour(rates, made, first, chance)]
        for at, contact, kind in list(events):
            if kind == Priority.URGENT and contact < CONTACTS and chance.random() < TAKEN_BACK:
                again = at + chance.expovariate(1 / SECOND_THOUGHTS)
                events.append((again, contact, BACK))
        later = [each for each in events if each[0] >= first + HOUR]
        for at, contact, kind in sorted(each for each in events if each[0] < first + HOUR):
            made.times.append(at)
            made.who.append(contact)
            made.kinds.append(kind)
    return made


def _of_hour(
    rates: Rates, made: Changes, first: float, chance: random.Random
) -> Iterator[tuple[float, int, int]]:
    streams = (
        (rates.upgrades, 0.25, Priority.URGENT),
        (rates.usage, 0.6, Priority.NORMAL),
        (rates.logins, 0.6, Priority.BACKGROUND),
    )
    for rate, swing, kind in streams:
        for _ in range(_poisson(rate * rhythm(first, swing), chance)):
            # Some users are far more active than others.
            contact = int(CONTACTS * chance.random() ** 2)
            yield first + HOUR * chance.random(), contact, int(kind)
    for _ in range(_poisson(rates.signups * rhythm(first, 0.25), chance)):
        yield first + HOUR * chance.random(), made.contacts, int(Priority.URGENT)
        made.contacts += 1


def rhythm(at: float, swing: float) -> float:
    """Return how much happens at that time of day, 1 on average; most at two in the afternoon."""
    return 1.0 + swing * math.cos(2 * math.pi * (at % DAY / DAY - 14.5 / 24))


def calls(an_hour: float, *, days: float, seed: int) -> "array[float]":
    """Return the times at which another client uses the key."""
    chance = random.Random(seed)
    made = array("d")
    at = START
    while an_hour > 0 and at < START + days * DAY:
        at += chance.expovariate(an_hour / HOUR)
        made.append(at)
    return made


def _poisson(mean: float, chance: random.Random) -> int:
    """Return a number of events; a normal approximation, exact enough for dozens and more."""
    return max(0, round(chance.gauss(mean, math.sqrt(mean))))
