"""What the suppression tables hold, as values."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """An address that must not be e-mailed."""

    email: str
    #: Epoch seconds at which we first saw it in its present stay.
    suppressed_at: float
    #: Epoch seconds, as the list that brought it says of itself.
    as_of: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionStatus:
    """How fresh the table is."""

    #: Epoch seconds, as the last list says of itself.
    as_of: float
    #: Epoch seconds at which that list was stored.
    pulled_at: float
    #: Addresses in the table.
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionEvent:
    """An address came or went."""

    id: int
    email: str
    event: Literal["suppressed", "released"]
    #: Epoch seconds.
    at: float
