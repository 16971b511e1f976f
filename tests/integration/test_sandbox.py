"""The sandbox over real HTTP: the API, faults on the connection, the admin paths, its end."""

import gzip
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from meisa_cdc.sandbox import (
    DEFAULT_API_KEY,
    Account,
    Fault,
    OptionError,
    SandboxOptions,
    SandboxServer,
    parse_limits,
)
from meisa_cdc.sandbox.automations.rules import AddTag, Automation, When

ANNA = {"email": "anna@example.com", "external_id": "7", "custom_fields": {"plan": "pro"}}
UPSERT = "/contacts/upsert/"


@pytest.fixture
def server():
    """A sandbox without limits on a free port."""
    with SandboxServer(Account(SandboxOptions(limits=()))) as running:
        yield running


@pytest.fixture
def client(server):
    """A client of that sandbox with a valid key."""
    with _client(server) as ready:
        yield ready


def _client(server):
    return httpx.Client(
        base_url=server.base_url, headers={"X-API-Key": DEFAULT_API_KEY}, trust_env=False
    )


def _plan(server):
    contact = server.account.contact(external_id="7")
    return contact["custom_fields"]["plan"] if contact else None


def test_a_contact_is_created_and_shown(server, client):
    """Ping, upsert and the suppression list answer over HTTP as the account does."""
    server.account.suppress(add=["bert@example.com"])
    assert client.get("/ping/").json()["product"] == {"id": "sandbox", "name": "Sandbox"}
    answer = client.post(UPSERT, json=ANNA)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == server.account.contact(external_id="7")
    assert client.get("/contacts/api/unsubscribed-emails/").json()["emails"] == ["bert@example.com"]


def test_errors_are_json_with_a_message(client):
    """401, 404 and 400 over HTTP, a missing slash without a redirect."""
    wrong = client.get("/ping/", headers={"X-API-Key": "wrong"})
    assert (wrong.status_code, wrong.json()["message"]) == (401, "The API key is not valid.")
    assert client.post("/contacts/upsert", json=ANNA).status_code == 404
    assert client.post(UPSERT, content="{}").status_code == 400
    assert client.delete(UPSERT).json()["message"].endswith("takes POST.")


def test_over_the_limit_is_told_with_retry_after():
    """The header reaches the client."""
    with (
        SandboxServer(Account(SandboxOptions(limits=parse_limits("2/1h")))) as server,
        _client(server) as client,
    ):
        answers = [client.get("/ping/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 3600


def test_many_clients_at_once(server):
    """Nothing is lost and nothing counted twice."""

    def upsert(worker):
        with _client(server) as client:
            for number in range(25):
                body = {"email": f"{number}@example.com", "custom_fields": {f"w{worker}": number}}
                assert client.post(UPSERT, json=body).status_code == 200
                assert server.account.contact(email=f"{number}@example.com")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upsert, range(4)))
    assert len(server.account.requests()) == 100
    assert server.account.trigger_counts() == {"contact_created": 25, "contact_updated": 75}


@pytest.mark.parametrize("apply", [True, False])
def test_a_reset_connection_leaves_the_client_in_doubt(server, client, apply):
    """The client sees the same error whether the request took effect or not."""
    server.account.script(Fault(kind="reset", apply=apply))
    with pytest.raises(httpx.ReadError):
        client.post(UPSERT, json=ANNA)
    assert _plan(server) == ("pro" if apply else None)
    assert client.get("/ping/").status_code == 200


def test_a_late_request_overtakes_a_newer_one(server, client):
    """Reset at first, it takes effect when let over the admin path."""
    server.account.script(Fault(kind="late"))
    with pytest.raises(httpx.ReadError):
        client.post(UPSERT, json=ANNA | {"custom_fields": {"plan": "old"}})
    client.post(UPSERT, json=ANNA)
    assert client.post(f"{server.url}/_sandbox/late").json() == {"applied": 1}
    assert _plan(server) == "old"


def test_a_client_that_hangs_runs_into_its_own_timeout(server, client):
    """The request took effect, no answer comes."""
    server.account.script(Fault(kind="hang", apply=True, seconds=600))
    with pytest.raises(httpx.ReadTimeout):
        client.post(UPSERT, json=ANNA, timeout=0.2)
    assert _plan(server) == "pro"
    assert client.get("/ping/").status_code == 200


def test_a_hanging_request_ends_without_an_answer(server, client):
    """After its seconds the connection is over."""
    server.account.script(Fault(kind="hang", seconds=0.01))
    with pytest.raises(httpx.ReadError):
        client.post(UPSERT, json=ANNA)


def test_a_cut_answer_ends_in_the_middle(server, client):
    """The status and half of the announced body arrive."""
    server.account.script(Fault(kind="cut"))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        client.post(UPSERT, json=ANNA)
    assert _plan(server) == "pro"


def test_a_truncated_answer_arrives_whole(server, client):
    """As HTTP it is well, as JSON it is not."""
    server.account.script(Fault(kind="truncate"))
    answer = client.post(UPSERT, json=ANNA)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_dripping_answer_arrives_byte_by_byte(server, client):
    """Whoever waits long enough has the true answer; whoever does not, leaves the server well."""
    server.account.script(Fault(kind="drip", seconds=0), Fault(kind="drip", seconds=600))
    assert client.get("/ping/").json()["status"] == "ok"
    with client.stream("GET", "/ping/") as answer:
        assert next(answer.iter_raw()) == b"{"
    assert client.get("/ping/").status_code == 200


def test_a_huge_answer_does_not_say_its_size(server, client):
    """It is JSON, sent in chunks; a client that leaves early leaves the server well."""
    size = 3 * 1024 * 1024 + 5
    server.account.script(Fault(kind="huge", size=size), Fault(kind="huge", size=10**12))
    answer = client.get("/ping/")
    assert "content-length" not in answer.headers
    assert len(answer.json()) == size
    with client.stream("GET", "/ping/") as endless:
        assert next(endless.iter_raw()).startswith(b'"')
    assert client.get("/ping/").status_code == 200


def test_a_gzip_bomb_is_small_on_the_wire(server, client):
    """A client that unpacks it has hundreds of times as much."""
    size = 8 * 1024 * 1024
    server.account.script(Fault(kind="gzip_bomb", size=size))
    with client.stream("GET", "/ping/") as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) * 100 < size
    assert len(gzip.decompress(packed)) == size + 2


def test_hanging_up_is_not_announced(server):
    """The answer is whole, no header says so, and the connection is over."""
    server.account.script(Fault(kind="hang_up"))
    request = f"GET /api/v1/ping/ HTTP/1.1\r\nHost: sandbox\r\nX-API-Key: {DEFAULT_API_KEY}\r\n\r\n"
    received = b""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request.encode())
        while block := connection.recv(65536):
            received += block
    assert b'"status":"ok"' in received
    assert b"connection: close" not in received.lower()


@pytest.mark.parametrize("status", [204, 302, 304, 418, 503])
def test_any_status_can_be_answered(server, client, status):
    """Also those that have no body; headers come along and no redirect is made up."""
    fault = Fault(
        kind="answer", status=status, body="<p>", headers={"X-Why": "test", "Content-Length": "9"}
    )
    server.account.script(fault)
    answer = client.get("/ping/")
    assert answer.status_code == status
    assert answer.headers["x-why"] == "test"
    assert answer.text == ("" if status in (204, 304) else "<p>")
    assert client.get("/ping/").status_code == 200


def test_latency_delays_the_answer_and_not_the_effect(server):
    """The contact is there while its client still waits."""
    server.account.configure(latency=600)
    with _client(server) as client, pytest.raises(httpx.ReadTimeout):
        client.post(UPSERT, json=ANNA, timeout=0.2)
    assert _plan(server) == "pro"
    server.account.configure(latency=0.01)
    with _client(server) as client:
        assert client.get("/ping/").status_code == 200


def test_a_client_that_leaves_in_mid_request_is_forgotten(server, client):
    """Half a body is no request, and the server goes on."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /api/v1/ping/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhal"
        )
    assert client.get("/ping/").status_code == 200
    assert [record.method for record in server.account.requests()] == ["GET"]


def test_the_admin_paths_show_the_account(server, client):
    """Requests and triggers from a number on, and every contact; none of it is logged itself."""
    client.post(UPSERT, json=ANNA)
    client.post(UPSERT, json=ANNA | {"first_name": "Anna"})
    admin = f"{server.url}/_sandbox"
    with httpx.Client(trust_env=False) as anonymous:
        requests = anonymous.get(f"{admin}/requests?since=1").json()["requests"]
        fired = anonymous.get(f"{admin}/triggers").json()
        contacts = anonymous.get(f"{admin}/contacts").json()["contacts"]
        nonsense = anonymous.get(f"{admin}/requests?since=noon")
    assert [(r["number"], r["body"]["first_name"]) for r in requests] == [(2, "Anna")]
    assert fired["counts"] == {"contact_created": 1, "contact_updated": 1}
    assert fired["triggers"][1]["changes"] == {"first_name": {"from": "", "to": "Anna"}}
    assert [contact["email"] for contact in contacts] == ["anna@example.com"]
    assert nonsense.status_code == 400
    assert "'noon'" in nonsense.json()["message"]
    assert len(server.account.requests()) == 2


def test_the_admin_paths_show_emails_and_automations():
    """What was mailed, and what automations did."""
    automation = Automation(
        name="greet", when=When(kind="contact_created"), actions=(AddTag(tag="new"),)
    )
    options = SandboxOptions(limits=(), automations=(automation,))
    with SandboxServer(Account(options)) as server, _client(server) as client:
        asked = {"trigger_key": "verification_code", "to_email": "anna@example.com"}
        client.post("/emails/trigger/", json=asked)
        (mail,) = client.get(f"{server.url}/_sandbox/emails").json()["emails"]
        (run,) = client.get(f"{server.url}/_sandbox/automations").json()["runs"]
        later = client.get(f"{server.url}/_sandbox/automations?since=1").json()["runs"]
    assert (mail["to_email"], mail["request"]) == ("anna@example.com", asked)
    assert (run["automation"], run["outcome"], later) == ("greet", "ran", [])
    assert run["actions"] == [{"action": "add_tag", "subject": "new", "result": "added"}]


def test_a_path_with_a_line_break_is_an_api_request_like_any(client, server):
    """Every path that is not the sandbox's own is answered in JSON."""
    answer = client.get("/contacts/a%0Ab/add_tag/")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert len(server.account.requests()) == 1


def test_a_state_file_that_cannot_be_written_is_told_over_http(tmp_path):
    """Steering is answered 500 with the reason, as API requests are."""
    account = Account(SandboxOptions(limits=(), state=tmp_path / "sandbox.db"))
    with SandboxServer(account) as server, _client(server) as client:
        account.close()
        answers = [
            client.post(f"{server.url}/_sandbox/suppress", json={"add": ["a@example.com"]}),
            client.post(f"{server.url}/_sandbox/reset"),
            client.get("/ping/"),
        ]
    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert all("cannot be written" in answer.json()["message"] for answer in answers)


def test_the_admin_paths_steer_the_account(server, client):
    """Suppress, script faults, change share and latency, start afresh."""
    admin = f"{server.url}/_sandbox"
    asked = {"add": ["a@example.com", "b@example.com"], "remove": ["a@example.com"]}
    assert client.post(f"{admin}/suppress", json=asked).json() == {"count": 1}
    script = {"script": [{"kind": "answer", "status": 503}, {"kind": "reset"}]}
    assert client.post(f"{admin}/faults", json=script).json() == {"waiting": 2}
    assert client.get("/ping/").status_code == 503
    change = {"clear": True, "fail": 1, "latency": "1ms"}
    assert client.post(f"{admin}/faults", json=change).json() == {"waiting": 0}
    assert client.get("/ping/").status_code == 500
    assert client.post(f"{admin}/faults", json={"fail": 0, "latency": 0}).status_code == 200
    assert client.get("/ping/").status_code == 200
    assert client.post(f"{admin}/reset").json() == {"status": "reset"}
    assert server.account.requests() == []


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("faults", {"script": [{"kind": "answer"}, {"kind": "explode"}]}, "explode"),
        ("faults", {"script": {"kind": "answer"}}, "script"),
        ("faults", {"fail": 2}, "fail"),
        ("faults", {"fail": True}, "fail"),
        ("faults", {"latency": "soon"}, "soon"),
        ("faults", {"latency": None}, "latency"),
        ("faults", {"clear": 1}, "clear"),
        ("faults", {"failure": 1}, "failure"),
        ("suppress", {"add": "a@example.com"}, "add"),
        ("suppress", [], "JSON object"),
    ],
)
def test_an_admin_request_in_error_changes_nothing(server, client, path, body, named):
    """It is answered 400 and says what is wrong."""
    answer = client.post(f"{server.url}/_sandbox/{path}", json=body)
    assert answer.status_code == 400
    assert named in answer.json()["message"]
    assert server.account.scripted() == ()
    assert client.get("/ping/").status_code == 200


def test_the_page_is_plain_html(server, client):
    """It refreshes itself and allows no script at all."""
    client.post(UPSERT, json=ANNA)
    page = client.get(server.url + "/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "anna@example.com" in page.text
    assert '<meta http-equiv="refresh"' in page.text


def test_an_account_outlives_its_server(server):
    """Served again on the same port it has the same contacts, as after a network outage."""
    account = Account(SandboxOptions(limits=()))
    with SandboxServer(account) as first, _client(first) as client:
        client.post(UPSERT, json=ANNA)
    with SandboxServer(account, port=first.port) as again, _client(again) as client:
        assert again.url == first.url
        assert client.post(UPSERT, json=ANNA).status_code == 200
    assert account.trigger_counts() == {"contact_created": 1}


@pytest.mark.parametrize("kind", ["hang", "drip", "huge"])
def test_the_server_ends_while_a_request_hangs(kind, caplog):
    """Nobody waits for it, nothing is complained about, the client sees a broken connection."""
    caplog.set_level(logging.WARNING)
    under_way = threading.Event()

    def clock():
        if kind == "hang":
            under_way.set()
        return time.time()

    def ask(server):
        with _client(server) as client, client.stream("GET", "/ping/", timeout=60) as answer:
            for _ in answer.iter_raw():
                under_way.set()

    account = Account(SandboxOptions(limits=()), clock=clock)
    account.script(Fault(kind=kind, apply=True, seconds=600, size=10**12))
    with ThreadPoolExecutor(1) as pool:
        with SandboxServer(account) as server:
            asked = pool.submit(ask, server)
            assert under_way.wait(60)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            asked.result(60)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("fault", "request_text"),
    [
        (None, "POST /api/v1/contacts/upsert/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhal"),
        ("huge", f"GET /api/v1/ping/ HTTP/1.1\r\nHost: x\r\nX-API-Key: {DEFAULT_API_KEY}\r\n\r\n"),
    ],
)
def test_the_server_ends_while_a_client_stalls(fault, request_text, caplog):
    """One that never ends its request and one that never reads its answer are dropped."""
    caplog.set_level(logging.WARNING)
    account = Account(SandboxOptions(limits=()))
    if fault:
        account.script(Fault(kind=fault, size=10**12))
    with SandboxServer(account) as server, _client(server) as other:
        stalled = socket.create_connection(("127.0.0.1", server.port))
        stalled.sendall(request_text.encode())
        if fault:
            assert stalled.recv(1) == b"H"
        assert other.get("/ping/").status_code == 200
    with stalled:
        while stalled.recv(1 << 20):
            continue
    assert caplog.records == []


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com", "::1", ""])
def test_only_loopback_is_served(host):
    """The admin paths need no key, so nobody outside may reach them."""
    with (
        pytest.raises(OptionError, match="127\\.0\\.0\\.1"),
        SandboxServer(Account(), host=host),
    ):
        pytest.fail("it serves")


def test_a_port_that_cannot_be_had_is_named(server):
    """One in use and one that does not exist."""
    for port in (server.port, 70_000):
        with (
            pytest.raises(OptionError, match=f"port: {port} "),
            SandboxServer(Account(), host="localhost", port=port),
        ):
            pytest.fail("it serves")


SERVE = """
from meisa_cdc.sandbox import Account, serve
serve(Account(), ready=lambda url: print(url, flush=True))
print("over")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_ends_quietly_with_a_signal(number):
    """`serve` returns: the program goes on to its end, with status 0 and no complaint."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "dev", "-c", SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        answer = httpx.get(f"{url}/_sandbox/contacts", trust_env=False)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert answer.json() == {"contacts": []}
    assert (process.returncode, out, err) == (0, "over\n", "")
