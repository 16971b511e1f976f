"""What a scripted Meisa does once: events, e-mails, enrolments; and the table of suppressions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from meisa_cdc.core.attempt import REMEMBERED, Standing
from meisa_cdc.core.keys import email_key
from meisa_cdc.core.outcome import Answer
from meisa_cdc.core.suppression import decide
from meisa_cdc.ports import Clock, SuppressionList, SuppressionResult

Body = Mapping[str, Any]


class Deeds:
    """What happened over there, as the API's documents say it happens."""

    def __init__(self, clock: Clock, knows: Callable[[Body], bool]) -> None:
        """`knows` tells whether there is a contact for an event."""
        self._clock = clock
        self._knows = knows
        #: Every event that was recorded, in order.
        self.events: list[Body] = []
        #: Every e-mail that was sent, in order.
        self.mails: list[Body] = []
        #: (slug, case-folded address) of everybody who is enrolled.
        self.enrolled: list[tuple[str, str]] = []
        self._remembered: dict[str, tuple[float, Answer]] = {}

    def track_event(self, body: Body) -> Answer:
        """Record an event of a contact that exists."""
        if not self._knows(body):
            return Answer(status=404, body={"message": "no such contact"})
        self.events.append(body)
        return Answer(status=200, body={"status": "tracked", "event_name": body["event_name"]})

    def trigger_email(self, body: Body) -> Answer:
        """Send an e-mail, unless the same one was sent within the hour."""
        key, now = body.get("idempotency_key"), self._clock.now()
        at, earlier = self._remembered.get(str(key), (0.0, Answer()))
        if key is not None and earlier.status and now - at < REMEMBERED:
            return earlier
        self.mails.append(body)
        answer = Answer(status=200, body={"status": "sent", "trigger_key": body["trigger_key"]})
        self._remembered[str(key)] = (now, answer)
        return answer

    def bulk_enroll(self, body: Body) -> Answer:
        """Enrol who is not enrolled yet."""
        wanted = [(body["sequence_slug"], email_key(email)) for email in body["emails"]]
        new = [each for each in wanted if each not in self.enrolled]
        self.enrolled += new
        counts = {"enrolled": len(new), "skipped": len(wanted) - len(new)}
        return Answer(status=200, body={"sequence_slug": body["sequence_slug"], **counts})


class MemorySuppressions:
    """`ports.SuppressionTable` in memory."""

    def __init__(self) -> None:
        #: Case-folded addresses.
        self.emails: frozenset[str] = frozenset()
        #: Epoch seconds of the newest list; None: there never was one.
        self.as_of: float | None = None

    def replace(
        self, pulled: SuppressionList, *, now: float, max_release: float, approve: str = ""
    ) -> SuppressionResult:
        """Make the table equal the list, held releases aside."""
        del now
        made = decide(iter(self.emails), pulled.emails, max_release=max_release, approve=approve)
        self.emails = self.emails - frozenset(made.released) | frozenset(made.added)
        self.as_of = pulled.as_of
        return SuppressionResult(
            count=made.count,
            added=len(made.added),
            released=len(made.released),
            held=made.held,
            digest=made.digest,
            as_of=pulled.as_of,
        )

    def standing(self, emails: Sequence[str]) -> Standing:
        """Return which of these addresses must not be e-mailed, and how old the list is."""
        asked = {email_key(email) for email in emails}
        return Standing(as_of=self.as_of, suppressed=asked & self.emails)
