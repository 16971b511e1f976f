"""Our own state: what Meisa acknowledged, what waits, what was asked; SQLite and Postgres."""

from meisa_cdc.state.lease import Lease, LeaseKeeper, holder_name
from meisa_cdc.state.opening import migrate_state, open_state
from meisa_cdc.state.spool import TemporarySpool
from meisa_cdc.state.store import SqlState

__all__ = [
    "Lease",
    "LeaseKeeper",
    "SqlState",
    "TemporarySpool",
    "holder_name",
    "migrate_state",
    "open_state",
]
