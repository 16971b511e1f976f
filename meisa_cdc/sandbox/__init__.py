"""A local Meisa, built from its API documents and from nothing else of this package.

It imports nothing of ours outside this folder, so that an error in the client cannot hide in it.
"""

from meisa_cdc.sandbox.account import Account
from meisa_cdc.sandbox.automations.file import (
    EXAMPLES,
    Configured,
    load_automations,
    read_configured,
)
from meisa_cdc.sandbox.configured import EmailTrigger, Sequence
from meisa_cdc.sandbox.durations import parse_duration
from meisa_cdc.sandbox.errors import OptionError, SandboxError, StateError
from meisa_cdc.sandbox.faults import Fault, FaultKind
from meisa_cdc.sandbox.journal import RequestRecord
from meisa_cdc.sandbox.options import (
    DEFAULT_API_KEY,
    DEFAULT_LIMITS,
    SCOPES,
    ApiKey,
    SandboxOptions,
    Window,
    parse_limits,
)
from meisa_cdc.sandbox.overview import Overview
from meisa_cdc.sandbox.runs import AutomationRun
from meisa_cdc.sandbox.server import SandboxServer, serve
from meisa_cdc.sandbox.triggers import Trigger

__all__ = [
    "DEFAULT_API_KEY",
    "DEFAULT_LIMITS",
    "EXAMPLES",
    "SCOPES",
    "Account",
    "ApiKey",
    "AutomationRun",
    "Configured",
    "EmailTrigger",
    "Fault",
    "FaultKind",
    "OptionError",
    "Overview",
    "RequestRecord",
    "SandboxError",
    "SandboxOptions",
    "SandboxServer",
    "Sequence",
    "StateError",
    "Trigger",
    "Window",
    "load_automations",
    "parse_duration",
    "parse_limits",
    "read_configured",
    "serve",
]
