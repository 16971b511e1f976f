"""Misbehaviour on demand: which requests go wrong, and how."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

import orjson

from meisa_cdc.sandbox.errors import OptionError
from meisa_cdc.sandbox.exchange import JSON_HEADERS, Reply
from meisa_cdc.sandbox.options import check_fail_share, check_latency

FaultKind = Literal[
    "answer",  # the status, headers and body given here, in place of the true answer
    "alter",  # the true answer with `changes` laid over it
    "wrong_contact",  # the true answer, but about another contact
    "truncate",  # the first half of the true body, as a complete HTTP answer
    "cut",  # the connection ends in the middle of the true body
    "drip",  # the true answer, a byte every `seconds`
    "hang_up",  # the true answer, then the connection is closed without notice
    "huge",  # an endless-looking JSON string of `size` bytes
    "gzip_bomb",  # the same, compressed
    "reset",  # the connection is reset before an answer
    "hang",  # no answer for `seconds`, then the connection is reset
    "late",  # the connection is reset; the request waits for Account.apply_late()
]

#: Kinds that spoil the true answer, so that the request always takes effect.
_SPOIL = frozenset({"alter", "wrong_contact", "truncate", "cut", "drip", "hang_up"})

#: Kinds that end without an answer.
_SILENT = frozenset({"reset", "hang", "late"})

#: Of the requests that fail by chance, how many take effect all the same: a client cannot know.
_APPLIED_SHARE = 0.5

_STATUSES = range(200, 600)

_STRANGER = {
    "id": "00000000-0000-4000-8000-000000000000",
    "external_id": "somebody-else",
    "email": "somebody.else@example.com",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way in which a request goes wrong."""

    #: what happens
    kind: FaultKind
    #: whether the request takes effect all the same; it does anyway where the true answer is
    #: needed to spoil it, and `late` decides for itself
    apply: bool = False
    #: status in place of the true one; of `answer` 500 if not given
    status: int | None = None
    #: text of `answer`
    body: str = '{"message": "The sandbox was told to fail."}'
    #: headers added to the answer, or replaced in it
    headers: Mapping[str, str] = field(default_factory=dict)
    #: of `alter`: fields laid over the true answer
    changes: Mapping[str, object] = field(default_factory=dict)
    #: of `hang`: how long; of `drip`: between two bytes
    seconds: float = 1.0
    #: of `huge` and `gzip_bomb`: bytes, uncompressed
    size: int = 200 * 1024 * 1024
    #: strikes requests with this external_id only
    external_id: str | None = None
    #: strikes requests to this path only, as in the documents: `/contacts/upsert/`
    path: str | None = None
    #: how many requests it strikes
    times: int = 1

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise OptionError(
                f"fault: kind {self.kind!r} is not one of {', '.join(get_args(FaultKind))}"
            )
        if self.times < 1 or self.size < 1 or not 0 <= self.seconds < math.inf:
            raise OptionError("fault: times and size must be above 0, seconds not below 0")
        if self.status is not None and self.status not in _STATUSES:
            raise OptionError(f"fault: status {self.status} is not between 200 and 599")
        if not all(isinstance(value, str) for value in self.headers.values()):
            raise OptionError("fault: headers must be strings")

    @property
    def applies(self) -> bool:
        """Whether the request takes effect before its answer goes wrong."""
        return self.kind in _SPOIL or (self.apply and self.kind != "late")

    @property
    def silent(self) -> bool:
        """Whether no answer is sent."""
        return self.kind in _SILENT

    @property
    def silence(self) -> float:
        """Seconds that pass before anything is seen of it, the latency of all requests aside."""
        return self.seconds if self.kind == "hang" else 0.0

    def strikes(self, path: str, external_id: str | None) -> bool:
        """Whether it is meant for such a request; the path is that below the base URL."""
        return self.path in (None, path) and self.external_id in (None, external_id)


def read_fault(document: object) -> Fault:
    """A fault from JSON with the dataclass's names. Raises OptionError naming what is wrong."""
    if not isinstance(document, dict) or "kind" not in document:
        raise OptionError('fault: write an object with at least a kind, like {"kind": "reset"}')
    known = {item.name: item for item in fields(Fault)}
    for name, value in document.items():
        if name not in known:
            raise OptionError(f"fault: there is no {name!r}; there are {', '.join(known)}")
        if not _fits(value, known[name].type):
            raise OptionError(f"fault: {name} cannot be {value!r}")
    return Fault(**document)


def _fits(value: object, wanted: Any) -> bool:
    accepted: dict[Any, tuple[type, ...]] = {
        FaultKind: (str,),
        bool: (bool,),
        int: (int,),
        float: (int, float),
        str: (str,),
        int | None: (int, type(None)),
        str | None: (str, type(None)),
    }
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, accepted.get(wanted, (dict,)))


class FaultPlan:
    """The faults to come: those asked for one by one first, then the share that fails by chance."""

    def __init__(self, *, fail: float, latency: float, seed: int) -> None:
        self.fail = check_fail_share(fail)
        self.latency = check_latency(latency)
        self._seed = seed
        self._drawn = 0
        self._script: list[Fault] = []

    def configure(self, *, fail: float | None, latency: float | None) -> None:
        """Change either or both; None leaves it. Raises OptionError before anything changed."""
        share = self.fail if fail is None else check_fail_share(fail)
        self.latency = self.latency if latency is None else check_latency(latency)
        self.fail = share

    def add(self, *faults: Fault) -> None:
        """Put faults at the end of the script."""
        self._script.extend(faults)

    def clear(self) -> None:
        """Empty the script."""
        self._script.clear()

    def waiting(self) -> tuple[Fault, ...]:
        """The script, next first."""
        return tuple(self._script)

    def next_for(self, path: str, external_id: str | None) -> Fault | None:
        """The fault that strikes this request, if one does; it is used up by that."""
        for position, fault in enumerate(self._script):
            if fault.strikes(path, external_id):
                rest = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                self._script[position : position + 1] = rest
                return fault
        if self.fail and self._draw() < self.fail:
            return Fault(kind="answer", apply=self._draw() < _APPLIED_SHARE)
        return None

    def _draw(self) -> float:
        self._drawn += 1
        digest = hashlib.blake2b(f"{self._seed}:{self._drawn}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64


def spoil(fault: Fault, true: Reply | None) -> Reply:
    """The reply as the fault leaves it; what happens to the connection is not decided here.

    `true` is the answer of the request that took effect, None if it did not.
    """
    if true is None or fault.kind == "answer":
        body = b"" if fault.kind in ("huge", "gzip_bomb") else fault.body.encode()
        status = fault.status or (500 if fault.kind == "answer" else 200)
        return Reply(status=status, body=body, headers={**JSON_HEADERS, **_lower(fault.headers)})
    body = true.body
    if fault.kind == "truncate":
        body = body[: len(body) // 2]
    changes = _STRANGER if fault.kind == "wrong_contact" else fault.changes
    document = true.document()
    if changes and isinstance(document, dict):
        body = orjson.dumps(document | dict(changes))
    return Reply(
        status=fault.status or true.status,
        body=body,
        headers={**true.headers, **_lower(fault.headers)},
    )


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
