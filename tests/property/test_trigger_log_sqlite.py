"""Random histories of SQLite files, followed by what triggers tell: no contact is missed."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.soundness.files import Histories


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_whoever_differs_is_told(tmp_path: Path, seed: int):
    """Whatever the app does, whatever its settings, and whenever the file is put back."""
    (tmp_path / str(seed)).mkdir(exist_ok=True)
    Histories(tmp_path / str(seed), seed).run(25)


def test_readers_are_told_most_of_the_time(tmp_path: Path):
    """Or else the test above would find nothing."""
    histories = Histories(tmp_path, 1)
    histories.run(60)
    assert histories.seen["told"] > histories.seen.total() / 2


@pytest.mark.parametrize("seed", range(8))
def test_known_histories(tmp_path: Path, seed: int):
    """The same each time, so that a rule that is broken is found."""
    Histories(tmp_path, seed).run(60)
