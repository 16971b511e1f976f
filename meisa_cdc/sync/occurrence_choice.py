"""Which of the things that are done once goes next, if any may before the next contact."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from meisa_cdc.core.arrivals import MOST_TOGETHER
from meisa_cdc.core.attempt import Standing, ready
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.errors import SuppressionFailed
from meisa_cdc.core.keys import email_key
from meisa_cdc.core.mapping import EMAILS, EVENTS
from meisa_cdc.core.occurrence import Occurrence, Status
from meisa_cdc.ports import State, SuppressionTable

#: Occurrences that are read in one go, and that are looked at before answers are collected again.
LOOKED_AT = 50
MOST_LOOKED_AT = 200
#: Seconds between two looks for what may be done, while there are contacts to send all the time.
LOOK_EVERY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What goes next."""

    #: What shares one request; empty: the contact goes first, or there is more to look at.
    occurrences: Sequence[Occurrence] = ()
    #: The contact that it is about, or that goes first; empty where no contact is concerned.
    contact: str = ""


@dataclass(slots=True, kw_only=True)
class OccurrenceChoice:
    """Looks through what waits in its order; what cannot go by now is settled, or put off."""

    state: State
    suppressions: SuppressionTable
    #: Counts what is settled here.
    outcomes: Counter[Status]
    #: Epoch seconds at which nothing of it could be done.
    _nothing_at: float = field(default=-math.inf, init=False)

    def choose(
        self,
        now: float,
        *,
        kinds: Sequence[str],
        first: str,
        favour: int | None,
        busy: Collection[str],
    ) -> Chosen | None:
        """Return what goes now; None where nothing of what is done once may.

        `kinds` are those that may be sent at all. `first` is the contact that a request is to
        start for, empty where there is none; where it precedes, it is what goes. `favour` is the
        rank whose turn it is, `busy` the contacts that a request is under way for.
        """
        if first and 0 <= now - self._nothing_at < LOOK_EVERY:
            return None
        chosen = self._choose(now, kinds, first, favour, busy)
        self._nothing_at = now if chosen is None else -math.inf
        return chosen

    def _choose(
        self,
        now: float,
        kinds: Sequence[str],
        first: str,
        favour: int | None,
        busy: Collection[str],
    ) -> Chosen | None:
        before: Contact | None = None
        passed: set[int | None] = set()
        while len(passed) < MOST_LOOKED_AT:
            batch = self.state.next_occurrences(
                now, LOOKED_AT + len(passed), kinds=kinds, favour=favour
            )
            fresh = [each for each in batch if each.ref not in passed]
            if not fresh:
                return None
            if first and not passed:
                before = self.state.load([first]).get(first)
            changed: list[Occurrence] = []
            try:
                for each in fresh:
                    if before is not None and _turn(before, favour) <= _turn(each, favour):
                        return Chosen(contact=before.external_id)
                    chosen = self._chosen(each, now, busy, changed)
                    if chosen is not None:
                        return chosen
                    passed.add(each.ref)
            finally:
                self._put_off(changed)
        return Chosen() if before is None else Chosen(contact=before.external_id)

    def _chosen(
        self,
        occurrence: Occurrence,
        now: float,
        busy: Collection[str],
        changed: list[Occurrence],
    ) -> Chosen | None:
        contact = self._contact(occurrence)
        key = "" if contact is None else contact.external_id
        if key:
            if key in busy:
                return None
            due = self.state.delivery_due(key)
            if due is not None and due <= now:
                return Chosen(contact=key)
            if due is not None:
                changed.append(replace(occurrence, not_before=due, blocked=""))
                return None
        seen = ready(occurrence, contact, self._standing(occurrence), now)
        if seen.status is not Status.WAITING or seen.blocked:
            changed.append(seen)
            return None
        shared = self._together(occurrence, now, changed) if occurrence.slug else [occurrence]
        return Chosen(occurrences=shared, contact=key)

    def _together(
        self, first: Occurrence, now: float, changed: list[Occurrence]
    ) -> Sequence[Occurrence]:
        """Return the enrolments that share the request of this one."""
        found = {first.ref: first}
        for each in self.state.companions(first.slug, now, MOST_TOGETHER):
            if len(found) < MOST_TOGETHER and each.ref not in found:
                seen = ready(each, None, None, now)
                if seen.status is Status.WAITING:
                    found[each.ref] = each
                else:
                    changed.append(seen)
        return list(found.values())

    def _contact(self, occurrence: Occurrence) -> Contact | None:
        """Return whom an event is about, as far as we know them."""
        if occurrence.kind != EVENTS:
            return None
        key = occurrence.external_id
        if not key:
            claims = self.state.claims([email_key(occurrence.email)])
            named = sorted((not c.holds, c.external_id) for c in claims if c.holds or c.observes)
            key = named[0][1] if named else ""
        return self.state.load([key]).get(key) if key else None

    def _standing(self, occurrence: Occurrence) -> Standing | None:
        if occurrence.kind != EMAILS:
            return None
        try:
            return self.suppressions.standing([occurrence.email])
        except SuppressionFailed:
            # Nobody knows whether the address may be written to; the pull tells what is wrong.
            return None

    def _put_off(self, changed: Sequence[Occurrence]) -> None:
        if changed:
            self.state.store_occurrences(changed, before=Status.WAITING)
            self.outcomes.update(e.status for e in changed if e.status is not Status.WAITING)


def _turn(candidate: Contact | Occurrence, favour: int | None) -> tuple[bool, int, float]:
    rank = candidate.rank if candidate.rank is not None else 0
    return rank != favour, rank, candidate.since or 0.0
