"""What is simulated: who sends what to which server, and who else uses the key."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from benchmarks.simulation.design import Design
from benchmarks.simulation.fifo import Fifo
from benchmarks.simulation.product import START, Changes, Rates, calls, changes
from benchmarks.simulation.servers import LIMITS, Server
from benchmarks.simulation.world import Sender, World
from meisa_cdc.core.budget import windows_of
from meisa_cdc.core.sharing import Throttle, suggested_reserve

RESERVE = 0.1
SEED = 20260112
#: Seconds by which the server's windows lie beside the product's hours.
OFFSET = 1234.5
DESIGN = "meisa-cdc"
FIFO = "first in, first out"
#: Ten times what the windows let through; the urgent changes alone take half of the requests.
OVERLOAD = Rates(signups=150, upgrades=278, usage=1500, logins=8000)
#: What the windows let through, and something beside it.
BUSY = Rates(signups=30, upgrades=40, usage=300, logins=800)
BACKLOG = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run."""

    name: str
    sender: str
    #: One of `servers.MODELS`, or `servers.ALL`.
    model: str
    rates: Rates
    days: float
    backlog: int = BACKLOG
    #: Share of the windows that is left to others, 0..1.
    reserve: float = RESERVE
    #: Calls an hour of another client with the same key.
    others: float = 0.0
    #: Whether an answer 429 says when to come again.
    says_when: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of one run."""

    too_many: int
    #: Part of the other client's calls that were refused, 0..1.
    others_refused: float
    #: Requests sent, over those of an oracle that knows what changes until each is sent.
    requests_per_change: float
    #: Accepted requests over what the tightest window less the reserve allows.
    budget_use: float
    #: Part of the requests that were background, and urgent.
    background: float
    urgent: float
    #: Seconds from a change to its acceptance by class: median, 99th percentile, longest.
    waits: Sequence[tuple[float, float, float]]
    #: What `meisa.reserve` is suggested to be at the end.
    suggested: float


def simulate(scenario: Scenario) -> Figures:
    """Run one scenario; equal ones yield equal figures."""
    made = _changes(scenario.rates, scenario.days, scenario.backlog)
    others = calls(scenario.others, days=scenario.days, seed=SEED + 1)
    server = Server(scenario.model, offset=OFFSET)
    world = World(made, server, calls=others, says_when=scenario.says_when, seed=SEED + 2)
    throttle = Throttle()
    sender: Sender
    if scenario.sender == DESIGN:
        sender = design = Design(world, windows_of(LIMITS, scenario.reserve), seed=SEED + 3)
        tally = world.run(sender)
        throttle = design.usage.throttle
    else:
        sender = Fifo(world)
        tally = world.run(sender)
    allowed = min(count / period for count, period in LIMITS) * (1 - scenario.reserve)
    return Figures(
        too_many=tally.too_many,
        others_refused=tally.refused / tally.calls if tally.calls else 0.0,
        requests_per_change=tally.sent / tally.needed,
        budget_use=tally.accepted / (allowed * (made.end - START)),
        background=tally.grants[2] / tally.sent,
        urgent=tally.grants[0] / tally.sent,
        waits=[_spread(each) for each in tally.waits],
        suggested=suggested_reserve(throttle, scenario.reserve),
    )


@cache
def _changes(rates: Rates, days: float, backlog: int) -> Changes:
    return changes(rates, days=days, backlog=backlog, seed=SEED)


def _spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the longest."""
    if not seconds:
        return 0.0, 0.0, 0.0
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]
