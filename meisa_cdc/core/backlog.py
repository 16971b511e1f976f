"""Which delivery is next: class, then oldest, and now and then a turn for what waits longest."""

from collections.abc import Iterable

from meisa_cdc.core.contact import Contact
from meisa_cdc.core.mapping import Priority

#: Of so many deliveries in a row, one is for each lower class, so that nothing starves.
ROUND = 10
_TURNS = {ROUND // 2 - 1: Priority.NORMAL, ROUND - 1: Priority.BACKGROUND}


def favoured(turn: int) -> int | None:
    """Return the class whose turn it is, whatever waits above it; None: the most urgent's.

    `turn` counts deliveries. A class with nothing to deliver leaves its turn to the others.
    """
    priority = _TURNS.get(turn % ROUND)
    return None if priority is None else int(priority)


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
