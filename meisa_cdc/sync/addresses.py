"""Who goes by which e-mail address: what the state holds, overlaid with what this pass saw."""

from collections.abc import Mapping as Dict, Sequence
from dataclasses import dataclass
from typing import Protocol

from meisa_cdc.core.contact import EMAIL, Claim, Contact, Staged
from meisa_cdc.core.values import email_key
from meisa_cdc.ports import Contacts, Spool


class StillThere(Protocol):
    """Tells whether identity, once it was read, has a contact."""

    def __call__(self, ref: int, *, present: bool) -> bool:
        """Return that for the contact with a ref; `present`: it had one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Finds the contacts that share an address with those of a batch."""

    contacts: Contacts
    spool: Spool
    identity: str
    #: Identity was read in this pass and is not held.
    read: bool
    #: Whether identity, once it was read, has this contact.
    still_there: StillThere
    #: Before this pass nobody was on record: whoever is now was seen in it.
    nobody: bool = False

    def claims(
        self, batch: Sequence[tuple[str, dict[str, Staged]]], known: Dict[str, Contact]
    ) -> dict[str, list[Claim]]:
        """Return, by contact of the batch, every contact's relation to the address it uses.

        Of whom Meisa already has under the address there is none: it goes on, whoever wants it.
        """
        wanted = {}
        for key, staged in batch:
            contact = known.get(key)
            address = self._address(staged.get(self.identity), contact)
            holds = contact is not None and contact.acknowledged_email_key == address
            wanted[key] = "" if holds else address
        addresses = sorted({address for address in wanted.values() if address})
        claims = self._of(addresses) if addresses else {}
        return {key: self._seen_by(key, claims.get(address, [])) for key, address in wanted.items()}

    def touch_contested(self) -> None:
        """Look also at contacts that were not read anew whose address somebody else now uses."""
        if not self.read or self.nobody:
            return
        for addresses in self.spool.emails(self.identity):
            claims = self.contacts.claims(addresses)
            self.spool.touch([c.external_id for c in claims if c.observes and not c.holds])

    def _address(self, person: Staged | None, contact: Contact | None) -> str:
        if self.read and person is not None and person.row and not person.duplicate:
            email = person.values.get(EMAIL)
            return email_key(email) if isinstance(email, str) else ""
        return email_key(contact.email) if contact is not None else ""

    def _seen_by(self, key: str, claims: list[Claim]) -> list[Claim]:
        """Return the claims with what becomes of those who hold the address and leave it."""
        if all(claim.observes or claim.external_id == key for claim in claims):
            return claims
        if any(claim.holds for claim in claims if claim.external_id == key):
            return claims
        return [
            self._leaving(claim, key)
            if claim.holds and not claim.observes and claim.external_id != key
            else claim
            for claim in claims
        ]

    def _of(self, addresses: Sequence[str]) -> dict[str, list[Claim]]:
        stored, current = self._stored(addresses), self._current(addresses)
        if not stored and len({claim.email_key for claim in current}) == len(current):
            return {claim.email_key: [claim] for claim in current}
        by_address: dict[str, dict[str, Claim]] = {}
        for claim in [*stored, *current]:
            owners = by_address.setdefault(claim.email_key, {})
            earlier = owners.get(claim.external_id)
            owners[claim.external_id] = claim if earlier is None else _both(earlier, claim)
        return {
            address: [claim for claim in owners.values() if claim.holds or claim.observes]
            for address, owners in by_address.items()
        }

    def _leaving(self, claim: Claim, asking: str) -> Claim:
        """Return the claim of a holder who goes by another address now, or is gone."""
        holder = self.contacts.load([claim.external_id]).get(claim.external_id)
        if holder is None:
            return claim
        if self._gone(holder):
            return claim._replace(leaves=frozenset(holder.ledger))
        return claim._replace(circular=self._leads_to(asking, holder))

    def _gone(self, contact: Contact) -> bool:
        key = contact.external_id
        if not self.read:
            return not contact.present
        if self.spool.having(self.identity, [key]):
            return False
        return (
            not contact.present
            or contact.ref is None
            or not self.still_there(contact.ref, present=contact.present)
        )

    def _leads_to(self, asking: str, holder: Contact) -> bool:
        """Tell whether a holder's way out leads, by whoever holds its next address, to `asking`."""
        passed = {holder.external_id}
        while True:
            address = self._goes_by(holder)
            others = self.contacts.claims([address]) if address else []
            following = [c.external_id for c in others if c.holds and c.external_id not in passed]
            if asking in following:
                return True
            known = self.contacts.load(following[:1])
            if not known:
                return False
            ((key, holder),) = known.items()
            passed.add(key)

    def _goes_by(self, contact: Contact) -> str:
        key = contact.external_id
        seen = self.spool.addresses(self.identity, [key]) if self.read else {}
        return seen.get(key) or email_key(contact.email)

    def _stored(self, addresses: Sequence[str]) -> list[Claim]:
        if self.nobody:
            return []
        stored = self.contacts.claims(addresses)
        if not self.read:
            return stored
        # What this pass saw of a contact replaces what was observed of it before.
        unread = self._as_before([claim.external_id for claim in stored if claim.observes])
        return [
            claim._replace(observes=claim.observes and claim.external_id in unread)
            for claim in stored
        ]

    def _as_before(self, keys: Sequence[str]) -> set[str]:
        """Return those of the contacts that identity still has, unchanged."""
        reread = self.spool.having(self.identity, keys)
        rest = [key for key in keys if key not in reread]
        seen = self.contacts.observed(self.identity, rest) if rest else {}
        return {
            key
            for key, record in seen.items()
            if self.still_there(record.ref, present=record.present)
        }

    def _current(self, addresses: Sequence[str]) -> list[Claim]:
        return self.spool.claims(self.identity, addresses) if self.read else []


def _both(one: Claim, other: Claim) -> Claim:
    """Return what two relations of a contact to one address come to."""
    return other._replace(holds=one.holds or other.holds, observes=one.observes or other.observes)
