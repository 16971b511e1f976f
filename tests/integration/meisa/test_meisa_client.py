"""The client over real sockets: requests, answers, and none."""

import socket
import threading
from contextlib import ExitStack

import pytest

from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import judge, request_for
from meisa_cdc.core.outcome import Answer, Kind
from meisa_cdc.meisa import MeisaRefused
from meisa_cdc.sandbox import DEFAULT_API_KEY, Fault, SandboxOptions, SandboxServer
from tests.description import watched

from .conftest import BODY, CANARY, CONTACT, good
from .scripted_server import Visit


def quiet(visit: Visit) -> None:
    """Read a request and never answer."""
    visit.request()
    visit.over.wait()


def test_requests_share_a_connection(serve, connect):
    """A contact more costs no handshake more."""
    server = serve(good)
    client = connect(server.url())
    assert [client.upsert(BODY).status for _ in range(3)] == [200, 200, 200]
    assert server.visits == 1
    head = server.requests[0].split(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"post /api/v1/contacts/upsert/ http/1.1")
    assert f"x-api-key: {CANARY}".encode() in head
    assert b"cookie" not in head


def test_threads_have_a_connection_each(serve, connect):
    """Requests that overlap do not wait for each other."""
    meeting = threading.Barrier(4)

    def together(visit: Visit) -> None:
        visit.request()
        meeting.wait()
        visit.answer(CONTACT)

    server = serve(together)
    client = connect(server.url())
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(client.upsert(BODY).status))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert server.visits == 4


def test_f60_nobody_listening_means_nothing_was_sent(connect):
    """A refused connection is certain."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answer = connect(f"http://127.0.0.1:{port}").upsert(BODY)
    assert (answer.status, answer.sent) == (0, False)
    assert "no connection" in answer.error


def test_f60_an_unknown_host_means_nothing_was_sent(connect):
    """So is a name that nobody has; .invalid never resolves."""
    answer = connect("https://meisa.invalid/api/v1").upsert(BODY)
    assert (answer.status, answer.sent) == (0, False)


def test_f60_a_reset_before_the_answer_is_unknown(serve, connect):
    """The server had the whole request; it may have applied it. No second try is made."""

    def reset(visit: Visit) -> None:
        visit.request()
        visit.reset()

    server = serve(reset)
    answer = connect(server.url()).upsert(BODY)
    assert (answer.status, answer.sent) == (0, True)
    assert (server.visits, len(server.requests)) == (1, 1)


def test_f60_silence_until_the_deadline_is_unknown(serve, connect):
    """Nothing came back in time; the request had gone out whole."""
    server = serve(quiet)
    answer = connect(server.url(), timeout=0.2).upsert(BODY)
    assert (answer.status, answer.sent) == (0, True)
    assert "within 0.2 s" in answer.error
    assert len(server.requests) == 1


def test_f60_an_answer_that_breaks_off_keeps_its_status(serve, connect):
    """A promised length that is not kept: the status is certain, the body is none."""

    def torn(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + CONTACT)

    answer = connect(serve(torn).url()).upsert(BODY)
    assert (answer.status, answer.body, answer.sent) == (200, None, True)
    assert "broke off" in answer.error


def test_f60_gibberish_is_unknown(serve, connect):
    """What is not HTTP tells nothing about the request."""

    def gibberish(visit: Visit) -> None:
        visit.request()
        visit.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    answer = connect(serve(gibberish).url()).upsert(BODY)
    assert (answer.status, answer.sent) == (0, True)


def test_closing_the_client_ends_requests_under_way(serve, connect):
    """A process that has to go does not wait for the deadline; the outcome is unknown."""
    reading = threading.Event()

    def waiting(visit: Visit) -> None:
        visit.request()
        reading.set()
        visit.over.wait()

    client = connect(serve(waiting).url(), timeout=3600.0)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(client.upsert(BODY)))
    thread.start()
    assert reading.wait(20)
    client.close()
    thread.join(20)
    assert [(answer.status, answer.sent) for answer in answers] == [(0, True)]


def test_f73_a_key_rotated_in_its_file_is_picked_up(serve, connect, tmp_path):
    """No restart, no new client."""
    file = tmp_path / "key"
    server = serve(good)
    client = connect(server.url(), api_key=file.read_text)
    for key in ("first-key-000\n", "second-key-111\n"):
        file.write_text(key)
        client.upsert(BODY)
    assert b"first-key-000\r\n" in server.requests[0]
    assert b"second-key-111\r\n" in server.requests[1]


@pytest.fixture
def sandbox(stack: ExitStack) -> SandboxServer:
    """Return a running sandbox without limits."""
    return stack.enter_context(watched(SandboxOptions(limits=())))


def test_client_and_sandbox_understand_each_other(sandbox, connect):
    """Both were built from the documents, neither from the other."""
    client = connect(sandbox.base_url, api_key=DEFAULT_API_KEY)
    assert client.ping().environment == "test"
    request = request_for(Contact(external_id="7", pending={"email": "Ann@x.com", "source": "api"}))
    outcome = judge(request, client.upsert(request.body))
    assert outcome.kind is Kind.ACCEPTED
    assert outcome.meisa_id
    sandbox.account.suppress(add=["gone@x.com"])
    assert client.unsubscribed_emails().emails == {"gone@x.com"}


def test_f64_the_sandbox_refuses_a_wrong_key(sandbox, connect):
    """The refusal arrives as one, and says what to do."""
    client = connect(sandbox.base_url, api_key="some-other-key")
    with pytest.raises(MeisaRefused, match="HTTP 401"):
        client.ping()
    assert client.upsert(BODY).status == 401


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(kind="reset"), "no_answer"),
        (Fault(kind="late"), "no_answer"),
        (Fault(kind="cut"), "not_a_contact"),
        (Fault(kind="truncate"), "not_a_contact"),
        (Fault(kind="huge", size=2**22), "not_a_contact"),
        (Fault(kind="gzip_bomb", size=2**22), "not_a_contact"),
        (Fault(kind="wrong_contact"), "identity_mismatch"),
        (Fault(kind="answer", status=503, body="<html>"), "http_503"),
        (Fault(kind="answer", status=422), "rejected_422"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else value,
)
def test_every_fault_of_the_sandbox_is_judged(sandbox, connect, fault, code):
    """Whatever it does, an upsert raises nothing, and the next one goes through."""
    sandbox.account.script(fault)
    client = connect(sandbox.base_url, api_key=DEFAULT_API_KEY)
    request = request_for(Contact(external_id="7", pending={"email": "ann@x.com"}))
    codes = [judge(request, client.upsert(request.body)).code for _ in range(2)]
    assert codes == [code, "accepted"]


def test_f74_a_connection_closed_behind_an_answer_costs_a_request_at_most(sandbox, connect):
    """The next one is in doubt if it left before the close arrived; the one after goes through."""
    sandbox.account.script(Fault(kind="hang_up"))
    client = connect(sandbox.base_url, api_key=DEFAULT_API_KEY)
    request = request_for(Contact(external_id="7", pending={"email": "ann@x.com"}))
    first, second, third = [judge(request, client.upsert(request.body)).code for _ in range(3)]
    assert (first, third) == ("accepted", "accepted")
    assert second in {"accepted", "no_answer"}
