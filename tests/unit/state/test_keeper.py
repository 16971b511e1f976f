"""Keeping a lease from a thread of its own."""

import threading

from meisa_cdc.core.errors import LeaseLost, StateUnavailable
from meisa_cdc.state import Lease, LeaseKeeper


class Troubled(Lease):
    """A lease whose renewals fail as they are told to, one after the other."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.renewed = threading.Semaphore(0)
        self.released = 0

    def acquire(self) -> None:
        """Take it."""

    def renew(self) -> None:
        """Fail with the next failure; succeed once there is none left."""
        self.renewed.release()
        if self.failures:
            raise self.failures.pop(0)

    def release(self) -> None:
        """Give it back; the storage may refuse."""
        self.released += 1
        raise StateUnavailable("disk full")


def test_a_renewal_that_fails_is_tried_again():
    """A state that cannot be written for a while costs nothing, at the end neither."""
    lease = Troubled(StateUnavailable("disk full"), StateUnavailable("disk full"))
    with LeaseKeeper(lease, every=0.001) as keeper:
        for _ in range(4):
            assert lease.renewed.acquire(timeout=30)
        assert keeper.lost is None
    assert lease.released == 1


def test_a_lost_lease_is_told_and_not_given_back():
    """What is another's is neither renewed nor released."""
    lease = Troubled(LeaseLost("taken over"))
    with LeaseKeeper(lease, every=0.001) as keeper:
        keeper.join(30)
        assert str(keeper.lost) == "taken over"
    assert lease.released == 0
    assert lease.failures == []
