"""Push overhead: our deliveries a second over those of a bare loop of requests."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median
from typing import Any

import httpx

from benchmarks.answering import answering
from benchmarks.measures import Measure
from meisa_cdc.core.budget import parse_windows, windows_of
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import request_for
from meisa_cdc.core.outcome import Kind
from meisa_cdc.core.values import Value
from meisa_cdc.meisa import HttpMeisa
from meisa_cdc.ports import State
from meisa_cdc.records import Settled
from meisa_cdc.settings import load_settings
from meisa_cdc.state import open_state
from meisa_cdc.wiring import Wiring
from meisa_cdc.wiring.system import SystemClock

THREADS = 8
ROUNDS = 5
KEY = "meisa_test_benchmark"
#: Out of the way: no request ever waits for them.
LIMITS = "1000000/1s"
#: Seconds the server takes for an answer -> contacts a round.
INSTANT, REALISTIC = 0.0, 0.02
CONTACTS = 2000
GOAL = 0.8


def measure(folder: Path) -> list[Measure]:
    """Return the ratio with a server that takes 20 ms an answer, beside one that takes none."""
    realistic = ratio(folder / "realistic", REALISTIC)
    instant = ratio(folder / "instant", INSTANT)
    return [
        Measure(
            name="push-overhead",
            value=realistic,
            goal=GOAL,
            at_least=True,
            digits=2,
            beside=f"server at {REALISTIC * 1000:.0f} ms; one that answers at once: {instant:.2f}",
        )
    ]


def ratio(folder: Path, latency: float) -> float:
    """Return the median ratio of rounds in which each was measured after the other."""
    folder.mkdir()
    crowd = [contact(number) for number in range(CONTACTS)]
    bodies = [dict(request_for(each).body) for each in crowd]
    ratios = []
    with answering(latency) as url:
        for number in range(ROUNDS):
            ours = pushed(url, crowd, folder / f"{number}.db")
            bare = sent(url, bodies)
            ratios.append(ours / bare)
    return median(ratios)


def contact(number: int) -> Contact:
    """Return a contact that Meisa does not know yet."""
    fields: dict[str, Value] = {
        "email": f"user{number}@example.com",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "country": "GB",
        "custom_fields.plan": "pro",
        "custom_fields.seats": number % 40,
        "custom_fields.signed_up_at": "2024-05-01T12:00:00Z",
    }
    return Contact(external_id=f"u{number:07}", pending=fields, rank=1, since=1.0)


def pushed(url: str, crowd: Sequence[Contact], file: Path) -> float:
    """Return the deliveries a second of our push, from a SQLite state that holds this backlog."""
    clock = SystemClock()
    environ = {
        "MEISA_API_KEY": KEY,
        "MEISA_BASE_URL": url,
        "MEISA_CDC_APP_DATABASE__URL": f"sqlite:///{file.with_suffix('.app')}",
        "MEISA_CDC_MEISA__CONCURRENCY": str(THREADS),
    }
    wiring = Wiring(settings=load_settings(environ=environ, cwd=file.parent), clock=clock)
    with (
        open_state(f"sqlite:///{file}", clock=clock) as state,
        HttpMeisa(url, KEY, timeout=30.0, monotonic=time.monotonic, now=time.time) as meisa,
    ):
        state.lease("benchmark").acquire()
        fill(state, crowd)
        push = wiring.push(state, meisa, windows_of(parse_windows(LIMITS), 0.0))
        begun = time.perf_counter()
        while (wait := push.step()) is not None:
            push.rest(wait)
        seconds = time.perf_counter() - begun
    assert (
        sum(push.deliveries.outcomes.values())
        == push.deliveries.outcomes[Kind.ACCEPTED]
        == len(crowd)
    ), push.deliveries.outcomes
    return len(crowd) / seconds


def fill(state: State, crowd: Sequence[Contact]) -> None:
    """Store contacts as a pass does."""
    by_key = {each.external_id: each for each in crowd}
    state.settle(list(by_key), lambda key, _: Settled(contact=by_key[key]), now=1.0)


def sent(url: str, bodies: Sequence[dict[str, Any]]) -> float:
    """Return the requests a second of threads that do nothing but send, and read the answers."""
    waiting: SimpleQueue[dict[str, Any]] = SimpleQueue()
    for body in bodies:
        waiting.put(body)
    headers = {"X-API-Key": KEY}
    with httpx.Client(base_url=url, headers=headers, timeout=30.0, trust_env=False) as client:

        def send_all() -> int:
            count = 0
            while True:
                try:
                    body = waiting.get_nowait()
                except Empty:
                    return count
                client.post("/contacts/upsert/", json=body).raise_for_status().json()
                count += 1

        begun = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            counts = [pool.submit(send_all) for _ in range(THREADS)]
        seconds = time.perf_counter() - begun
    assert sum(each.result() for each in counts) == len(bodies)
    return len(bodies) / seconds
