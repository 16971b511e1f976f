"""Certificates and proxies: by which way a request may go."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from meisa_cdc.core.errors import MeisaUnavailable, SettingsError

from .conftest import BODY, CANARY, TLS, good, trusting
from .scripted_server import Handler, Visit


def server_tls(name: str) -> ssl.SSLContext:
    """Return a server's context with one of the test certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / f"{name}.pem")
    return context


def test_tls_with_a_good_certificate_works(serve, connect):
    """What makes the refusals below mean something."""
    server = serve(good, server_tls("valid"))
    client = connect(server.url("https", "localhost"), tls=trusting())
    assert [client.upsert(BODY).status for _ in range(2)] == [200, 200]
    assert server.visits == 1


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ("expired", "expired"),
        ("elsewhere", "mismatch"),
        ("self_signed", "self-signed"),
    ],
)
def test_f70_a_certificate_that_proves_nothing_is_refused(serve, connect, certificate, words):
    """Expired, for another host, or signed by nobody: not one byte of the request goes out."""
    server = serve(good, server_tls(certificate))
    client = connect(server.url("https", "localhost"), tls=trusting())
    answer = client.upsert(BODY)
    assert (answer.status, answer.sent) == (0, False)
    assert words in answer.error
    assert server.requests == []
    with pytest.raises(MeisaUnavailable, match="certificate"):
        client.ping()


def test_f70_an_unknown_authority_is_refused_by_default(serve, connect):
    """Without further ado only the usual authorities count."""
    server = serve(good, server_tls("valid"))
    answer = connect(server.url("https", "localhost")).upsert(BODY)
    assert (answer.sent, server.requests) == (False, [])


def test_f70_the_check_cannot_be_switched_off(connect):
    """A context that trusts everybody is not used."""
    anybody = ssl.create_default_context()
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    with pytest.raises(SettingsError, match="certificate"):
        connect("https://localhost/api/v1", tls=anybody)


ENVIRONMENT = """
import sys, time
from meisa_cdc.meisa import HttpMeisa, MeisaRefused
client = HttpMeisa(sys.argv[1], "key", timeout=20, monotonic=time.monotonic, now=time.time)
with client:
    print(client.upsert({}).status)
"""


def test_f71_proxy_and_netrc_of_the_environment_are_ignored(serve, tmp_path):
    """Where the key goes is decided by our settings alone."""
    trap, server = serve(good), serve(good)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    done = subprocess.run(
        [sys.executable, "-c", ENVIRONMENT, server.url()],
        env={
            **os.environ,
            **dict.fromkeys(names, f"http://127.0.0.1:{trap.port}"),
            "NO_PROXY": "",
            "no_proxy": "",
            "NETRC": str(netrc),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "200"
    assert trap.visits == 0
    assert b"authorization" not in server.requests[0].lower()


def test_f71_a_configured_proxy_is_used(serve, connect):
    """For this machine's plain http it is asked for the whole address."""
    proxy = serve(good)
    client = connect("http://127.0.0.1:9/api/v1", proxy=f"http://u:p@127.0.0.1:{proxy.port}")
    assert client.upsert(BODY).status == 200
    (request,) = proxy.requests
    assert request.startswith(b"POST http://127.0.0.1:9/api/v1/contacts/upsert/ ")
    assert b"proxy-authorization: basic" in request.lower()


def tunnel(port: int) -> Handler:
    """Return a handler that connects a client through to a port."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # either side may hang up
            while piece := source.recv(65_536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def handler(visit: Visit) -> None:
        visit.request()
        with socket.create_connection(("127.0.0.1", port)) as other:
            visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(other, visit.sock))
            back.start()
            pump(visit.sock, other)
            back.join()

    return handler


def test_f71_through_a_proxy_the_key_stays_encrypted(serve, connect):
    """The proxy hears the host's name, never a header."""
    server = serve(good, server_tls("valid"))
    proxy = serve(tunnel(server.port))
    address = f"http://127.0.0.1:{proxy.port}"
    client = connect(server.url("https", "localhost"), tls=trusting(), proxy=address)
    assert client.upsert(BODY).status == 200
    (request,) = proxy.requests
    assert request.startswith(b"CONNECT localhost:")
    assert CANARY.encode() not in request


def test_a_request_that_the_proxy_refuses_was_not_sent(serve, connect):
    """Only the wish to connect left this machine."""

    def refusing(visit: Visit) -> None:
        visit.request()
        visit.answer(b"", status="407 Proxy Authentication Required")

    proxy = serve(refusing)
    address = f"http://127.0.0.1:{proxy.port}"
    answer = connect("https://localhost:9/", tls=trusting(), proxy=address).upsert(BODY)
    assert (answer.status, answer.sent) == (0, False)
    assert "407" in answer.error
