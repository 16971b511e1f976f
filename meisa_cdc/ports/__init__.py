"""What the use cases ask of the world: Protocols, and the values that cross them."""

from meisa_cdc.ports.state import Budget, Contacts, Occurrences, Records, State
from meisa_cdc.ports.world import (
    Clock,
    Meisa,
    Ping,
    Snapshot,
    Source,
    Spool,
    SuppressionList,
    SuppressionResult,
    SuppressionTable,
    Watch,
)

__all__ = [
    "Budget",
    "Clock",
    "Contacts",
    "Meisa",
    "Occurrences",
    "Ping",
    "Records",
    "Snapshot",
    "Source",
    "Spool",
    "State",
    "SuppressionList",
    "SuppressionResult",
    "SuppressionTable",
    "Watch",
]
