"""Random data, changes and mappings on a real Postgres: no affected contact is missed."""

import psycopg
import pytest

from tests.soundness.grammar import Grammar
from tests.soundness.running import Soundness, usable
from tests.soundness.shapes import SHAPES

#: Mappings from the grammar.
INVENTED = 80


def test_no_key_is_missed(postgres_url: str):
    """By mappings written by hand, each of a shape of its own."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        tally = Soundness(connection, SHAPES, seed=2).run(4_000)
    assert tally.telling > 1_500


@pytest.mark.parametrize("seed", [1])
def test_no_key_is_missed_by_invented_mappings(postgres_url: str, seed: int):
    """By mappings that nobody would write."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        mappings = usable(connection, Grammar(seed), INVENTED)
        tally = Soundness(connection, mappings, seed).run(1_000)
    assert tally.telling > 150
