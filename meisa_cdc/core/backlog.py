"""Which delivery is next: class, then oldest, and now and then a turn for what waits longest."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat

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


def in_turn(
    waiting: Sequence[str],
    favoured: Mapping[int, Sequence[str]],
    favour: Sequence[int | None],
    most: int,
) -> list[str]:
    """Return that many of the keys in `waiting`, the first ones, but for turns of other classes.

    `favour` says of each place which class has its turn there, `favoured` who is first in it.
    """
    chosen: dict[str, None] = {}
    for _, turn in zip(range(most), chain(favour, repeat(None)), strict=False):
        first = () if turn is None else favoured.get(turn, ())
        key = next((key for key in chain(first, waiting) if key not in chosen), None)
        if key is None:
            break
        chosen[key] = None
    return list(chosen)


def rank_of(contact: Contact, causes: Iterable[Priority]) -> int | None:
    """Return the class of a contact's pending delivery; None where nothing can be sent now.

    `causes` are the priorities of the fields that make a request necessary. A contact new to
    Meisa is urgent whatever its fields, unless it is one of a whole first load.
    """
    if not contact.pending or not contact.present or contact.invalid or contact.quarantine:
        return None
    return urgency(contact, causes)


def urgency(contact: Contact, causes: Iterable[Priority]) -> int:
    """Return the class of a delivery with these causes, if it can be sent."""
    if not contact.ledger:
        return int(Priority.BACKGROUND if contact.first_load else Priority.URGENT)
    return int(min(causes, default=Priority.BACKGROUND))
