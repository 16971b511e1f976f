"""Who is in which sequence, and how far: worked out from the time alone, nothing has to run."""

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import accumulate

from meisa_cdc.sandbox.configured import Sequence
from meisa_cdc.sandbox.contact import Contact
from meisa_cdc.sandbox.unsaved import Document, Unsaved
from meisa_cdc.sandbox.values import iso, iso_or_none


@dataclass(slots=True, kw_only=True)
class Enrollment:
    """One contact's way through one sequence. Times are epoch seconds."""

    #: UUID
    id: str
    #: Meisa's id of the contact
    contact_id: str
    sequence_slug: str
    enrolled_at: float
    #: when each e-mail is due
    steps: tuple[float, ...]
    #: as sent with the request
    metadata: dict[str, object] = field(default_factory=dict)
    trigger_source: str | None = None
    #: when it was ended from outside
    removed_at: float | None = None

    def status(self, now: float) -> str:
        """`active`, `completed` after the last e-mail, or `removed`."""
        if self.removed_at is not None:
            return "removed"
        return "completed" if self.steps and now >= self.steps[-1] else "active"

    def document(self, now: float) -> dict[str, object]:
        """The enrolment as the API lists it."""
        return {
            "sequence_slug": self.sequence_slug,
            "status": self.status(now),
            "enrolled_at": iso(self.enrolled_at),
            "emails_sent": sum(due <= self._last_moment(now) for due in self.steps),
            "next_step_at": self.next_step_at(now),
        }

    def next_step_at(self, now: float) -> str | None:
        """When the next e-mail is due; None if none is."""
        ahead = [due for due in self.steps if due > now] if self.removed_at is None else []
        return iso_or_none(min(ahead, default=None))

    def _last_moment(self, now: float) -> float:
        return now if self.removed_at is None else min(now, self.removed_at)

    def stored(self) -> Document:
        """The enrolment as the disk keeps it."""
        return asdict(self)


class EnrollmentBook:
    """All enrolments, each contact's in the order they began."""

    def __init__(self, unsaved: Unsaved) -> None:
        self._unsaved = unsaved
        self._by_contact: dict[str, list[Enrollment]] = {}
        self._totals: dict[str, int] = {}

    def total(self, slug: str) -> int:
        """How many enrolments there were in that sequence, ended ones included."""
        return self._totals.get(slug, 0)

    def of(self, contact: Contact) -> list[Enrollment]:
        """The contact's enrolments, the first one first."""
        return list(self._by_contact.get(contact.id, ()))

    def current(self, contact: Contact, slug: str, now: float) -> Enrollment | None:
        """The contact's enrolment in that sequence that has not ended, if there is one."""
        for enrollment in self._by_contact.get(contact.id, ()):
            if enrollment.sequence_slug == slug and enrollment.status(now) == "active":
                return enrollment
        return None

    def add(
        self,
        contact: Contact,
        sequence: Sequence,
        now: float,
        *,
        metadata: dict[str, object] | None = None,
        trigger_source: str | None = None,
    ) -> Enrollment:
        """Enrol the contact, whether or not it is in the sequence already."""
        enrollment = Enrollment(
            id=str(uuid.uuid4()),
            contact_id=contact.id,
            sequence_slug=sequence.slug,
            enrolled_at=now,
            steps=tuple(accumulate(sequence.steps, initial=now))[1:],
            metadata=metadata or {},
            trigger_source=trigger_source,
        )
        self._take(enrollment)
        self._unsaved.note("enrollment", enrollment.id, enrollment)
        return enrollment

    def end(self, enrollment: Enrollment, now: float) -> None:
        """Take the contact out of the sequence."""
        enrollment.removed_at = now
        self._unsaved.note("enrollment", enrollment.id, enrollment)

    def forget(self, contact_id: str) -> None:
        """Drop the enrolments of a contact that is no more."""
        for enrollment in self._by_contact.pop(contact_id, ()):
            self._totals[enrollment.sequence_slug] -= 1
            self._unsaved.note("enrollment", enrollment.id, None)

    def restore(self, enrollments: Iterable[Document]) -> None:
        """Take over what the disk kept."""
        restored = [Enrollment(**{**each, "steps": tuple(each["steps"])}) for each in enrollments]
        for enrollment in sorted(restored, key=lambda each: each.enrolled_at):
            self._take(enrollment)

    def _take(self, enrollment: Enrollment) -> None:
        self._by_contact.setdefault(enrollment.contact_id, []).append(enrollment)
        slug = enrollment.sequence_slug
        self._totals[slug] = self._totals.get(slug, 0) + 1
