"""What every endpoint declares: where it is, what it needs, what it answers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meisa_cdc.sandbox.exchange import Reply
from meisa_cdc.sandbox.fields import Body, Field, Schema
from meisa_cdc.sandbox.options import ApiKey
from meisa_cdc.sandbox.records import Records

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that passed every check."""

    #: when it takes effect, epoch seconds
    now: float
    #: the key it came with
    key: ApiKey
    #: the body's fields, checked; empty where the endpoint takes no body
    fields: Mapping[str, Any]
    #: the query's parameters, checked
    query: Mapping[str, str] = field(default_factory=dict)
    #: what stands in the path's places, by their names
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way in which an endpoint answers."""

    #: when it does, for the description
    meaning: str
    #: of the body; None: an error, as all errors are
    schema: Schema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One documented method and path."""

    #: upper case
    method: str
    #: below the base URL, with its slashes; `{id}` stands for one segment
    path: str
    #: what it does, for the description
    summary: str
    #: the permission a key needs; None if any valid key will do
    scope: str | None
    #: what the body may carry; None if there is no body
    body: Body | None = None
    #: what the query may carry
    query: tuple[Field, ...] = ()
    #: by status; the errors that any request can meet are left out
    answers: Mapping[int, Answer]
    #: carries the request out; raises Refusal before anything took effect
    respond: Callable[[Records, Call], Reply]

    @property
    def places(self) -> list[str]:
        """Names of the segments that the path leaves open."""
        return _PLACEHOLDER.findall(self.path)

    def match(self, path: str) -> Mapping[str, str] | None:
        """What stands in the open segments of a path below the base URL; None if it differs."""
        pattern = _PLACEHOLDER.sub(r"(?P<\1>[^/]+)", self.path)
        found = re.fullmatch(pattern, path)
        return None if found is None else found.groupdict()
