"""The sockets' side of a request: its deadline, its addresses, its bytes."""

import socket
from typing import Any

import httpcore
import pytest

from meisa_cdc.meisa.connection import Connection, Exchange, Network, under_way

from .conftest import Hands

FAMILY, KIND = socket.AF_INET, socket.SOCK_STREAM


class Line:
    """A socket that connects to some addresses and takes what a script says."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.allowed = 0.0
        self.closed = False

    def settimeout(self, seconds: float) -> None:
        """Note how long the next operation may take."""
        self.allowed = seconds

    def connect(self, address: object) -> None:
        """Use up the time allowed unless somebody is there."""
        self.world.tried.append((address, self.allowed))
        if address not in self.world.there:
            self.world.hands.at += self.allowed
            raise TimeoutError("timed out")

    def setsockopt(self, *_: object) -> None:
        """Take any option."""

    def send(self, data: memoryview) -> int:
        """Take as much as the script says, and then break."""
        if not self.world.takes:
            raise BrokenPipeError(32, "Broken pipe")
        return min(len(data), self.world.takes.pop(0))

    def close(self) -> None:
        """Note it."""
        self.world.closed += 1


class World:
    """A network of lines."""

    def __init__(self, hands: Hands, addresses: list[str], there: list[str]) -> None:
        self.hands = hands
        self.addresses = addresses
        self.there = there
        self.tried: list[tuple[object, float]] = []
        self.takes: list[int] = []
        self.closed = 0

    def network(self) -> Network:
        """Return the code under test over these lines."""

        def new_socket(*_: object) -> Any:
            return Line(self)

        def resolve(*_: object, **__: object) -> list[tuple[Any, ...]]:
            return [(FAMILY, KIND, 6, "", each) for each in self.addresses]

        return Network(new_socket, resolve)

    def exchange(self, seconds: float) -> Exchange:
        """Return a request that has so many seconds left."""
        return Exchange(deadline=self.hands.at + seconds, monotonic=self.hands.read)


def test_addresses_share_the_time_that_is_left(hands):
    """One that never answers must not use up the others' time."""
    world = World(hands, ["a", "b", "c"], there=["c"])
    exchange = world.exchange(30.0)
    with under_way(exchange):
        world.network().connect_tcp("meisa.example", 443, timeout=30.0)
    assert world.tried == [("a", 10.0), ("b", 10.0), ("c", 10.0)]
    assert (world.closed, exchange.connected, exchange.written) == (2, True, 0)


def test_no_address_that_answers_is_no_connection(hands):
    """The last trouble is the one that is told."""
    world = World(hands, ["a", "b"], there=[])
    with under_way(world.exchange(8.0)), pytest.raises(httpcore.ConnectTimeout):
        world.network().connect_tcp("meisa.example", 443)
    assert world.closed == 2


def test_no_address_at_all_is_no_connection(hands):
    """A resolver may answer with nothing."""
    world = World(hands, [], there=[])
    with under_way(world.exchange(8.0)), pytest.raises(httpcore.ConnectError, match="no address"):
        world.network().connect_tcp("meisa.example", 443)


@pytest.mark.parametrize(("asked", "allowed"), [(None, 5.0), (30.0, 5.0), (2.0, 2.0)])
def test_f69_a_step_may_take_no_longer_than_the_whole(hands, asked, allowed):
    """A read that began in time must not end long after the deadline."""
    exchange = Exchange(deadline=hands.at + 5.0, monotonic=hands.read)
    assert exchange.allow(asked, httpcore.ReadTimeout) == allowed


@pytest.mark.parametrize(
    ("operation", "error"),
    [("read", httpcore.ReadTimeout), ("write", httpcore.WriteTimeout)],
)
def test_f69_nothing_starts_after_the_deadline(hands, operation, error):
    """The time a library allows each step does not matter once the whole is over."""
    here, there = socket.socketpair()
    with here, there, under_way(Exchange(deadline=hands.at, monotonic=hands.read)):
        connection = Connection(here)
        argument: Any = {"read": 10, "write": b"x"}[operation]
        with pytest.raises(error):
            getattr(connection, operation)(argument, timeout=30.0)


@pytest.mark.parametrize(("takes", "written"), [([], 0), ([3], 3), ([3, 2], 5)])
def test_f74_what_left_is_counted_even_where_it_breaks(hands, takes, written):
    """Nought means that nobody can have seen the request."""
    world = World(hands, ["a"], there=["a"])
    world.takes = list(takes)
    exchange = world.exchange(30.0)
    with under_way(exchange):
        connection = world.network().connect_tcp("meisa.example", 443)
        with pytest.raises(httpcore.WriteError):
            connection.write(b"0123456789")
    assert exchange.written == written


def test_a_closed_socket_counts_as_hung_up():
    """The pool asks before it uses a connection again."""
    here, there = socket.socketpair()
    connection = Connection(here)
    assert connection.get_extra_info("is_readable") is False
    assert connection.get_extra_info("ssl_object") is None
    there.close()
    assert connection.get_extra_info("is_readable") is True
    connection.close()
    assert connection.get_extra_info("is_readable") is True
