"""The app's suppression table, on a connection of its own; Postgres, MySQL/MariaDB, SQLite."""

from meisa_cdc.suppressed.records import Suppressed, SuppressionEvent, SuppressionStatus
from meisa_cdc.suppressed.table import SuppressedTable

__all__ = ["Suppressed", "SuppressedTable", "SuppressionEvent", "SuppressionStatus"]
