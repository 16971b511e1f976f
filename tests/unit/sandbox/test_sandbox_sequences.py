"""Sequences: enrolling one or many, and reading them."""

import uuid
from urllib.parse import urlencode

import pytest
from orjson import dumps

from meisa_cdc.sandbox import ApiKey, OptionError, Sequence

DAY = 86_400
ANNA = "anna@example.com"
THREE = Sequence(slug="three", name="Three mails", steps=(0.0, DAY, DAY))
OFF = Sequence(slug="off", status="inactive")
ENDLESS = Sequence(slug="endless", steps=())


@pytest.fixture
def desk(desk_with):
    """An account with three sequences, one of them inactive."""
    return desk_with(sequences=(THREE, OFF, ENDLESS))


def enroll(desk, **fields):
    """Status and JSON of an enrolment in `three`, unless another is named."""
    return desk.answer("POST", "/sequences/enroll/", dumps({"sequence_slug": "three", **fields}))


def enroll_many(desk, emails, **fields):
    """Status and JSON of a bulk enrolment in `three`, unless another is named."""
    body = {"sequence_slug": "three", "emails": emails, **fields}
    return desk.answer("POST", "/sequences/api/bulk-enroll/", dumps(body))


def read(desk, path, **query):
    """Status and JSON of a reading request."""
    return desk.answer("GET", f"/sequences/api/{path}/", query=urlencode(query))


def test_a_contact_is_enrolled_and_created_if_need_be(desk):
    """201 with the enrolment, and both triggers in order."""
    status, answer = enroll(desk, email=ANNA, metadata={"from": "test"}, trigger_source="tests")
    assert status == 201
    assert str(uuid.UUID(answer.pop("id")))
    assert answer == {
        "contact_email": ANNA,
        "sequence_slug": "three",
        "status": "active",
        "enrolled_at": "2026-01-12T12:00:00Z",
        "next_step_at": "2026-01-13T12:00:00Z",
    }
    assert desk.fired() == ["contact_created", "sequence_enrolled"]
    assert desk.account.triggers()[-1].sequence_slug == "three"
    assert enroll(desk, email=ANNA, sequence_slug="endless")[1]["next_step_at"] is None


def test_a_contact_in_the_sequence_is_rejected_until_it_is_through(desk):
    """409 while active, in any spelling of the address; afterwards it can begin again."""
    enroll(desk, email=ANNA)
    desk.clock.now += 2 * DAY - 1
    status, error = enroll(desk, email=ANNA.upper())
    assert (status, error["field"]) == (409, "email")
    desk.clock.now += 1
    assert enroll(desk, email=ANNA)[0] == 201
    assert desk.account.trigger_counts() == {"contact_created": 1, "sequence_enrolled": 2}


def test_progress_follows_the_clock(desk):
    """E-mails sent, next step and status are those of the moment of asking."""
    enroll(desk, email=ANNA)
    seen = []
    for _ in range(3):
        (shown,) = read(desk, "contact-enrollments", email=ANNA)[1]["enrollments"]
        seen.append((shown["emails_sent"], shown["next_step_at"], shown["status"]))
        desk.clock.now += DAY
    assert seen == [
        (1, "2026-01-13T12:00:00Z", "active"),
        (2, "2026-01-14T12:00:00Z", "active"),
        (3, None, "completed"),
    ]


def test_who_unsubscribed_is_422_unless_overridden(desk):
    """Nobody is created by a refusal."""
    desk.account.suppress(add=[ANNA])
    status, error = enroll(desk, email=ANNA)
    assert (status, error["field"]) == (422, "email")
    assert enroll(desk, email=ANNA, override_unsubscribe=False)[0] == 422
    assert desk.account.contacts() == []
    assert enroll(desk, email=ANNA, override_unsubscribe=True)[0] == 201


@pytest.mark.parametrize("slug", ["off", "unknown"])
def test_the_sequence_must_be_active(desk, slug):
    """Unknown and inactive are 400, for one contact and for many."""
    for status, error in (
        enroll(desk, email=ANNA, sequence_slug=slug),
        enroll_many(desk, [ANNA], sequence_slug=slug),
    ):
        assert (status, error["field"]) == (400, "sequence_slug")
    assert desk.account.contacts() == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "email"),
        ({"email": "anna"}, "email"),
        ({"email": ANNA, "sequence_slug": None}, "sequence_slug"),
        ({"email": ANNA, "metadata": "x"}, "metadata"),
        ({"email": ANNA, "trigger_source": 1}, "trigger_source"),
        ({"email": ANNA, "override_unsubscribe": "true"}, "override_unsubscribe"),
        ({"email": ANNA, "external_id": "7"}, "external_id"),
    ],
)
def test_an_enrolment_that_is_not_as_documented_is_400(desk, fields, named):
    """The field at fault is named and nobody is enrolled."""
    status, error = enroll(desk, **fields)
    assert (status, error["field"]) == (400, named)
    assert desk.fired() == []


def test_many_are_enrolled_and_some_skipped(desk):
    """Those in it already, those twice in the list, those unsubscribed; the rest is created."""
    enroll(desk, email=ANNA)
    desk.account.suppress(add=["gone@example.com"])
    emails = [ANNA, "b@example.com", "B@example.com", "gone@example.com", "c@example.com"]
    assert enroll_many(desk, emails) == (
        200,
        {"sequence_slug": "three", "enrolled": 2, "skipped": 3},
    )
    assert enroll_many(desk, emails, override_unsubscribe=True)[1]["enrolled"] == 1
    assert len(desk.account.contacts()) == 4
    assert desk.account.trigger_counts()["sequence_enrolled"] == 4


def test_five_hundred_are_the_most(desk):
    """One more is 400 and enrols nobody."""
    emails = [f"{number}@example.com" for number in range(501)]
    status, error = enroll_many(desk, emails)
    assert (status, error["field"]) == (400, "emails")
    assert desk.account.contacts() == []
    assert enroll_many(desk, emails[:500])[1]["enrolled"] == 500


@pytest.mark.parametrize("emails", [[], None, ANNA, [ANNA, "bert"], [ANNA, None], [[ANNA]]])
def test_a_list_with_anything_else_in_it_is_400(desk, emails):
    """One bad address spoils the request: nobody is enrolled."""
    status, error = enroll_many(desk, emails)
    assert (status, error["field"]) == (400, "emails")
    assert desk.account.contacts() == []


@pytest.mark.parametrize(
    ("query", "slugs"),
    [
        ({}, ["three", "endless"]),
        ({"status": "active"}, ["three", "endless"]),
        ({"status": "inactive"}, ["off"]),
        ({"status": "all"}, ["three", "off", "endless"]),
        ({"search": "MAILS"}, ["three"]),
        ({"search": "end"}, ["endless"]),
        ({"search": "off"}, []),
        ({"search": "off", "status": "all"}, ["off"]),
        ({"search": ""}, ["three", "endless"]),
    ],
)
def test_sequences_are_listed_by_status_and_search(desk, query, slugs):
    """Active ones unless asked otherwise; slug and name are searched in any case."""
    status, answer = read(desk, "list", **query)
    assert status == 200
    assert [each["slug"] for each in answer["results"]] == slugs


def test_a_sequence_is_described(desk):
    """With a lasting id, a name, and how many were ever enrolled."""
    enroll_many(desk, [ANNA, "b@example.com"])
    desk.clock.now += 10 * DAY
    enroll(desk, email=ANNA)
    first, second = read(desk, "list")[1]["results"]
    assert str(uuid.UUID(first["id"]))
    assert read(desk, "list")[1]["results"][0]["id"] == first["id"] != second["id"]
    assert (first["name"], first["status"], first["total_enrolled"]) == ("Three mails", "active", 3)
    assert (second["name"], second["total_enrolled"]) == ("Endless", 0)


def test_a_contact_without_enrolments_is_told_from_none(desk):
    """contact_exists says which."""
    desk.upsert(email=ANNA)
    assert read(desk, "contact-enrollments", email=ANNA) == (
        200,
        {"email": ANNA, "contact_exists": True, "enrollments": []},
    )
    answer = read(desk, "contact-enrollments", email="nobody@example.com")[1]
    assert (answer["contact_exists"], answer["enrollments"]) == (False, [])


def test_a_deleted_contact_takes_its_enrolments_along(desk):
    """Who comes back under the address begins anew."""
    desk.upsert(email=ANNA, external_id="7")
    enroll(desk, email=ANNA)
    desk.account.delete_contact("7")
    assert desk.account.enrollments(ANNA) == []
    assert enroll(desk, email=ANNA)[0] == 201
    assert read(desk, "list")[1]["results"][0]["total_enrolled"] == 1


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("list", "status=draft", "status"),
        ("list", "page=2", "page"),
        ("list", "status=all&status=active", "status"),
        ("contact-enrollments", "", "email"),
        ("contact-enrollments", "email=anna", "email"),
        ("contact-enrollments", "email=a%40example.com&external_id=7", "external_id"),
    ],
)
def test_a_query_that_is_not_as_documented_is_400(desk, path, query, named):
    """The parameter at fault is named."""
    status, error = desk.answer("GET", f"/sequences/api/{path}/", query=query)
    assert (status, error["field"]) == (400, named)


def test_no_query_is_documented_elsewhere(desk):
    """Not even a harmless one."""
    status, error = desk.answer("GET", "/ping/", query="x=1")
    assert (status, error["message"]) == (400, "There is no field 'x' here; there are none.")


@pytest.mark.parametrize(
    ("scope", "allowed"), [("sequences:read", {"GET"}), ("sequences:enroll", {"POST"})]
)
def test_reading_and_enrolling_have_scopes_of_their_own(desk_with, scope, allowed):
    """Neither grants the other."""
    desk = desk_with(keys=(ApiKey(scopes=(scope,)),), sequences=(THREE,))
    answers = {
        "GET": [read(desk, "list"), read(desk, "contact-enrollments", email=ANNA)],
        "POST": [enroll(desk, email=ANNA), enroll_many(desk, [ANNA])],
    }
    refused = {method for method, each in answers.items() if {s for s, _ in each} == {403}}
    assert refused == {"GET", "POST"} - allowed


@pytest.mark.parametrize("wrong", [{"slug": ""}, {"slug": "s", "steps": (-1.0,)}])
def test_a_sequence_that_makes_no_sense_is_refused(wrong):
    """The message says which and why."""
    with pytest.raises(OptionError, match="sequences: "):
        Sequence(**wrong)


def test_two_of_one_name_are_refused(desk_with):
    """Which one a request means would be a guess."""
    with pytest.raises(OptionError, match="'three' is there twice"):
        desk_with(sequences=(THREE, THREE))
