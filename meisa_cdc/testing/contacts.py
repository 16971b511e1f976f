"""The stored contacts in dictionaries."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from meisa_cdc.core.backlog import in_turn
from meisa_cdc.core.contact import EMAIL, SOURCE, Claim, Contact
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.plan import Cost
from meisa_cdc.core.values import email_key
from meisa_cdc.records import Counts, Settled
from meisa_cdc.testing.observations import MemoryObservations, pages


class MemoryContacts(MemoryObservations):
    """`ports.Contacts` in memory."""

    def __init__(self) -> None:
        super().__init__()
        #: Epoch seconds before which no delivery of a contact is tried.
        self.not_before: dict[str, float] = {}

    def load(self, keys: Sequence[str]) -> dict[str, Contact]:
        """Return the contacts with these keys."""
        return {key: self.contacts[key] for key in keys if key in self.contacts}

    def find(self, text: str) -> Contact | None:
        """Return the contact with this external_id, or with this e-mail in any case."""
        if text in self.contacts:
            return self.contacts[text]
        claims = self.claims([email_key(text)])
        if not claims:
            return None
        return self.contacts[min(claims, key=lambda c: (not c.observes, c.external_id)).external_id]

    def claims(self, email_keys: Sequence[str]) -> list[Claim]:
        """Return every contact that holds or observes one of these addresses."""
        found = []
        for key, contact in sorted(self.contacts.items()):
            holds, observes = contact.acknowledged_email_key, _observed_email(contact)
            for address in ({holds, observes} - {""}) & set(email_keys):
                claim = Claim(
                    external_id=key,
                    email_key=address,
                    holds=address == holds,
                    observes=address == observes,
                )
                found.append(claim)
        return sorted(found, key=lambda claim: (claim.email_key, claim.external_id))

    def pending(self) -> Iterator[Sequence[str]]:
        """Yield batches of keys of contacts with anything pending or quarantined."""
        yield from pages(
            sorted(
                key
                for key, contact in list(self.contacts.items())
                if contact.pending or contact.riding or contact.quarantine is not None
            )
        )

    def due(self, now: float, most: int) -> Sequence[str]:
        """Return the keys of contacts with something due: what rides along, or a confirmation."""
        found = [
            (at, key)
            for key, contact in list(self.contacts.items())
            for at in (contact.due, contact.late.confirm_at if contact.late else None)
            if at is not None and at <= now
        ]
        return list(dict.fromkeys(key for _, key in sorted(found)[:most]))

    def keys(self) -> Iterator[Sequence[str]]:
        """Yield batches of the keys of all contacts, in order."""
        yield from pages(sorted(self.contacts))

    def settle(
        self,
        keys: Sequence[str],
        decide: Callable[[str, Contact | None], Settled],
        *,
        now: float,  # noqa: ARG002 - contacts carry their own times
    ) -> None:
        """Load these contacts, decide each anew and store all of it at once."""
        with self.transaction("settle"):
            decided = [(key, decide(key, self.contacts.get(key))) for key in dict.fromkeys(keys)]
            for key, settled in decided:
                if settled.contact is not None:
                    self.put_contact(settled.contact)
                if key in self.contacts:
                    self.observe(self.contacts[key], settled)

    def next_deliveries(
        self, now: float, most: int, busy: Sequence[str] = (), *, favour: Sequence[int | None] = ()
    ) -> Sequence[str]:
        """Return the keys of the next contacts to deliver."""
        ready = sorted(
            (contact.rank, contact.since or 0.0, key)
            for key, contact in list(self.contacts.items())
            if contact.rank is not None and self.not_before.get(key, 0.0) <= now and key not in busy
        )
        of_rank: dict[int, list[str]] = {}
        for rank, _, key in ready:
            of_rank.setdefault(rank, []).append(key)
        return in_turn([key for *_, key in ready], of_rank, favour, most)

    def next_attempt(self) -> float | None:
        """Return the earliest epoch second at which a deferred contact may be tried again."""
        deferred = (
            at
            for key, at in list(self.not_before.items())
            if at > 0 and self.contacts[key].rank is not None
        )
        return min(deferred, default=None)

    def cost(self) -> Cost:
        """Return which fields make the deliverable contacts wait for a request."""
        waiting = [
            contact.pending.keys() - {SOURCE}
            for contact in list(self.contacts.values())
            if contact.rank is not None
        ]
        return Cost(
            by_field=Counter(name for names in waiting for name in names),
            sole=Counter(name for names in waiting for name in names if len(names) == 1),
        )

    def counts(self) -> Counts:
        """Return how many contacts are in which condition."""
        every = list(self.contacts.values())
        waiting = [contact for contact in every if contact.rank is not None]
        return Counts(
            contacts=len(every),
            present=sum(contact.present for contact in every),
            removed=sum(not contact.present for contact in every),
            invalid=sum(bool(contact.invalid) for contact in every),
            quarantined=sum(contact.quarantine is not None for contact in every),
            backlog=dict(Counter(c.rank for c in waiting if c.rank is not None)),
            in_doubt=sum(bool(contact.in_doubt) for contact in every),
            oldest=min((c.since for c in waiting if c.since is not None), default=None),
        )

    def quarantined(self) -> Iterator[Sequence[Contact]]:
        """Yield batches of quarantined contacts in order of their keys."""
        held = sorted(k for k, c in list(self.contacts.items()) if c.quarantine is not None)
        for keys in pages(held):
            yield [self.contacts[key] for key in keys]

    def release(self, keys: Sequence[str] | None = None) -> int:
        """Put quarantined contacts back into the backlog; return how many."""
        with self.transaction("release"):
            held = [
                contact
                for key, contact in self.contacts.items()
                if contact.quarantine is not None and (keys is None or key in keys)
            ]
            for contact in held:
                rank = contact.rank
                if rank is None and contact.pending and contact.present and not contact.invalid:
                    rank = int(Priority.NORMAL)
                self.put_contact(replace(contact, quarantine=None, rank=rank))
        return len(held)

    def put_contact(self, contact: Contact) -> None:
        """Store a contact; a new one gets the next ref."""
        before = self.contacts.get(contact.external_id)
        ref = len(self.contacts) + 1 if before is None else before.ref
        self.contacts[contact.external_id] = replace(contact, ref=ref)
        if before is not None and before.quarantine is not None and contact.quarantine is None:
            self.not_before.pop(contact.external_id, None)


def _observed_email(contact: Contact) -> str:
    email = contact.last_observed(EMAIL)
    return email_key(email) if contact.present and isinstance(email, str) else ""
