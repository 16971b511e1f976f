"""The typed client: which error each answer without success becomes, and what it is sure of."""

from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from meisa_cdc.core.errors import MeisaCdcError
from meisa_cdc.meisa import (
    FixAddress,
    FixKey,
    FixRequest,
    MaybeDone,
    MeisaClient,
    MeisaError,
    NotFound,
    TryLater,
    Unprocessable,
)

from .conftest import CANARY
from .typed_calls import (
    CALLS,
    CONTACT,
    LISTED,
    NAMING,
    READS,
    REPEATABLE,
    WRITES,
    Call,
    answering,
    ok,
)

REFUSALS = [
    (301, FixAddress),
    (307, FixAddress),
    (400, FixRequest),
    (401, FixKey),
    (403, FixKey),
    (405, FixAddress),
    (409, FixRequest),
    (413, FixRequest),
    (422, Unprocessable),
]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("status", "kind"), REFUSALS)
def test_a_refusal_is_certain(name, status, kind):
    """It says what to correct, in Meisa's words, and that nothing was done."""
    with pytest.raises(MeisaError, match=f"HTTP {status}, because") as refused:
        CALLS[name][0](answering(httpx.Response(status, json={"detail": "because"})))
    error = refused.value
    assert type(error) is kind
    assert isinstance(error, MeisaCdcError)
    assert (error.status, error.nothing_done) == (status, True)


@pytest.mark.parametrize("name", CALLS)
def test_404_is_about_what_the_call_names_or_about_the_address(name):
    """A call that names nothing can only have gone to the wrong place."""
    with pytest.raises(MeisaError) as refused:
        CALLS[name][0](answering(httpx.Response(404, json={"message": "no such contact"})))
    assert type(refused.value) is (NotFound if name in NAMING else FixAddress)
    with pytest.raises(FixAddress, match="404") as lost:
        CALLS[name][0](answering(httpx.Response(404, html="<h1>nginx</h1>")))
    assert "/api/v1" in lost.value.hint


def test_a_missing_scope_is_named():
    """Whoever holds the dashboard knows what to tick."""
    with pytest.raises(FixKey) as refused:
        answering(httpx.Response(403)).trigger_email("k", "a@x.com")
    assert "emails:trigger" in refused.value.hint


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("header", "seconds"), [({"retry-after": "17"}, 17.0), ({"retry-after": "-5"}, 1.0), ({}, 60.0)]
)
def test_f61_over_the_limit_says_when_to_come_back(name, header, seconds):
    """Nothing was done; the pause is one that can be believed."""
    busy = httpx.Response(429, json={"message": "slow down"}, headers=header)
    with pytest.raises(TryLater, match="slow down") as refused:
        CALLS[name][0](answering(busy))
    error = refused.value
    assert (error.status, error.retry_after, error.nothing_done) == (429, seconds, True)


@pytest.mark.parametrize("name", CALLS)
def test_f60_no_connection_is_certain(name):
    """Meisa has seen nothing."""
    with pytest.raises(TryLater, match="not reached") as refused:
        CALLS[name][0](answering(httpx.ConnectError))
    assert (refused.value.status, refused.value.nothing_done) == (0, True)


UNCERTAIN = [
    httpx.ReadTimeout,
    httpx.RemoteProtocolError,
    httpx.Response(408),
    httpx.Response(500, html="<p>"),
    httpx.Response(503, json={"message": "maintenance"}, headers={"retry-after": "9"}),
    httpx.Response(200, html="<p>a portal</p>"),
    httpx.Response(200, content=b""),
    httpx.Response(200, json=None),
    httpx.Response(200, content=b'{"id": "c-1", "ema'),
]


@pytest.mark.parametrize("answer", UNCERTAIN)
@pytest.mark.parametrize("name", WRITES)
def test_f62_a_write_without_a_certain_answer_may_have_been_done(name, answer):
    """And the error knows whether the same call may be made again."""
    with pytest.raises(MaybeDone) as lost:
        CALLS[name][0](answering(answer))
    error = lost.value
    assert (error.nothing_done, error.repeatable) == (False, name in REPEATABLE)
    assert ("at once" in error.hint) is error.repeatable
    status = answer.status_code if isinstance(answer, httpx.Response) else 0
    assert (error.status, error.retry_after) == (status, 9.0 if status == 503 else None)


@pytest.mark.parametrize("answer", [*UNCERTAIN, ok([]), ok({"detail": "?"}), httpx.Response(204)])
@pytest.mark.parametrize("name", READS)
def test_f62_a_read_without_a_useful_answer_is_tried_later(name, answer):
    """Reading changes nothing, so nothing can have been done."""
    with pytest.raises(TryLater) as lost:
        CALLS[name][0](answering(answer))
    assert lost.value.nothing_done


@pytest.mark.parametrize("name", READS)
def test_a_read_is_answered_by_a_200_alone(name):
    """What is accepted for later, or partial, is not what was asked for."""
    with pytest.raises(TryLater, match="HTTP 202"):
        CALLS[name][0](answering(ok(CALLS[name][1], 202)))


@pytest.mark.parametrize("body", [[], {"status": 1.5, "id": ""}, {"id": None}, {"detail": "?"}])
@pytest.mark.parametrize("name", ["upsert", "track_event", "trigger_email", "enroll"])
def test_f65_success_without_its_object_is_in_doubt(name, body):
    """A 200 that is not about what was asked proves nothing."""
    if "status" in body and name in {"track_event", "trigger_email"}:
        body = {"status": ""}
    with pytest.raises(MaybeDone, match="of no use"):
        CALLS[name][0](answering(ok(body)))


@pytest.mark.parametrize("wrong", [{"email": "b@example.com"}, {"external_id": "8"}])
def test_f66_an_upsert_answered_for_somebody_else_is_in_doubt(wrong):
    """To repeat it would be no better."""
    with pytest.raises(MaybeDone, match="another contact") as lost:
        answering(ok(CONTACT | wrong)).upsert("a@example.com", external_id=7)
    assert not lost.value.repeatable


@pytest.mark.parametrize(
    "broken",
    [LISTED | {"count": 3}, LISTED | {"emails": None}, LISTED | {"as_of": "soon"}],
)
def test_f80_a_list_that_is_not_whole_is_none(broken):
    """Half a list would let people be e-mailed who asked not to be."""
    with pytest.raises(TryLater, match="not whole"):
        answering(ok(broken)).unsubscribed_emails()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "email", "status", "tags", "results", "contact_exists"]), inner
        )
    ),
    max_leaves=8,
)


@given(name=st.sampled_from(list(CALLS)), status=st.integers(200, 599), body=JSON)
def test_whatever_comes_back_is_a_value_or_an_error_to_act_on(name, status, body):
    """Nothing else is raised; only a refusal, a 429 or a read is certain to have done nothing."""
    outcome = _outcome(CALLS[name][0], answering(httpx.Response(status, json=body)))
    if not isinstance(outcome, MeisaError):
        assert 200 <= status < 300
        return
    certain = 300 <= status < 500 and status != 408
    assert outcome.nothing_done is (certain or name in READS)
    assert outcome.status == status


def _outcome(call: Call, meisa: MeisaClient) -> Any:
    try:
        return call(meisa)
    except MeisaError as error:
        return error


@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
def test_f72_no_error_shows_the_key(status):
    """Not even if Meisa quotes it."""
    quoted = httpx.Response(status, content=f"unknown key {CANARY}".encode())
    meisa = answering(quoted)
    with pytest.raises(MeisaError) as refused:
        meisa.ping()
    assert CANARY not in f"{meisa!r} {refused.value!r} {refused.value}"
