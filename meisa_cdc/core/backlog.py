"""Which delivery is next: class, then oldest."""

from collections.abc import Iterable

from meisa_cdc.core.contact import Contact
from meisa_cdc.core.mapping import Priority


def rank_of(contact: Contact, causes: Iterable[Priority]) -> int | None:
    """Return the class of a contact's pending delivery; None where nothing can be sent now.

    `causes` are the priorities of the fields that make a request necessary. A contact new to
    Meisa is urgent whatever its fields, unless it is one of a whole first load.
    """
    if not contact.pending or not contact.present or contact.invalid or contact.quarantine:
        return None
    if not contact.ledger:
        return int(Priority.BACKGROUND if contact.first_load else Priority.URGENT)
    return int(min(causes, default=Priority.BACKGROUND))
