"""Our client never meets a sandbox that does not compare what they say with its description."""

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from meisa_cdc.sandbox import DEFAULT_API_KEY, Fault, SandboxOptions
from meisa_cdc.sandbox.account import Outcome
from meisa_cdc.sandbox.exchange import Arrival, Reply, json_reply
from tests.description import WatchedAccount, WatchedSandbox, logged_mismatches, watched

TESTS = Path(__file__).parents[1]
#: The sandbox's own tests, which send what no client of ours would.
APART = {
    "contract/sandbox/conftest.py",
    "contract/sandbox/test_sandbox_description.py",
    "integration/test_sandbox.py",
    "description/watched.py",
}
ADA = {"email": "ada@example.com"}


@pytest.fixture
def meisa() -> Iterator[WatchedSandbox]:
    """A watched sandbox without limits."""
    with watched(SandboxOptions(limits=())) as server:
        yield server


@pytest.fixture
def client(meisa: WatchedSandbox) -> Iterator[httpx.Client]:
    """A client that sends anything."""
    headers = {"X-API-Key": DEFAULT_API_KEY}
    with httpx.Client(base_url=meisa.base_url, headers=headers, trust_env=False) as made:
        yield made


def test_no_test_has_a_sandbox_that_is_not_watched():
    """Beside the sandbox's own tests, servers are made by `watched` alone."""
    bare = {
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SandboxServer"
    }
    assert bare <= APART


def test_what_is_described_is_not_told(client, meisa):
    """Requests that fit, their answers, refusals among them."""
    assert client.get("/ping/").status_code == 200
    assert client.post("/contacts/upsert/", json={**ADA, "tag_names": ["a"]}).status_code == 200
    unknown = {"event_name": "x", "email": "nobody@example.com"}
    assert client.post("/events/track/", json=unknown).status_code == 404
    assert client.get("/sequences/api/list/", params={"status": "all"}).status_code == 200
    meisa.account.script(Fault(kind="answer", status=599, body="<html>"))
    assert client.get("/ping/").status_code == 599
    assert meisa.account.mismatches == []


@pytest.mark.parametrize(
    ("method", "path", "further", "told"),
    [
        ("POST", "/contacts/upsert/", {"json": {**ADA, "status": "active"}}, "status"),
        ("POST", "/contacts/upsert/", {"json": {"email": 7}}, "upsert/: email: 7 is not"),
        ("POST", "/contacts/upsert/", {"json": {}}, '"email" is a required property'),
        ("POST", "/contacts/upsert/", {"content": "{}"}, "a body of type ''"),
        ("POST", "/contacts/7/add_tag/", {"json": {"tag_name": "a"}}, "add_tag/: id: it: "),
        ("GET", "/contacts/upsert/", {}, "GET /api/v1/contacts/upsert/ is not described"),
        ("GET", "/ping", {}, "GET /api/v1/ping is not described"),
        ("GET", "/ping/", {"params": {"a": "1"}}, "a in the query is not described"),
        ("GET", "/sequences/api/list/", {"params": {"status": "x"}}, "list/: status: it: "),
        ("GET", "/sequences/api/contact-enrollments/", {}, "no email in the query"),
        ("GET", "/ping/", {"headers": {"X-API-Key": "x"}, "content": "x"}, "a body, where none"),
    ],
)
def test_a_request_that_is_not_described_is_told(client, meisa, method, path, further, told):
    """Whatever part of it is wrong, and although the sandbox refuses it itself."""
    client.request(method, path, **further)
    found = meisa.account.taken_mismatches()
    assert [each for each in found if told in each], found


def test_a_request_without_a_key_is_told(meisa):
    """The header is part of the description."""
    httpx.get(f"{meisa.base_url}/ping/", trust_env=False)
    assert meisa.account.taken_mismatches() == ["GET /api/v1/ping/: no X-API-Key"]


class _Forgetful(WatchedAccount):
    """An account whose answers have something changed before they are compared."""

    changed: Reply | None = None

    def _answered(self, arrival: Arrival) -> Outcome:
        return replace(super()._answered(arrival), reply=self.changed)


PONG: dict[str, Any] = {"message": "no"}


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (json_reply(200, PONG), "answered 200: it: "),
        (json_reply(418, PONG), "answered 418, which is not described"),
        (json_reply(429, PONG), "answered 429 without retry-after"),
        (
            Reply(status=401, body=json.dumps(PONG).encode(), headers={"content-type": "text/x"}),
            "answered 401 as text/x",
        ),
    ],
)
def test_an_answer_that_is_not_described_is_told(reply, told):
    """By its status, headers, type or body."""
    account = _Forgetful(SandboxOptions(limits=()))
    account.changed = reply
    headers = {"X-API-Key": DEFAULT_API_KEY}
    with WatchedSandbox(account) as server:
        httpx.get(f"{server.base_url}/ping/", headers=headers, trust_env=False)
        found = account.taken_mismatches()
    assert [each for each in found if told in each], found


def test_a_mismatch_fails_whoever_runs_the_sandbox():
    """At the end of its block, where nothing failed before; else it is noted there."""
    with pytest.raises(AssertionError, match="1 times not as the sandbox describes itself"):  # noqa: SIM117
        with watched() as server:
            httpx.get(f"{server.base_url}/pong/", trust_env=False)
    with pytest.raises(KeyError) as raised:  # noqa: PT012, SIM117
        with watched() as server:
            httpx.get(f"{server.base_url}/pong/", trust_env=False)
            raise KeyError
    assert "/pong/ is not described" in raised.value.__notes__[0]


def test_the_log_of_a_sandbox_tells_mismatches_too(client, meisa):
    """As far as it has what was sent."""
    assert client.post("/contacts/upsert/", json=ADA).status_code == 200
    assert client.get("/ping/").status_code == 200
    assert logged_mismatches(meisa.url) == []
    client.post("/contacts/upsert/", json={**ADA, "status": "active"})
    meisa.account.script(Fault(kind="answer", status=599))
    client.get("/ping/")
    wrong, status = logged_mismatches(meisa.url)
    assert "status" in wrong
    assert status == "GET /api/v1/ping/ answered 599, which is not described"
    meisa.account.taken_mismatches()
