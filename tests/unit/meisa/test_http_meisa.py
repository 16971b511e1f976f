"""The endpoints: what is sent, and what each answer becomes."""

import httpx
import orjson
import pytest

from meisa_cdc.core.errors import (
    MeisaUnavailable,
    SettingsError,
    Stop,
    SuppressionFailed,
)
from meisa_cdc.core.suppression import PullFailed
from meisa_cdc.meisa import MeisaRefused
from meisa_cdc.meisa.endpoints import LIST_LIMIT
from meisa_cdc.ports import Ping

from .conftest import CANARY

BODY = {"email": "a@example.com", "external_id": "1", "custom_fields": {"plan": "pro"}}
CONTACT = {"id": "c-1", "email": "a@example.com", "external_id": "1"}


def test_an_upsert_is_the_documented_request(make_client):
    """Path with its slash, key header, JSON body, no compression asked for."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=CONTACT)

    answer = make_client(handler).upsert(BODY)
    (request,) = seen
    assert (request.method, str(request.url)) == (
        "POST",
        "https://meisa.example/api/v1/contacts/upsert/",
    )
    assert request.headers["x-api-key"] == CANARY
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("meisa-cdc/")
    assert orjson.loads(request.content) == BODY
    assert (answer.status, answer.body, answer.sent, answer.error) == (200, CONTACT, True, "")


def test_no_cookie_of_the_server_comes_back(make_client):
    """Requests are independent of each other; a session would be somebody else's idea."""
    cookies = []

    def handler(request: httpx.Request) -> httpx.Response:
        cookies.append(request.headers.get("cookie"))
        return httpx.Response(200, json=CONTACT, headers={"set-cookie": "a=b; Path=/"})

    client = make_client(handler)
    client.upsert(BODY)
    client.upsert(BODY)
    assert cookies == [None, None]


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError]
)
def test_f60_what_failed_before_a_connection_was_not_sent(make_client, error):
    """Refused, unresolved or untrusted: Meisa has seen nothing."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise error("no")

    answer = make_client(handler).upsert(BODY)
    assert (answer.status, answer.sent) == (0, False)
    assert answer.error


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
    ],
)
def test_f60_what_failed_later_may_have_been_applied(make_client, error):
    """Once bytes may have left, only an answer is certain."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise error("no")

    answer = make_client(handler).upsert(BODY)
    assert (answer.status, answer.sent) == (0, True)
    assert answer.error


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 500, 502, 503, 504])
def test_f62_a_status_is_an_answer_whatever_its_body(make_client, status):
    """An HTML page of a gateway raises nothing and parses to nothing."""
    page = httpx.Response(status, html="<h1>Sorry</h1>")
    answer = make_client(lambda _: page).upsert(BODY)
    assert (answer.status, answer.body, answer.sent) == (status, None, True)
    assert "text/html" in answer.error


def test_f61_the_pause_a_server_asks_for_is_handed_on(make_client):
    """A date is taken relative to our wall clock; clamping is not the client's."""
    for text, seconds in [("17", 17.0), ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0), ("x", None)]:
        busy = httpx.Response(429, json={"detail": "busy"}, headers={"retry-after": text})
        answer = make_client(lambda _, busy=busy: busy).upsert(BODY)
        assert (answer.status, answer.retry_after) == (429, seconds)


@pytest.mark.parametrize("where", ["https://evil.example/", "/elsewhere/", "http://[bad", "%"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_f68_a_redirect_is_an_answer_and_nothing_more(make_client, status, where):
    """No second request is made, however the address looks."""
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        return httpx.Response(status, headers={"location": where})

    assert make_client(handler).upsert(BODY).status == status
    assert len(seen) == 1


def test_f69_an_answer_over_the_cap_is_cut_off(make_client):
    """Reading stops at the limit, whatever length was promised; the status stays certain."""
    taken = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                taken.append(1)
                yield b" " * 65_536

    answer = make_client(lambda _: httpx.Response(200, stream=Endless())).upsert(BODY)
    assert (answer.status, answer.body) == (200, None)
    assert "1 MiB" in answer.error
    assert len(taken) == 17


def test_f69_an_error_page_is_capped_like_an_answer_even_for_the_list(make_client):
    """The larger limit is for the list alone."""
    page = httpx.Response(500, content=b"x" * (2**20 + 1))
    with pytest.raises(SuppressionFailed, match="1 MiB"):
        make_client(lambda _: page).unsubscribed_emails()


def test_f69_a_dripping_answer_ends_at_the_deadline(make_client, hands):
    """Each byte comes quickly enough; together they take too long."""

    class Dripping(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                hands.at += 1.0
                yield b" "

    client = make_client(lambda _: httpx.Response(200, stream=Dripping()), timeout=5.0)
    answer = client.upsert(BODY)
    assert (answer.status, answer.body) == (200, None)
    assert "within 5 s" in answer.error
    assert hands.at == 1_005.0


def test_a_body_that_breaks_off_keeps_its_status(make_client):
    """A refusal is certain from its first line on."""

    class Broken(httpx.SyncByteStream):
        def __iter__(self):
            yield b'{"detail": '
            raise httpx.RemoteProtocolError("peer closed connection")

    answer = make_client(lambda _: httpx.Response(400, stream=Broken())).upsert(BODY)
    assert (answer.status, answer.body, answer.sent) == (400, None, True)
    assert "broke off" in answer.error


PINGED = {
    "status": "ok",
    "api_key": {
        "name": "backend",
        "environment": "test",
        "scopes": ["contacts:write", "contacts:read"],
        "rate_limit_per_minute": 120,
        "rate_limit_per_hour": 5000,
    },
    "product": {"id": "p-1", "name": "Shop"},
}


def test_ping_is_told_in_our_words(make_client):
    """Everything the documents name arrives."""
    assert make_client(lambda _: httpx.Response(200, json=PINGED)).ping() == Ping(
        product="p-1",
        product_name="Shop",
        environment="test",
        scopes=("contacts:write", "contacts:read"),
        per_minute=120,
        per_hour=5000,
    )


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": {}},
        {"api_key": {"environment": None, "scopes": None}, "product": None},
        {"api_key": {"rate_limit_per_minute": 0, "rate_limit_per_hour": None}, "product": {}},
    ],
)
def test_ping_does_without_what_is_absent(make_client, body):
    """Absent, null and meaningless members become the defaults."""
    pinged = make_client(lambda _: httpx.Response(200, json=body)).ping()
    assert pinged == Ping(
        product="", product_name="", environment="", scopes=None, per_minute=None, per_hour=None
    )


def test_ping_tells_scopes_that_are_none(make_client):
    """No scopes at all is an answer; absent ones are none."""
    answer = httpx.Response(200, json={"api_key": {"scopes": []}})
    assert make_client(lambda _: answer).ping().scopes == ()


def test_sequences_are_told_by_slug(make_client):
    """All of them are asked for, with the status of each."""
    asked = []

    def listed(request):
        asked.append(request.url.query)
        found = [
            {"slug": "a", "status": "active"},
            {"slug": "b", "status": "inactive"},
            {"slug": "c"},
        ]
        return httpx.Response(200, json={"results": found})

    assert make_client(listed).sequence_statuses() == {"a": "active", "b": "inactive", "c": ""}
    assert asked == [b"status=all"]


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (httpx.Response(403, json={"message": "no"}), MeisaRefused, "HTTP 403"),
        (httpx.Response(503, json={"message": "no"}), MeisaUnavailable, "HTTP 503"),
        (httpx.Response(200, json={"results": [{}]}), MeisaUnavailable, "its sequences is of no"),
    ],
)
def test_sequences_that_are_not_told(make_client, answer, error, told):
    """A refusal is for a person, the rest for later."""
    with pytest.raises(error, match=told):
        make_client(lambda _: answer).sequence_statuses()


def test_ping_takes_a_number_as_id(make_client):
    """Identifiers are texts to us."""
    body = {"api_key": {}, "product": {"id": 7}}
    assert make_client(lambda _: httpx.Response(200, json=body)).ping().product == "7"


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 405])
def test_f64_a_refused_key_or_address_stops(make_client, status):
    """What will not change by itself is told as something to correct."""
    refusal = httpx.Response(status, json={"detail": "no"})
    with pytest.raises(MeisaRefused, match=f"HTTP {status}, no") as refused:
        make_client(lambda _: refusal).ping()
    assert isinstance(refused.value, Stop)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "revoked"), (403, "scope"), (404, "MEISA_BASE_URL"), (307, "Redir")]
)
def test_f64_a_refusal_says_what_to_do(make_client, status, hint):
    """The hint names the setting or the page to go to."""
    with pytest.raises(MeisaRefused) as refused:
        make_client(lambda _: httpx.Response(status)).ping()
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(408),
        httpx.Response(429),
        httpx.Response(500, html="<p>"),
        httpx.Response(503, json={"message": "later"}),
        httpx.Response(200, html="<p>portal</p>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"status": "ok"}),
        httpx.Response(200, json={"api_key": {"scopes": "all"}}),
        httpx.Response(202, json=PINGED),
    ],
)
def test_f62_a_ping_without_a_useful_answer_may_be_tried_again(make_client, response):
    """Trouble over there is not the key's fault."""
    with pytest.raises(MeisaUnavailable):
        make_client(lambda _: response).ping()


def test_f62_a_ping_that_times_out_may_be_tried_again(make_client):
    """So is trouble on the way."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    with pytest.raises(MeisaUnavailable, match="within 30 s"):
        make_client(handler).ping()


LISTED = {"as_of": "2026-06-02T12:00:00Z", "count": 3, "emails": ["A@x.com", "a@x.com ", "nobody"]}


def test_the_list_arrives_as_a_set(make_client):
    """Lower-cased, distinct, malformed entries counted."""
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.path, request.content))
        return httpx.Response(200, json=LISTED)

    pulled = make_client(handler).unsubscribed_emails()
    assert seen == [("GET", "/api/v1/contacts/api/unsubscribed-emails/", b"")]
    assert pulled.emails == frozenset({"a@x.com"})
    assert (pulled.malformed, pulled.as_of) == (1, 1_780_401_600.0)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=orjson.dumps(LISTED)[:-5]),
        httpx.Response(200, html="<p>"),
        httpx.Response(200, json=None),
        httpx.Response(200, json=["a@x.com"]),
        httpx.Response(200, json=LISTED | {"count": 4}),
        httpx.Response(
            200,
            stream=httpx.ByteStream(orjson.dumps(LISTED)),
            headers={"content-encoding": "gzip"},
        ),
        httpx.Response(202, json=LISTED),
        httpx.Response(302, headers={"location": "/"}),
        httpx.Response(403, json={"detail": "scope"}),
        httpx.Response(500, json=LISTED),
    ],
)
def test_f80_a_list_that_is_not_whole_is_no_list(make_client, response):
    """Nothing but a complete 200 is believed."""
    with pytest.raises(SuppressionFailed):
        make_client(lambda _: response).unsubscribed_emails()


def test_f80_an_oversized_list_is_refused(make_client):
    """64 MiB are read, not a piece more."""
    taken = []

    class Huge(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                taken.append(1)
                yield b" " * 2**20

    assert LIST_LIMIT == 64 * 2**20
    with pytest.raises(SuppressionFailed, match="64 MiB"):
        make_client(lambda _: httpx.Response(200, stream=Huge())).unsubscribed_emails()
    assert len(taken) == 65


def test_a_failed_pull_tells_what_its_record_needs(make_client):
    """Status, pause and whether anything was sent travel with the error."""
    busy = httpx.Response(429, headers={"retry-after": "90"})
    with pytest.raises(PullFailed) as failed:
        make_client(lambda _: busy).unsubscribed_emails()
    assert (failed.value.status, failed.value.retry_after, failed.value.sent) == (429, 90.0, True)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 422, 500])
def test_f72_a_key_that_the_server_quotes_is_not_repeated(make_client, status):
    """Neither a body nor a header of an answer brings the key into an error."""
    said = httpx.Response(
        status,
        content=f'{{"detail": "unknown key {CANARY}"}}' + ("" if status != 200 else "}"),
        headers={"content-type": f"text/{CANARY}"},
    )
    client = make_client(lambda _: said)
    answer = client.upsert(BODY)
    with pytest.raises((MeisaRefused, MeisaUnavailable)) as refused:
        client.ping()
    shown = [repr(client), repr(answer), repr(refused.value), str(refused.value)]
    assert not [each for each in shown if CANARY in each]


def test_f72_errors_of_the_network_hold_no_key(make_client):
    """Not even where a library quotes a header line."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError(f"Illegal header value b'{CANARY}'")

    assert CANARY not in repr(make_client(handler).upsert(BODY))


def test_f73_a_rotated_key_is_used_by_the_next_request(make_client):
    """The key is read for each request anew."""
    seen = []
    keys = iter(["old-key-000", "new-key-111"])

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["x-api-key"])
        return httpx.Response(200, json=CONTACT)

    client = make_client(handler, api_key=lambda: next(keys))
    client.upsert(BODY)
    client.upsert(BODY)
    assert seen == ["old-key-000", "new-key-111"]


def test_an_unusable_key_is_a_matter_of_settings(make_client):
    """It is the one thing an upsert raises for."""
    with pytest.raises(SettingsError):
        make_client(lambda _: httpx.Response(200), api_key="").upsert(BODY)


def test_the_client_closes_what_it_sends_through(make_client):
    """Leaving the block closes the transport."""
    with make_client(lambda _: httpx.Response(200, json=CONTACT)) as client:
        assert client.upsert(BODY).status == 200


FURTHER = [
    (lambda m: m.track_event({"a": 1}), "POST", "/events/track/", {"a": 1}),
    (
        lambda m: m.add_tag("c-1", {"tag_name": "x"}),
        "POST",
        "/contacts/c-1/add_tag/",
        {"tag_name": "x"},
    ),
    (
        lambda m: m.remove_tag("a/b?c", {"tag_id": "t"}),
        "POST",
        "/contacts/a%2Fb%3Fc/remove_tag/",
        {"tag_id": "t"},
    ),
    (lambda m: m.trigger_email({"a": 1}), "POST", "/emails/trigger/", {"a": 1}),
    (lambda m: m.enroll({"a": 1}), "POST", "/sequences/enroll/", {"a": 1}),
    (lambda m: m.bulk_enroll({"a": 1}), "POST", "/sequences/api/bulk-enroll/", {"a": 1}),
    (lambda m: m.sequences(), "GET", "/sequences/api/list/", None),
    (
        lambda m: m.sequences({"search": "a b&c"}),
        "GET",
        "/sequences/api/list/?search=a+b%26c",
        None,
    ),
    (
        lambda m: m.contact_enrollments("a+b@x.com"),
        "GET",
        "/sequences/api/contact-enrollments/?email=a%2Bb%40x.com",
        None,
    ),
]


@pytest.mark.parametrize(("call", "method", "target", "body"), FURTHER)
def test_a_further_endpoint_is_the_documented_request(make_client, call, method, target, body):
    """Path, query and body arrive as they are, whatever characters are in them."""
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent = orjson.loads(request.content) if request.content else None
        seen.append((request.method, request.url.raw_path.decode(), sent))
        return httpx.Response(202, json={"status": "scheduled"})

    answer = call(make_client(handler))
    assert seen == [(method, f"/api/v1{target}", body)]
    assert (answer.status, answer.body) == (202, {"status": "scheduled"})


@pytest.mark.parametrize("call", [each[0] for each in FURTHER], ids=map(str, range(len(FURTHER))))
@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout])
def test_f60_a_further_endpoint_returns_what_went_wrong(make_client, call, error):
    """Deliveries judge; nothing of the network is raised at them."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise error("no")

    answer = call(make_client(handler))
    assert (answer.status, answer.sent) == (0, error is httpx.ReadTimeout)


@pytest.mark.parametrize("contact_id", ["", "  ", ".", ".."])
def test_an_id_that_would_change_the_path_is_not_sent(make_client, contact_id):
    """A path with dots or nothing in it would be another endpoint; nothing is raised either."""
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    for call in (make_client(handler).add_tag, make_client(handler).remove_tag):
        answer = call(contact_id, {"tag_name": "x"})
        assert (answer.status, answer.sent) == (0, False)
        assert "not a contact's id" in answer.error
    assert seen == []
