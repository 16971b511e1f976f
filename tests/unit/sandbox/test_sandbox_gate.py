"""What is refused before an endpoint is reached."""

import pytest

from meisa_cdc.sandbox import SCOPES, ApiKey


def test_a_request_without_a_key_is_401(desk):
    """The message names the header."""
    status, error = desk.ping(key=None)
    assert status == 401
    assert "X-API-Key" in error["message"]


def test_a_wrong_key_is_401(desk):
    """The message says so without repeating the key."""
    status, error = desk.ping(key="meisa_test_wrong")
    assert status == 401
    assert error["message"] == "The API key is not valid."


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/contacts/upsert/", "contacts:write"),
        ("GET", "/contacts/api/unsubscribed-emails/", "contacts:read"),
    ],
)
def test_a_key_without_the_scope_is_403_naming_it(desk_with, method, path, scope):
    """Every other scope together does not help, and nothing takes effect."""
    others = tuple(other for other in SCOPES if other != scope)
    desk = desk_with(keys=(ApiKey(scopes=others),))
    status, error = desk.answer(method, path, b'{"email": "a@example.com"}')
    assert status == 403
    assert scope in error["message"]
    assert error["required_scope"] == scope
    assert desk.account.contacts() == []


def test_tags_write_does_not_allow_upserts(desk_with):
    """That scope exists and grants nothing."""
    desk = desk_with(keys=(ApiKey(scopes=("tags:write",)),))
    assert desk.upsert(email="a@example.com", tag_names=["x"])[0] == 403


def test_ping_needs_no_scope(desk_with):
    """A valid key without any scope is told so."""
    status, answer = desk_with(keys=(ApiKey(scopes=()),)).ping()
    assert status == 200
    assert answer["api_key"]["scopes"] == []


@pytest.mark.parametrize(
    ("method", "path", "advice"),
    [
        ("POST", "/contacts/upsert", "ends with a slash"),
        ("GET", "/ping", "ends with a slash"),
        ("GET", "/contacts/upsert/", "takes POST"),
        ("POST", "/broadcasts/", "There is no POST /api/v1/broadcasts/."),
    ],
)
def test_an_undocumented_place_is_404_in_json(desk, method, path, advice):
    """The message says what is near, if anything is."""
    status, error = desk.answer(method, path, b"{}")
    assert status == 404
    assert advice in error["message"]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_declared_as_json_is_400(desk, content_type):
    """The message names the header and what it must be."""
    status, error = desk.answer(
        "POST", "/contacts/upsert/", b'{"email": "a@example.com"}', content_type=content_type
    )
    assert status == 400
    assert "application/json" in error["message"]


def test_the_content_type_may_carry_a_charset(desk):
    """Parameters and case of the header do not matter."""
    status, _ = desk.answer(
        "POST",
        "/contacts/upsert/",
        b'{"email": "a@example.com"}',
        content_type="Application/JSON; charset=utf-8",
    )
    assert status == 200


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"a"', b"{", b"\xff", b'{"email": NaN}'])
def test_a_body_that_is_no_json_object_is_400(desk, body):
    """The message says what it must be."""
    status, error = desk.answer("POST", "/contacts/upsert/", body)
    assert status == 400
    assert "JSON object" in error["message"]
