"""What a mapping's rows add up to now: how much is asked for."""

import pytest

from meisa_cdc.core.checksums import Buckets, Checksums, Within, coarser, gathered
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.sync.sums import MOST_LISTED, Sums, sums_now
from tests.unit.sync.worlds import PLAN, Tables

BITS = 8


class Told(Tables):
    """A database that says what its rows add up to, and has none."""

    def __init__(self, buckets: Buckets) -> None:
        super().__init__()
        self.now = buckets

    def checksums(self, mapping: Mapping, bits: int, within: Within | None = None) -> Buckets:
        """Return what was told, of all buckets."""
        return coarser(self.now, bits)

    def listed(
        self, mapping: Mapping, bits: int, within: Within
    ) -> tuple[Buckets, dict[int, list[object]]]:
        """Return a key a bucket."""
        inside = set(within.of(bits))
        return self.now, {bucket: [str(bucket)] for bucket in inside if self.now.counts[bucket]}


@pytest.mark.parametrize("rows", [1, MOST_LISTED, MOST_LISTED + 1])
def test_keys_are_listed_of_a_bounded_number_of_rows(rows: int):
    """They are held in memory."""
    before = Checksums(scheme="", buckets=gathered(BITS, [(1, rows, 5), (2, 7, 5)]), full_at=0.0)
    now = gathered(BITS, [(1, rows, 6), (2, 7, 5)])
    keys = {1: ["1"]} if rows <= MOST_LISTED else {}
    assert sums_now(Told(now), Mapping(name=PLAN, text="", digest=""), before) == Sums(
        buckets=now, keys=keys
    )
