"""The main claims about freshness and the budget, on a day instead of a week.

Nothing here measures time: the clock is set by hand, and equal seeds yield equal figures.
"""

from dataclasses import replace
from functools import cache

import pytest

from benchmarks.simulation.design import Design
from benchmarks.simulation.fifo import Fifo
from benchmarks.simulation.product import Rates, changes
from benchmarks.simulation.report import ENOUGH, GREEDY, POLITE, measures, scenarios, table
from benchmarks.simulation.scenarios import (
    BUSY,
    DESIGN,
    FIFO,
    OVERLOAD,
    Figures,
    Scenario,
    simulate,
)
from benchmarks.simulation.servers import ALL, LIMITS, MODELS, Server
from benchmarks.simulation.world import World
from meisa_cdc.core.budget import windows_of

FLOOD = Scenario(name="overload", sender=DESIGN, model=ALL, rates=OVERLOAD, days=1.0)
SHARED = Scenario(name="shared", sender=DESIGN, model=ALL, rates=BUSY, days=1.0)
QUIET = Rates(signups=20, upgrades=100, usage=100, logins=150)

#: Millions of calls, traced line by line, would take minutes; what they drive is tested elsewhere.
pytestmark = pytest.mark.no_cover

once = cache(simulate)


def test_no_server_refuses_us_while_the_key_is_ours():
    """At ten times overload and with slow answers, however the server counts."""
    assert once(FLOOD).too_many == 0


def test_urgent_changes_are_fresh_at_ten_times_overload():
    """They take half of all requests, and a hundred thousand contacts wait behind them."""
    figures, naive = once(FLOOD), once(replace(FLOOD, sender=FIFO, model="sliding log"))
    assert figures.urgent >= 0.5
    assert figures.waits[0][1] <= 120.0
    assert naive.waits[0][1] >= 20 * 3600.0


def test_the_background_goes_on_at_ten_times_overload():
    """It gets a tenth of the requests, whatever else there is."""
    assert once(FLOOD).background >= 0.1


def test_a_change_costs_one_request():
    """Lost answers and what is sent again because of them included."""
    assert 1.0 <= once(FLOOD).requests_per_change <= 1.01


def test_the_budget_is_used():
    """Of what the windows less the reserve allow."""
    assert 0.94 <= once(FLOOD).budget_use <= 1.0


def test_others_within_the_reserve_are_not_refused():
    """A hundred calls an hour are what a tenth of the windows leaves."""
    figures = once(replace(SHARED, others=POLITE))
    assert figures.others_refused <= 0.01
    assert figures.budget_use >= 0.94


@pytest.mark.parametrize(
    ("model", "says_when"), [*((model, True) for model in MODELS), ("fixed window", False)]
)
def test_others_beyond_the_reserve_are_seldom_refused(model: str, says_when: bool):
    """Half of the windows are theirs: we find out, take less, and say what reserve is right."""
    figures = once(replace(SHARED, model=model, others=GREEDY, says_when=says_when))
    assert figures.others_refused <= 0.1
    assert 0.5 <= figures.suggested <= 0.7
    # What is left is used all the same: half of the windows, of which a tenth was reserved.
    assert figures.budget_use >= 0.8 * 0.5 / 0.9


def test_others_with_the_right_reserve_are_not_refused():
    """And nobody has to find anything out."""
    figures = once(replace(SHARED, others=GREEDY, reserve=ENOUGH))
    assert figures.others_refused <= 0.01
    assert figures.too_many == 0


@pytest.mark.parametrize("model", MODELS)
def test_the_naive_sender_leaves_others_nothing(model: str):
    """So the figures above are no matter of course."""
    assert once(replace(SHARED, model=model, sender=FIFO, others=POLITE)).others_refused >= 0.5


@pytest.mark.parametrize("sender", [Design, Fifo])
def test_in_the_end_meisa_holds_what_the_app_wants(sender: type[Design] | type[Fifo]):
    """The simulation loses no change: after a quiet day only the newest are under way."""
    made = changes(QUIET, days=0.5, backlog=500, seed=3)
    world = World(made, Server("sliding log"), seed=4)
    tally = world.run(Design(world, windows_of(LIMITS, 0.1)) if sender is Design else Fifo(world))
    differing = sum(held != wanted for held, wanted in zip(world.held, world.wanted, strict=True))
    assert differing <= 10
    assert tally.needed > 4000


def test_the_report_has_a_row_a_run_and_meets_its_goals():
    """Every goal is judged by the runs it is about."""
    figures = Figures(
        too_many=0,
        others_refused=0.005,
        requests_per_change=1.0,
        budget_use=0.95,
        background=0.1,
        urgent=0.5,
        waits=[(5.0, 66.0, 119.0)] * 3,
        suggested=0.6,
    )
    runs = dict.fromkeys(scenarios(days=7, days_shared=1), figures)
    assert len(list(table(runs))) == len(runs) + 1
    assert all(measure.met for measure in measures(runs))
    late = replace(figures, waits=[(5.0, 300.0, 400.0)] * 3)
    missed = [each.name for each in measures(dict.fromkeys(runs, late)) if not each.met]
    assert missed == ["freshness"]
