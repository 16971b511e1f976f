"""What can go wrong in the sandbox.

SandboxError            root
├── OptionError         the sandbox was told something it cannot do: tell the user, no traceback
├── StateError          the state file cannot be written: requests are answered 500 until it can
└── Refusal             a request that the API answers with an error: sent to the client as JSON
"""

from collections.abc import Mapping


class SandboxError(Exception):
    """Root of the sandbox's own errors; it shares none with the rest of the package."""


class OptionError(SandboxError, ValueError):
    """An option, fault or admin request that makes no sense; the text says which and what to do."""


class StateError(SandboxError):
    """What just happened is in memory alone; it is written with the next request that can be."""


class Refusal(SandboxError):
    """The error answer to one API request; nothing of that request took effect."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.facts = facts

    def document(self) -> dict[str, object]:
        """The JSON body: `message`, and what a program may want to read (`field`, …)."""
        return {"message": str(self), **self.facts}
