"""What a sandbox can be told when it starts, and the texts that say it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from meisa_cdc.sandbox.automations.rules import Automation, Enroll, Unenroll
from meisa_cdc.sandbox.configured import (
    DEFAULT_EMAIL_TRIGGERS,
    DEFAULT_SEQUENCES,
    EmailTrigger,
    Sequence,
)
from meisa_cdc.sandbox.durations import parse_duration
from meisa_cdc.sandbox.errors import OptionError

WindowKind = Literal["fixed", "sliding"]

#: Every permission the API documents name; `tags:write` exists there and grants nothing.
SCOPES = (
    "contacts:read",
    "contacts:write",
    "events:track",
    "sequences:read",
    "sequences:enroll",
    "emails:trigger",
    "tags:write",
)

#: The key a sandbox accepts unless told otherwise.
DEFAULT_API_KEY = "meisa_test_sandbox"

#: The limits the API documents give for a key.
DEFAULT_LIMITS = "60/60s,1000/3600s"

_SHORTEST = 0.001
_WINDOW = re.compile(r"([0-9]{1,9})/(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A request limit: so many requests in so much time."""

    #: requests admitted in one period, at least 1
    count: int
    #: seconds, at least a millisecond
    period: float

    def __post_init__(self) -> None:
        if self.count < 1 or self.period < _SHORTEST:
            raise OptionError(f"{self} admits nothing; both figures must be above 0")

    def __str__(self) -> str:
        return f"{self.count}/{self.period:g}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key the sandbox accepts, and what it may do."""

    #: the value of the X-API-Key header
    secret: str = field(default=DEFAULT_API_KEY, repr=False)
    #: what the request log and /ping/ call it
    name: str = "sandbox"
    #: `test` or `live`, as /ping/ reports it
    environment: str = "test"
    #: the permissions it has; the rest are answered 403
    scopes: tuple[str, ...] = SCOPES

    def __post_init__(self) -> None:
        if not self.secret:
            raise OptionError("api-key: a key cannot be empty")
        unknown = sorted(set(self.scopes) - set(SCOPES))
        if unknown:
            raise OptionError(
                f"scopes: Meisa has no scope {unknown[0]!r}; it has {', '.join(SCOPES)}"
            )


def parse_limits(text: str) -> tuple[Window, ...]:
    """The windows in `COUNT/PERIOD,COUNT/PERIOD,…`; `none` means no limit. Raises OptionError."""
    if text.strip() == "none":
        return ()
    return tuple(_parse_window(part.strip()) for part in text.split(","))


def _parse_window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise OptionError(
            f"limits: {text!r} is not COUNT/PERIOD; write it like {DEFAULT_LIMITS}, or none"
        )
    try:
        return Window(count=int(found[1]), period=parse_duration(found[2]))
    except OptionError as error:
        raise OptionError(f"limits: in {text!r}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Everything that can be chosen about a sandbox; the defaults follow the API documents."""

    #: the keys it accepts, each with limits of its own
    keys: tuple[ApiKey, ...] = (ApiKey(),)
    #: request windows of each key, all in force at once; empty means no limit
    limits: tuple[Window, ...] = parse_limits(DEFAULT_LIMITS)
    #: how windows are counted; with both, a request must pass under either way of counting
    kinds: frozenset[WindowKind] = frozenset({"fixed", "sliding"})
    #: whether /ping/ also reports the hour's limit, which the documents leave open
    report_hour: bool = False
    #: id of the Meisa product, as /ping/ reports it
    product_id: str = "sandbox"
    #: name of the Meisa product, as /ping/ reports it
    product_name: str = "Sandbox"
    #: status of an upsert that created a contact, 200 or 201: the documents allow either reading
    created_status: int = 200
    #: share of requests answered 500, from 0 to 1
    fail: float = 0.0
    #: seconds between a request's arrival and its answer
    latency: float = 0.0
    #: start of the pseudo-random sequence behind `fail`
    seed: int = 0
    #: requests, triggers, e-mails and runs of automations remembered at most, each; the oldest
    #: are forgotten first
    log_size: int = 200_000
    #: the automations that react to triggers
    automations: tuple[Automation, ...] = ()
    #: the sequences that contacts can be enrolled in
    sequences: tuple[Sequence, ...] = DEFAULT_SEQUENCES
    #: the e-mails that can be triggered
    email_triggers: tuple[EmailTrigger, ...] = DEFAULT_EMAIL_TRIGGERS
    #: file that keeps the account across restarts; None: memory alone
    state: Path | None = None

    def __post_init__(self) -> None:
        check_fail_share(self.fail)
        check_latency(self.latency)
        if self.created_status not in (200, 201):
            raise OptionError(f"created-status: {self.created_status} is neither 200 nor 201")
        if not self.keys or len({key.secret for key in self.keys}) < len(self.keys):
            raise OptionError("api-key: at least one key is needed, and each only once")
        if not self.kinds or not self.kinds <= {"fixed", "sliding"}:
            raise OptionError("kinds: choose fixed, sliding, or both")
        if self.log_size < 1:
            raise OptionError("log-size: at least one request must be remembered")
        _check_distinct("sequences", [sequence.slug for sequence in self.sequences])
        _check_distinct("email-triggers", [trigger.key for trigger in self.email_triggers])
        self._check_automations()

    def _check_automations(self) -> None:
        known = [sequence.slug for sequence in self.sequences]
        for automation in self.automations:
            for action in automation.actions:
                if isinstance(action, (Enroll, Unenroll)) and action.sequence not in known:
                    raise OptionError(
                        f"automations: {automation.name!r} names the sequence"
                        f" {action.sequence!r}; there are {', '.join(known) or 'none'}"
                    )


def _check_distinct(what: str, names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise OptionError(f"{what}: {name!r} is there twice")
        seen.add(name)


def check_fail_share(share: float) -> float:
    """The share itself, if it is one. Raises OptionError."""
    if not 0 <= share <= 1:
        raise OptionError(f"fail: {share:g} is not a share between 0 and 1, like 0.1")
    return share


def check_latency(seconds: float) -> float:
    """The seconds themselves, if they are a wait. Raises OptionError."""
    if not 0 <= seconds < float("inf"):
        raise OptionError(f"latency: {seconds:g} is not a number of seconds from 0")
    return seconds
