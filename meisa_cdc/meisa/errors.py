"""What can go wrong with a call to Meisa, grouped by what to do next.

MeisaError
├── TryLater         nothing was done; the same call may succeed after `retry_after` seconds
├── FixRequest       nothing was done; the same call will fail again until it is changed
│   ├── NotFound       what it names does not exist: contact, tag or sequence
│   └── Unprocessable  understood and refused: the recipient unsubscribed, or no sender is set up
├── FixKey           nothing was done; the key is wrong, revoked or lacks a scope
├── FixAddress       nothing was done; the base URL, the proxy or the TLS settings are wrong
└── MaybeDone        nobody knows whether it was done; `repeatable` tells if repeating is harmless
"""

from meisa_cdc.core.errors import MeisaCdcError


class MeisaError(MeisaCdcError):
    """A call that did not succeed.

    `message` says what happened, `hint` what to do. `status` is the HTTP status, 0 where none
    arrived. `retry_after` is in seconds; None where Meisa named no time.
    """

    #: Whether it is certain that Meisa did nothing.
    nothing_done = True

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after


class TryLater(MeisaError):
    """Nothing was done: over the request limit, no connection, or a read without an answer."""


class FixRequest(MeisaError):
    """Nothing was done, and nothing will be until the call itself is changed."""


class NotFound(FixRequest):
    """What the call names does not exist: contact, tag or sequence."""


class Unprocessable(FixRequest):
    """Meisa understood and refused: the recipient unsubscribed, or no sender is configured."""


class FixKey(MeisaError):
    """Nothing was done: the API key is wrong, was revoked or lacks a scope."""


class FixAddress(MeisaError):
    """Nothing was done: the base URL, the proxy or the TLS settings do not lead to Meisa."""


class MaybeDone(MeisaError):
    """The request left, and no certain answer came back: it may have been done."""

    nothing_done = False

    def __init__(
        self,
        message: str,
        *,
        repeatable: bool,
        hint: str = "",
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, status=status, retry_after=retry_after)
        #: Whether the same call may be made again without doing its work twice.
        self.repeatable = repeatable
