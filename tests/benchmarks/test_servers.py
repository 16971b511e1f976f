"""The simulated servers count as they say."""

import pytest
from hypothesis import given, strategies as st

from benchmarks.simulation.servers import ALL, MODELS, Server

EVERY = [*MODELS, ALL]


def admitted_at_once(server: Server, at: float) -> int:
    """Return how many requests in a row are admitted at one instant."""
    number = 0
    while server.admit(at) == 0:
        number += 1
    return number


@pytest.mark.parametrize("model", EVERY)
def test_the_smallest_window_binds(model: str):
    """One that is refused by a window counts in none."""
    server = Server(model, ((5, 10.0), (7, 10_000.0)))
    assert admitted_at_once(server, 0.0) == 5
    assert admitted_at_once(server, 20.0) == 2


@pytest.mark.parametrize(
    ("model", "at_once"),
    [("fixed window", 10), ("sliding log", 1), ("sliding counter", 7), ("token bucket", 10)],
)
def test_the_models_differ_across_the_edge_of_a_window(model: str, at_once: int):
    """Nine requests late in one window of ten, and as many as possible late in the next."""
    server = Server(model, ((10, 10.0),))
    for _ in range(9):
        assert server.admit(8.0) == 0
    assert admitted_at_once(server, 17.0) == at_once


@given(
    model=st.sampled_from(EVERY),
    count=st.integers(1, 8),
    gaps=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=40),
)
def test_who_comes_again_when_told_to_is_admitted(model: str, count: int, gaps: list[float]):
    """And a moment earlier is not."""
    server, now = Server(model, ((count, 10.0),)), 1000.0
    for gap in gaps:
        now += gap
        wait = server.admit(now)
        if wait > 0.001:
            assert server.admit(now + wait - 0.001) > 0
            now += wait + 0.001
            assert server.admit(now) == 0
