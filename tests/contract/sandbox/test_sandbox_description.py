"""The OpenAPI description: complete, obeyed, and nothing is answered that it does not tell."""

import subprocess
import sys
from typing import Any

import httpx
import jsonschema_rs
import pytest
from hypothesis import given, strategies as st

from meisa_cdc.sandbox import (
    DEFAULT_API_KEY,
    Account,
    ApiKey,
    SandboxOptions,
    SandboxServer,
    Sequence,
    parse_limits,
)
from meisa_cdc.sandbox.api.openapi import describe_api
from meisa_cdc.sandbox.api.table import ENDPOINTS
from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.fields import check_body, check_fields

OPTIONS = SandboxOptions()
BODIES = {endpoint.path: endpoint.body for endpoint in ENDPOINTS if endpoint.body is not None}

EMAILS = st.from_regex(r"[^@\s]{0,3}@[a-z.\x00\x85 ]{0,6}", fullmatch=True) | st.emails()
TEXTS = st.text(max_size=3) | st.sampled_from(["api", "signup", "welcome-pro", "\x85", "　"])
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | TEXTS | EMAILS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@pytest.fixture
def client(meisa):
    """A client with a valid key."""
    with httpx.Client(
        base_url=meisa.base_url, headers={"X-API-Key": DEFAULT_API_KEY}, trust_env=False
    ) as ready:
        yield ready


@pytest.fixture
def description(meisa):
    """The document as it is served."""
    return httpx.get(f"{meisa.url}/openapi.json", trust_env=False).json()


def test_schemathesis_finds_nothing(meisa, tmp_path):
    """Valid requests are accepted, others refused, and every answer is as described.

    A wrong method is answered 404 here: the API documents know no 405.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{meisa.url}/openapi.json"),
            *("--header", f"X-API-Key: {DEFAULT_API_KEY}", "--no-color"),
            *("--checks", "all", "--exclude-checks", "unsupported_method"),
            *("--generation-deterministic", "--max-examples", "20"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(ENDPOINTS)}" in done.stdout


def test_every_endpoint_is_described_with_its_scope(description):
    """By method and path, and nothing else is."""
    described = {
        (method.upper(), path): operation["security"]
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    assert described == {
        (endpoint.method, endpoint.path): [{"ApiKey": [endpoint.scope] if endpoint.scope else []}]
        for endpoint in ENDPOINTS
    }
    assert description["openapi"] == "3.1.0"
    assert description["servers"] == [{"url": "/api/v1"}]


def test_every_operation_has_a_name_of_its_own(description):
    """As programs that generate clients need it."""
    names = [
        operation["operationId"]
        for operations in description["paths"].values()
        for operation in operations.values()
    ]
    assert len(set(names)) == len(names) == len(ENDPOINTS)
    assert all(name.isidentifier() for name in names)


def test_what_people_configured_is_in_it():
    """Only the active sequences can be named."""
    options = SandboxOptions(sequences=(Sequence(slug="a"), Sequence(slug="b", status="inactive")))
    operation = describe_api(options)["paths"]["/sequences/enroll/"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["sequence_slug"]["enum"] == ["a"]


#: Each rule once, under a field that has it.
RULES = {
    field.rule: field.name
    for endpoint in ENDPOINTS
    for field in (*endpoint.query, *(endpoint.body.fields if endpoint.body else ()))
}


@pytest.mark.parametrize("rule", RULES, ids=RULES.values())
@given(value=VALUES)
def test_a_rule_and_its_schema_agree(rule, value):
    """On any value at all."""
    assert (rule.check(value) is None) == jsonschema_rs.is_valid(rule.schema, value)


def _accepts(body, document):
    try:
        check_body(body, "application/json", document)
    except Refusal:
        return False
    return True


@pytest.mark.parametrize("path", BODIES)
@given(data=st.data())
def test_a_body_and_its_schema_agree(path, data):
    """Whichever fields are there, right or wrong, known or not."""
    body = BODIES[path]
    fine = {"email": "a@example.com", "to_email": "a@example.com", "emails": ["a@example.com"]}
    names = [*(field.name for field in body.fields), "status"]
    document = data.draw(
        st.dictionaries(st.sampled_from(names), st.just("api") | VALUES).map(
            lambda drawn: {
                name: fine.get(name, value) if value == "api" else value
                for name, value in drawn.items()
            }
        )
    )
    schema = {
        **body.schema(OPTIONS),
        "properties": {field.name: field.rule.schema for field in body.fields},
    }
    assert _accepts(body, document) == jsonschema_rs.is_valid(schema, document)


def test_a_field_left_open_by_the_schema_is_refused_by_name():
    """Both sides close their objects: the check names what the schema only excludes."""
    with pytest.raises(Refusal, match="'status'"):
        check_fields(BODIES["/contacts/upsert/"].fields, {"status": "active"})


TO = {"to_email": "t@example.com"}
SCENARIO: list[tuple[str, str, dict[str, Any] | None, int]] = [
    ("GET", "/ping/", None, 200),
    ("POST", "/contacts/upsert/", {"email": "a@example.com", "external_id": "1"}, 200),
    ("POST", "/contacts/upsert/", {"email": "b@example.com", "tag_names": ["x"]}, 200),
    ("POST", "/contacts/upsert/", {"email": "b@example.com", "external_id": "1"}, 409),
    ("POST", "/contacts/upsert/", {"email": "b@example.com", "status": "active"}, 400),
    ("GET", "/contacts/api/unsubscribed-emails/", None, 200),
    ("POST", "/contacts/{id}/add_tag/", {"tag_name": "y"}, 200),
    ("POST", "/contacts/{id}/remove_tag/", {"tag_name": "y"}, 200),
    ("POST", "/contacts/{id}/remove_tag/", {"tag_name": "z"}, 404),
    ("POST", "/events/track/", {"email": "a@example.com", "event_name": "x"}, 200),
    ("POST", "/events/track/", {"email": "c@example.com", "event_name": "x"}, 404),
    ("POST", "/emails/trigger/", {"trigger_key": "verification_code", **TO}, 200),
    ("POST", "/emails/trigger/", {"trigger_key": "payment_failure", **TO}, 202),
    ("POST", "/emails/trigger/", {"trigger_key": "unknown", **TO}, 400),
    (
        "POST",
        "/emails/trigger/",
        {"trigger_key": "verification_code", "to_email": "gone@example.com"},
        422,
    ),
    (
        "POST",
        "/emails/trigger/",
        {"trigger_key": "verification_code", "recipient": {"external_id": "1"}, **TO},
        409,
    ),
    ("POST", "/sequences/enroll/", {"email": "a@example.com", "sequence_slug": "win-back"}, 201),
    ("POST", "/sequences/enroll/", {"email": "a@example.com", "sequence_slug": "win-back"}, 409),
    ("POST", "/sequences/enroll/", {"email": "gone@example.com", "sequence_slug": "win-back"}, 422),
    (
        "POST",
        "/sequences/api/bulk-enroll/",
        {"emails": ["a@example.com", "d@example.com"], "sequence_slug": "win-back"},
        200,
    ),
    ("GET", "/sequences/api/list/", None, 200),
    ("GET", "/sequences/api/contact-enrollments/?email=a@example.com", None, 200),
    ("GET", "/sequences/api/contact-enrollments/", None, 400),
]


def test_every_answer_is_as_described(client, meisa, description):
    """A scenario that meets every success and every refusal of the endpoints' own."""
    meisa.account.suppress(add=["gone@example.com"])
    met = set()
    for method, path, body, expected in SCENARIO:
        contact = meisa.account.contact(external_id="1") or {"id": "0"}
        answer = client.request(method, path.replace("{id}", str(contact["id"])), json=body)
        assert answer.status_code == expected, (path, body, answer.text)
        operation = description["paths"][path.partition("?")[0]][method.lower()]
        _assert_described(description, operation, answer)
        met.add((path.partition("?")[0], expected))
    own = {(e.path, status) for e in ENDPOINTS for status in e.answers} - {
        ("/contacts/upsert/", 201),
        ("/contacts/{id}/add_tag/", 404),
    }
    assert own <= met


def test_the_usual_refusals_are_as_described():
    """No such key, a key without the scope, no place left in the window."""
    options = SandboxOptions(keys=(ApiKey(scopes=("contacts:read",)),), limits=parse_limits("1/1h"))
    with SandboxServer(Account(options)) as server:
        description = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
        operation = description["paths"]["/contacts/upsert/"]["post"]
        answers = [
            httpx.post(
                f"{server.base_url}/contacts/upsert/",
                headers={"X-API-Key": key},
                json={"email": "a@example.com"},
                trust_env=False,
            )
            for key in ("wrong", DEFAULT_API_KEY, DEFAULT_API_KEY)
        ]
    assert [answer.status_code for answer in answers] == [401, 403, 429]
    for answer in answers:
        _assert_described(description, operation, answer)
    assert operation["responses"]["429"]["headers"].keys() == {"Retry-After"}
    assert answers[-1].headers["Retry-After"].isdecimal()


def _assert_described(description, operation, answer):
    response = operation["responses"][str(answer.status_code)]
    schema = response["content"][answer.headers["content-type"]]["schema"]
    whole = {**schema, "components": description["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(answer.json())
