"""Tags: which to add with the next upsert, and which of ours to take away again.

Meisa adds tags by upserts and never removes one that way. A mapping in `tags/` yields all tags that
a contact should have from it, as a field of its own; what vanishes from it is removed by a request
of its own, but only where we had added it: people and automations set tags too.
"""

from collections.abc import Iterable

from meisa_cdc.core.contact import TAG_NAMES, TAGS, UNSET, Contact, Fields, Unset
from meisa_cdc.core.values import Value


def is_tags(field: str) -> bool:
    """Tell whether a field is a list of tags."""
    return field == TAG_NAMES or field.startswith(TAGS)


def names(value: Value | Unset) -> frozenset[str]:
    """Return the tags of a field's value."""
    if not isinstance(value, list):
        return frozenset()
    return frozenset(each for each in value if isinstance(each, str))


def listed(tags: Iterable[str]) -> Value:
    """Return tags as a field's value."""
    return [*sorted(tags)]


def differs(
    field: str, value: Value, ledger: Fields, ours: frozenset[str], others: frozenset[str]
) -> bool:
    """Tell whether Meisa lacks a tag of this value, or has one of ours that is not in it.

    `others` are the tags that other fields want.
    """
    held = names(ledger.get(field, UNSET))
    wanted = names(value)
    return bool(wanted - held) or bool(_removable(field, wanted, held, ours, others))


def added(contact: Contact) -> frozenset[str]:
    """Return the tags that the contact's next upsert has to carry."""
    found: frozenset[str] = frozenset()
    for field, value in {**contact.riding, **contact.pending}.items():
        if is_tags(field):
            held = names(contact.ledger.get(field, UNSET))
            found |= names(value) - (frozenset() if field in contact.in_doubt else held)
    return found


def removable(contact: Contact) -> frozenset[str]:
    """Return the tags that have to be taken from the contact at Meisa."""
    wanted = wanted_by(contact)
    found: frozenset[str] = frozenset()
    for field, value in contact.pending.items():
        held = names(contact.ledger.get(field, UNSET))
        others = frozenset().union(*(tags for other, tags in wanted.items() if other != field))
        found |= _removable(field, names(value), held, contact.ours, others)
    return found


def wanted_by(contact: Contact) -> dict[str, frozenset[str]]:
    """Return the tags that each field wants, as last observed."""
    fields = {**contact.ledger, **contact.riding, **contact.pending}
    return {field: names(value) for field, value in fields.items() if is_tags(field)}


def next_removal(contact: Contact) -> str:
    """Return the tag to remove next; empty where there is none, or an upsert comes first."""
    for field, value in contact.pending.items():
        if not field.startswith(TAGS) or names(value) - names(contact.ledger.get(field, UNSET)):
            return ""
    return min(removable(contact), default="") if contact.meisa_id else ""


def requests(contact: Contact) -> int:
    """Return how many requests the contact's pending delivery takes: an upsert, and removals."""
    gone = len(removable(contact)) if contact.meisa_id else 0
    return gone + (0 if gone and next_removal(contact) else 1)


def _removable(
    field: str,
    wanted: frozenset[str],
    held: frozenset[str],
    ours: frozenset[str],
    others: frozenset[str],
) -> frozenset[str]:
    return (held - wanted - others) & ours if field.startswith(TAGS) else frozenset()
