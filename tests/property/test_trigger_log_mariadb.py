"""Random changes on a real MariaDB, followed by what triggers tell: no contact is missed."""

import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import make_url

from tests.integration.test_trigger_log_mariadb import connected
from tests.soundness.logged import Follower
from tests.soundness.servers import Histories


class Place:
    """A database that is followed, with writers."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url = make_url(url)
        self.owner = stack.enter_context(connected(self.url))
        self.writers = [stack.enter_context(connected(self.url, autocommit=False)) for _ in "abc"]
        for writer in self.writers:
            with writer.cursor() as cursor:
                cursor.execute("set innodb_lock_wait_timeout = 0")
        histories = Histories(self.url, self.owner, 1)
        histories.create()
        self.mappings = histories.mappings(60)
        self.follower = histories.follow(self.mappings)

    def run(self, seed: int, passes: int, some: int) -> Histories:
        """Follow some of the mappings for some passes."""
        histories = Histories(self.url, self.owner, seed)
        chosen = random.Random(seed).sample(self.mappings, min(some, len(self.mappings)))
        follower = Follower(self.follower.database, chosen)
        follower.look()
        histories.run(follower, self.writers, passes)
        return histories


@pytest.fixture
def place(mariadb_url: str) -> Iterator[Place]:
    """Yield a database whose log is set up for many mappings."""
    with ExitStack() as stack:
        yield Place(mariadb_url, stack)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_whoever_differs_is_told(place: Place, seed: int):
    """After any changes, undone or not, by transactions that end in any order."""
    place.run(seed, 6, 12)


def test_known_histories(place: Place):
    """The same each time, so that a rule that is broken is found; and most is told."""
    told = all_ = 0
    for seed in range(6):
        seen = place.run(seed, 8, 30).seen
        told, all_ = told + seen["told"], all_ + seen.total()
    assert told > all_ / 4
