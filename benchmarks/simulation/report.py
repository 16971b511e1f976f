"""Runs the scenarios, and says what they show: a table, and figures with goals."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from benchmarks.measures import Measure
from benchmarks.simulation.scenarios import (
    BUSY,
    DESIGN,
    FIFO,
    OVERLOAD,
    RESERVE,
    Figures,
    Scenario,
    simulate,
)
from benchmarks.simulation.servers import ALL, MODELS
from meisa_cdc.core.durations import spoken

FLOOD = "10 × overload"
#: Calls an hour of another client: as many as the reserve leaves, and far more.
POLITE, GREEDY = 100.0, 500.0
#: What is reserved for the second kind once it is known.
ENOUGH = 0.6
PERCENT = 100.0
HEADINGS = (
    "scenario", "server", "sender", "429", "others refused", "requests a change", "budget used",
    "urgent 50 % / 99 %", "normal 50 % / 99 %", "background 50 % / 99 % / longest", "its share",
)  # fmt: skip

Runs = Mapping[Scenario, Figures]


def scenarios(*, days: float, days_shared: float) -> list[Scenario]:
    """Return what is run: so many days of overload, and so many of a shared key."""
    own = Scenario(name=FLOOD, sender=DESIGN, model=ALL, rates=OVERLOAD, days=days, reserve=RESERVE)
    naive = replace(own, sender=FIFO, reserve=0.0)
    runs = [own, *(replace(naive, model=model) for model in MODELS)]
    for sender, others, reserve, models in (
        (DESIGN, POLITE, RESERVE, [ALL]),
        (FIFO, POLITE, 0.0, MODELS),
        (DESIGN, GREEDY, RESERVE, MODELS),
        (DESIGN, GREEDY, ENOUGH, [ALL]),
        (FIFO, GREEDY, 0.0, MODELS),
    ):
        shared = replace(
            own,
            name=f"others: {others:.0f}/h, reserve {reserve * PERCENT:.0f} %",
            sender=sender,
            rates=BUSY,
            days=days_shared,
            reserve=reserve,
            others=others,
        )
        runs += [replace(shared, model=model) for model in models]
    return runs


def run(*, days: float = 7.0, days_shared: float = 1.0) -> dict[Scenario, Figures]:
    """Run all of them, as many at once as there are processors."""
    wanted = scenarios(days=days, days_shared=days_shared)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        return dict(zip(wanted, pool.map(simulate, wanted), strict=True))


def measures(runs: Runs) -> list[Measure]:
    """Return the figures that have goals: the worst of all servers each."""
    flood = _of(runs, 0.0, RESERVE)
    polite, greedy = _of(runs, POLITE, RESERVE), _of(runs, GREEDY, RESERVE)
    enough = _of(runs, GREEDY, ENOUGH)
    late = spoken(max(each.waits[0][1] for each in _of(runs, 0.0, 0.0, FIFO)))
    more = max(each.requests_per_change for each in _of(runs, 0.0, 0.0, FIFO))
    return [
        Measure(
            name="freshness",
            value=max(each.waits[0][1] for each in flood),
            unit="s",
            goal=120,
            beside=f"{FIFO}: {late}",
        ),
        Measure(
            name="requests-per-change",
            value=max(each.requests_per_change for each in flood),
            goal=1.01,
            digits=3,
            beside=f"{FIFO}: {more:.2f}",
        ),
        Measure(
            name="budget-use",
            value=min(each.budget_use for each in flood),
            goal=0.94,
            at_least=True,
            digits=3,
        ),
        Measure(name="too-many-requests", value=sum(each.too_many for each in flood), goal=0),
        Measure(
            name="background-share",
            value=min(each.background for each in flood),
            goal=0.1,
            at_least=True,
            digits=3,
        ),
        _refused("others-within-reserve", polite, 1),
        _refused("others-beyond-reserve", greedy, 10),
        _refused("others-at-reserve-60", enough, 1),
        Measure(
            name="suggested-reserve",
            value=min(each.suggested for each in greedy),
            goal=0.5,
            at_least=True,
            digits=2,
        ),
    ]


def table(runs: Runs) -> Iterator[str]:
    """Yield the lines of a table, a run each."""
    rows = [HEADINGS, *(_row(scenario, figures) for scenario, figures in runs.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _of(runs: Runs, others: float, reserve: float, sender: str = DESIGN) -> list[Figures]:
    return [
        figures
        for scenario, figures in runs.items()
        if (scenario.others, scenario.reserve, scenario.sender) == (others, reserve, sender)
    ]


def _refused(name: str, runs: list[Figures], goal: float) -> Measure:
    value = PERCENT * max(each.others_refused for each in runs)
    return Measure(name=name, value=value, unit="%", goal=goal, digits=2)


def _row(scenario: Scenario, figures: Figures) -> tuple[str, ...]:
    urgent, normal, background = (
        [spoken(seconds) for seconds in spread] for spread in figures.waits
    )
    return (
        scenario.name,
        scenario.model,
        scenario.sender,
        str(figures.too_many),
        f"{figures.others_refused * PERCENT:.2f} %" if scenario.others else "–",
        f"{figures.requests_per_change:.3f}",
        f"{figures.budget_use:.3f}",
        " / ".join(urgent[:2]),
        " / ".join(normal[:2]),
        " / ".join(background),
        f"{figures.background * PERCENT:.1f} %",
    )
