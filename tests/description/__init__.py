"""A sandbox in whose sight our client cannot leave the OpenAPI description unnoticed."""

from tests.description.document import Description
from tests.description.watched import (
    WatchedAccount,
    WatchedSandbox,
    logged_mismatches,
    watched,
)

__all__ = ["Description", "WatchedAccount", "WatchedSandbox", "logged_mismatches", "watched"]
