"""What other tools bring is compared fairly, and each of their packages is pinned."""

import re

import httpx
import pytest

from benchmarks.peers.comparing import BACK, CHANGED, FIRST, IDLE, Pass, wrong
from benchmarks.peers.contenders import PEERS
from benchmarks.peers.environments import versions
from benchmarks.peers.programs.bodies import body
from benchmarks.peers.sink import Store, new_sink

ADA = {"external_id": "1", "email": "ada@example.com", "custom_fields": {"mrr": 19.5, "posts": 2}}


def store(*bodies: dict) -> Store:
    """Return one that took these bodies."""
    taken = Store()
    for each in bodies:
        taken.upsert(each)
    return taken


def passes(**digests: str) -> dict[str, Pass]:
    """Return what was seen of a contender."""
    return {
        name: Pass(seconds=1.0, requests=1, contacts=1, digest=digest)
        for name, digest in digests.items()
    }


def test_parts_of_a_contact_are_as_good_as_the_whole():
    """We send what differs, others send everything, and numbers in either spelling."""
    parts = store(
        {"external_id": "1", "email": "ada@example.com", "source": "initial_sync"},
        {"external_id": "1", "custom_fields": {"posts": 2.0}},
        {"external_id": "1", "custom_fields": {"mrr": 19.5}},
    )
    assert parts.taken() == store(ADA).taken()


@pytest.mark.parametrize(
    "other",
    [
        {"external_id": "1", "email": "b@example.com"},
        {"external_id": "1", "custom_fields": {"mrr": 19}},
        {"external_id": "1", "custom_fields": {"new": None}},
        {"external_id": "2"},
    ],
)
def test_another_value_is_noticed(other: dict):
    """Whichever it is."""
    assert store(ADA, other).taken()["digest"] != store(ADA).taken()["digest"]


def test_the_server_counts_what_it_took():
    """Over HTTP; asking for the counts is no request."""
    with new_sink() as sink, httpx.Client(base_url=sink.base_url, trust_env=False) as client:
        assert client.post("/contacts/upsert/", json=ADA).json()["email"] == "ada@example.com"
        assert client.get("/ping/").json()["status"] == "ok"
        assert client.get("/contacts/api/unsubscribed-emails/").json()["emails"] == []
        for _ in range(2):
            taken = sink.taken()
            assert (taken.requests, taken.contacts) == (3, 1)
            assert taken.digest == store(ADA).taken()["digest"]


def test_who_leaves_old_values_is_told_apart():
    """After a change and its opposite the server holds what it held first."""
    right = passes(first="a", idle="a", changed="b", back="a")
    assert wrong(right, right) == []
    assert wrong(passes(first="a", idle="a", changed="b", back="b"), right) == [BACK]
    assert wrong(passes(first="c", idle="a", changed="a", back="a"), right) == [FIRST, CHANGED]
    stuck = passes(first="a", idle="b", changed="b", back="b")
    assert wrong(stuck, stuck) == [IDLE, BACK]


def test_a_row_is_sent_as_we_send_it():
    """Attributes beside the key, everything else as custom fields."""
    row = {"external_id": 1, "email": "a@x.io", "first_name": None, "last_name": "L", "plan": "pro"}
    expected = {"external_id": "1", "email": "a@x.io", "first_name": None, "last_name": "L"}
    assert body(row) == {**expected, "custom_fields": {"plan": "pro"}}


def test_every_package_of_a_peer_is_pinned():
    """Figures are of versions that can be had again."""
    names = {re.split(r"[\[<>=]", each)[0] for peer in PEERS for each in peer.packages}
    assert names <= set(versions())
