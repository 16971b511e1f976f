"""One run of the real thing that kills itself at a named step of a delivery.

`python -m tests.crash.driver STEP NUMBER LATER` does what `sync` does, with the settings of its
environment, and is gone (SIGKILL) when it reaches the step for that many times. Its clock is that
many seconds ahead, so that nobody has to wait until the lease of an earlier victim expires.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any, cast

import httpx

from meisa_cdc.core.occurrence import Status
from meisa_cdc.core.outcome import Answer
from meisa_cdc.meisa import HttpMeisa
from meisa_cdc.meisa.connection import Network
from meisa_cdc.meisa.pool import PoolTransport
from meisa_cdc.ports import Meisa, State
from meisa_cdc.settings import Settings, load_settings
from tests.installation.cycle import deliver

#: Where it may end, in the order of a run.
STEPS = (
    "between two batches of a pass",
    "before a read is recorded",
    "after a read is recorded",
    "before the intent",
    "after the intent",
    "half of the request sent",
    "applied, the answer unread",
    "answered, not recorded",
    "recorded",
)


class Reaper:
    """Ends the process when a step is reached for the given time."""

    def __init__(self, step: str, number: int) -> None:
        self._step = step
        self._left = number
        self._lock = Lock()

    def reach(self, step: str) -> None:
        """Die here, if it is the time."""
        if step != self._step:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class MortalState:
    """The state, with the steps of a pass and a delivery around what it stores."""

    def __init__(self, state: State, reaper: Reaper) -> None:
        self._state = state
        self._reach = reaper.reach
        self._settled = 0
        self._admitted = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def grant_deliveries(self, *arguments: Any, **details: Any) -> Any:
        """Store intents."""
        self._reach("before the intent")
        if details["concluded"]:
            self._reach("answered, not recorded")
        grants = self._state.grant_deliveries(*arguments, **details)
        if details["concluded"]:
            self._reach("recorded")
        if grants:
            self._reach("after the intent")
        return grants

    def grant_occurrences(self, *arguments: Any, **details: Any) -> Any:
        """Store the intent of what is done once."""
        self._reach("before the intent")
        granted = self._state.grant_occurrences(*arguments, **details)
        if granted is not None:
            self._reach("after the intent")
        return granted

    def store_occurrences(self, changed: Any, *, before: Status) -> None:
        """Store what came of it."""
        if before is Status.SENT:
            self._reach("answered, not recorded")
        self._state.store_occurrences(changed, before=before)
        if before is Status.SENT:
            self._reach("recorded")

    def admit_occurrences(self, occurrences: Any) -> None:
        """Store a batch of what is to be done once."""
        if self._admitted:
            self._reach("between two batches of a pass")
        self._state.admit_occurrences(occurrences)
        self._admitted += 1

    def complete(self, *concluded: Any, **details: Any) -> None:
        """Store outcomes."""
        about = any(each.grant.request is not None for each in concluded)
        if about:
            self._reach("answered, not recorded")
        self._state.complete(*concluded, **details)
        if about:
            self._reach("recorded")

    def settle(self, *arguments: Any, **details: Any) -> None:
        """Store a batch of contacts."""
        if self._settled:
            self._reach("between two batches of a pass")
        self._state.settle(*arguments, **details)
        self._settled += 1

    def record_read(self, *arguments: Any, **details: Any) -> None:
        """Store that a mapping was read."""
        self._reach("before a read is recorded")
        self._state.record_read(*arguments, **details)
        self._reach("after a read is recorded")


@dataclass(frozen=True, slots=True)
class MortalMeisa:
    """The client, which tells the sockets when a delivery is under way."""

    client: HttpMeisa
    under_way: Event

    def ping(self) -> Any:
        """Ask about the key."""
        return self.client.ping()

    def upsert(self, body: Mapping[str, Any]) -> Answer:
        """Send one contact."""
        return self._watched(self.client.upsert, body)

    def track_event(self, body: Mapping[str, Any]) -> Answer:
        """Record one event."""
        return self._watched(self.client.track_event, body)

    def trigger_email(self, body: Mapping[str, Any]) -> Answer:
        """Send one e-mail."""
        return self._watched(self.client.trigger_email, body)

    def bulk_enroll(self, body: Mapping[str, Any]) -> Answer:
        """Enrol addresses."""
        return self._watched(self.client.bulk_enroll, body)

    def _watched(
        self, call: Callable[[Mapping[str, Any]], Answer], body: Mapping[str, Any]
    ) -> Answer:
        self.under_way.set()
        answer = call(body)
        self.under_way.clear()
        return answer


class MortalSocket(socket.socket):
    """A connection, with the steps of an upsert between its bytes."""

    reaper: Reaper
    under_way: Event

    def send(self, *arguments: Any) -> int:
        """Send some bytes; the head of a request and its body are two calls."""
        sent = super().send(*arguments)
        if self.under_way.is_set() and bytes(arguments[0][:4]) == b"POST":
            self.reaper.reach("half of the request sent")
        return sent

    def recv(self, *arguments: Any) -> bytes:
        """Receive some bytes once there are any."""
        if self.under_way.is_set():
            select.select([self], [], [], 10.0)
            self.reaper.reach("applied, the answer unread")
        return super().recv(*arguments)


def mortal_meisa(settings: Settings, reaper: Reaper) -> MortalMeisa:
    """Return a client whose connections can end the process."""
    under_way = Event()

    class Socket(MortalSocket):
        pass

    Socket.reaper, Socket.under_way = reaper, under_way
    transport = PoolTransport(
        tls=httpx.create_ssl_context(trust_env=False), network=Network(new_socket=Socket)
    )
    client = HttpMeisa(
        settings.meisa.base_url,
        settings.require_api_key,
        timeout=settings.meisa.timeout,
        monotonic=time.monotonic,
        now=time.time,
        transport=transport,
    )
    return MortalMeisa(client, under_way)


def drive(settings: Settings, reaper: Reaper, *, later: float) -> None:
    """Deliver, with the reaper at every step."""
    deliver(
        settings,
        later=later,
        around_state=lambda state: cast("State", MortalState(state, reaper)),
        around_meisa=lambda _: cast("Meisa", mortal_meisa(settings, reaper)),
    )


if __name__ == "__main__":
    drive(
        load_settings(environ=os.environ, cwd=Path.cwd()),
        Reaper(sys.argv[1], int(sys.argv[2])),
        later=float(sys.argv[3]),
    )
