"""What every endpoint declares: where it is, what it needs, what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from meisa_cdc.sandbox.exchange import Reply
from meisa_cdc.sandbox.fields import Field
from meisa_cdc.sandbox.options import ApiKey
from meisa_cdc.sandbox.records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that passed every check."""

    #: when it takes effect, epoch seconds
    now: float
    #: the key it came with
    key: ApiKey
    #: the body's fields, checked; empty where the endpoint takes no body
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One documented method and path."""

    #: upper case
    method: str
    #: below the base URL, with its slashes
    path: str
    #: the permission a key needs; None if any valid key will do
    scope: str | None
    #: what the body may carry; None if there is no body
    fields: tuple[Field, ...] | None = None
    #: carries the request out; raises Refusal before anything took effect
    respond: Callable[[Records, Call], Reply]
