"""Tags added and removed one by one."""

import pytest
from orjson import dumps

from meisa_cdc.sandbox import ApiKey


@pytest.fixture
def anna(desk):
    """The contact there is, as last answered."""
    return desk.upsert(email="anna@example.com", tag_names=["trial"])[1]


def tag(desk, contact, verb, **fields):
    """Status and JSON of such a request about the contact."""
    return desk.answer("POST", f"/contacts/{contact['id']}/{verb}_tag/", dumps(fields))


def names(contact):
    """Its tags."""
    return [each["name"] for each in contact["tags"]]


def test_a_tag_is_added_and_removed_by_name(desk, anna):
    """Both answer with the contact, move updated_at and fire."""
    desk.clock.now += 60
    status, contact = tag(desk, anna, "add", tag_name="churned")
    assert (status, names(contact)) == (200, ["trial", "churned"])
    assert contact["updated_at"] == "2026-01-12T12:01:00Z"
    desk.clock.now += 60
    status, contact = tag(desk, anna, "remove", tag_name="trial")
    assert (status, names(contact)) == (200, ["churned"])
    assert contact["updated_at"] == "2026-01-12T12:02:00Z"
    assert [(each.kind, each.tag) for each in desk.account.triggers()[1:]] == [
        ("tag_added", "trial"),
        ("tag_added", "churned"),
        ("tag_removed", "trial"),
    ]


def test_a_tag_is_added_and_removed_by_id(desk, anna):
    """The id is the one that any contact with the tag shows."""
    other = desk.upsert(email="bert@example.com")[1]
    tag_id = anna["tags"][0]["id"]
    assert names(tag(desk, other, "add", tag_id=tag_id)[1]) == ["trial"]
    assert names(tag(desk, other, "remove", tag_id=tag_id)[1]) == []
    assert names(desk.account.contact(email="anna@example.com")) == ["trial"]


def test_what_is_so_already_is_answered_and_fires_nothing(desk, anna):
    """Adding a tag twice, or removing one that only another contact has."""
    desk.upsert(email="bert@example.com", tag_names=["vip"])
    fired = desk.fired()
    desk.clock.now += 60
    assert tag(desk, anna, "add", tag_name="trial") == (200, anna)
    assert tag(desk, anna, "remove", tag_name="vip") == (200, anna)
    assert desk.fired() == fired


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("add", {"tag_id": "00000000-0000-4000-8000-000000000000"}),
        ("remove", {"tag_id": "00000000-0000-4000-8000-000000000000"}),
        ("remove", {"tag_name": "never seen"}),
    ],
)
def test_a_tag_that_nobody_ever_had_is_404(desk, anna, verb, fields):
    """Only a name can become a tag."""
    status, error = tag(desk, anna, verb, **fields)
    assert (status, error["field"]) == (404, next(iter(fields)))


@pytest.mark.parametrize("verb", ["add", "remove"])
def test_a_contact_that_is_not_there_is_404(desk, anna, verb):
    """Its external_id or e-mail is no id of Meisa's."""
    for wrong in ("7", "anna@example.com", "00000000-0000-4000-8000-000000000000"):
        status, error = tag(desk, {"id": wrong}, verb, tag_name="trial")
        assert status == 404
        assert repr(wrong) in error["message"]


@pytest.mark.parametrize("verb", ["add", "remove"])
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "tag_name"),
        ({"tag_name": "a", "tag_id": "b"}, "tag_name"),
        ({"tag_name": ""}, "tag_name"),
        ({"tag_id": ""}, "tag_id"),
        ({"tag_name": ["a"]}, "tag_name"),
        ({"name": "a"}, "name"),
    ],
)
def test_exactly_one_of_name_and_id_is_needed(desk, anna, verb, fields, named):
    """Anything else is a 400 that names the field."""
    status, error = tag(desk, anna, verb, **fields)
    assert (status, error["field"]) == (400, named)
    assert desk.account.contacts() == [anna]


@pytest.mark.parametrize(
    ("scopes", "status"), [(("contacts:write",), 200), (("tags:write", "contacts:read"), 403)]
)
def test_the_scope_is_that_of_contacts(desk_with, scopes, status):
    """`tags:write` grants nothing."""
    writer = ApiKey(secret="writer")
    desk = desk_with(keys=(writer, ApiKey(scopes=scopes)))
    body = dumps({"email": "anna@example.com"})
    contact = desk.answer("POST", "/contacts/upsert/", body, key="writer")[1]
    assert tag(desk, contact, "add", tag_name="vip")[0] == status


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/contacts/7/add_tag", "ends with a slash"),
        ("/contacts//add_tag/", "There is no POST /api/v1/contacts//add_tag/."),
        ("/contacts/7/8/add_tag/", "There is no POST"),
        ("/contacts/7/set_tag/", "There is no POST"),
    ],
)
def test_only_the_documented_path_leads_there(desk, path, advice):
    """One segment stands for the id, and a missing slash is told."""
    status, error = desk.answer("POST", path, dumps({"tag_name": "a"}))
    assert status == 404
    assert advice in error["message"]


def test_another_method_is_told_the_right_one(desk):
    """Also on a path with an open segment."""
    status, error = desk.answer("DELETE", "/contacts/7/add_tag/")
    assert status == 404
    assert error["message"].endswith("this path takes POST.")
