"""A local Meisa, built from its API documents and from nothing else of this package.

It imports nothing of ours outside this folder, so that an error in the client cannot hide in it.
"""

from meisa_cdc.sandbox.account import Account, Overview
from meisa_cdc.sandbox.errors import OptionError, SandboxError
from meisa_cdc.sandbox.faults import Fault, FaultKind
from meisa_cdc.sandbox.journal import RequestRecord, Trigger
from meisa_cdc.sandbox.options import (
    DEFAULT_API_KEY,
    DEFAULT_LIMITS,
    SCOPES,
    ApiKey,
    SandboxOptions,
    Window,
    parse_duration,
    parse_limits,
)
from meisa_cdc.sandbox.server import SandboxServer, serve

__all__ = [
    "DEFAULT_API_KEY",
    "DEFAULT_LIMITS",
    "SCOPES",
    "Account",
    "ApiKey",
    "Fault",
    "FaultKind",
    "OptionError",
    "Overview",
    "RequestRecord",
    "SandboxError",
    "SandboxOptions",
    "SandboxServer",
    "Trigger",
    "Window",
    "parse_duration",
    "parse_limits",
    "serve",
]
