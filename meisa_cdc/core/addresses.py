"""E-mail addresses: who may use one, and what changes hands with it.

Meisa merges contacts by address, so an address that two contacts want, or that one takes over from
another, can mix up two people.
"""

from collections.abc import Sequence
from dataclasses import replace

from meisa_cdc.core import tags
from meisa_cdc.core.contact import EMAIL, SOURCE, Claim, Contact, Staged
from meisa_cdc.core.values import email_key


def heir(contact: Contact, person: Staged | None, claims: Sequence[Claim]) -> Contact:
    """Return the contact with what Meisa already holds under its address, of one that is gone."""
    left = [(c.email_key, c.leaves) for c in claims if c.leaves is not None]
    if not left:
        return contact
    email = contact.email if person is None else person.values.get(EMAIL)
    address = email_key(email) if isinstance(email, str) else ""
    fields = frozenset().union(*(leaves for key, leaves in left if key == address))
    # The address itself is always among them, so an heir is known by them.
    inherits = frozenset(f for f in fields - {SOURCE} if not tags.is_tags(f))
    if not inherits:
        return contact
    return replace(
        contact,
        inherits=contact.inherits | inherits,
        # Whatever Meisa makes of the two, it ends with our values.
        in_doubt=contact.in_doubt | (inherits & contact.ledger.keys()),
    )


def email_conflict(external_id: str, claims: Sequence[Claim]) -> tuple[str, str] | None:
    """Return (code, message) where this contact must not use its address; None where it may.

    Meisa merges contacts by address. The one that Meisa already has under it goes on; where
    there is none such, all who want it are refused, since any choice could mix up two people.
    """
    others = [claim for claim in claims if claim.external_id != external_id]
    if not others:
        return None
    others.sort(key=lambda claim: claim.external_id)
    if any(c.holds for c in claims if c.external_id == external_id):
        return None
    for claim in others:
        if claim.holds and claim.observes:
            return "email_duplicate", f"the address belongs to {claim.external_id} at Meisa"
    for claim in others:
        if claim.holds and claim.leaves is None:
            return _held_by(claim)
    wanting = [claim for claim in others if claim.observes]
    if not wanting:
        return None
    names = ", ".join(claim.external_id for claim in wanting[:5])
    return "email_duplicate", f"the same address is used by {names}"


def _held_by(claim: Claim) -> tuple[str, str]:
    """Return why an address that somebody at Meisa is about to leave cannot be used yet."""
    other = claim.external_id
    if claim.circular:
        message = (
            f"the address is still {other}'s at Meisa, and {other} waits for this contact's in "
            "turn. Give one of them a third address for as long as a sync takes, in the app or "
            "at Meisa"
        )
        return "email_cycle", message
    message = (
        f"the address is still {other}'s at Meisa; this contact follows once another address "
        f"of {other} was accepted there"
    )
    return "email_waiting", message


def contested(contact: Contact) -> Contact:
    """Return a contact that is gone with all in doubt: what Meisa held may soon be another's."""
    return replace(contact, in_doubt=contact.in_doubt | contact.ledger.keys(), rank=None)


def vacated(contact: Contact) -> Contact:
    """Return a contact that is gone without what Meisa held of it, which is another's now."""
    return replace(
        contested(contact),
        ledger={},
        meisa_id="",
        late=None,
        inherits=frozenset(),
        ours=frozenset(),
        tags=frozenset(),
    )
