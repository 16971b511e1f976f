"""What is held, and each way of letting it go."""

import pytest

from tests.acceptance.installed import Desk, payload, users

MANY = 12


@pytest.fixture
def crowded(desk: Desk) -> Desk:
    """Return a desk whose app has one user more than a first load may bring unasked."""
    desk.settings["MEISA_CDC_GUARD__MIN_CONTACTS"] = str(MANY - 1)
    desk.app_has(users(MANY))
    return desk


def test_a_first_load_waits_for_exactly_its_digest(desk: Desk) -> None:
    """No other digest lets it go, neither an invented one nor that of an earlier plan."""
    desk.app_has(users(101))
    held = desk.run("sync", code=3)
    digest = held.out.partition("--approve ")[2].split()[0]
    assert "HELD contacts/identity (first_load): the first load would create 101" in held.out
    assert "meisa-cdc baseline" in held.out

    refused = desk.run("sync", "--approve", "0" * 32, code=1)
    assert "Nothing that is held at present has the digest" in refused.err
    assert digest in refused.err
    desk.app_has(users(101, plan="pro"))
    outdated = desk.run("sync", "--approve", digest, code=1)
    assert desk.sent() == []

    now = outdated.err.partition("(")[2].partition(")")[0]
    assert desk.json("sync", "--approve", now)["delivered"] == 101
    assert {payload(each)["source"] for each in desk.sent()} == {"initial_sync"}


def test_baseline_takes_the_present_as_sent(crowded: Desk) -> None:
    """Nothing is sent for what was there; a later change is, and that alone."""
    told = crowded.json("baseline")
    assert (told["contacts"], told["in_doubt"]) == (MANY, 0)
    assert told["fields"] == MANY * 3
    crowded.app_has({**users(MANY), **users(1, plan="pro")})
    assert crowded.json("sync")["delivered"] == 1
    (record,) = crowded.sent()
    assert payload(record) == {
        "email": "u000@example.com",
        "external_id": "u000",
        "custom_fields": {"plan": "pro"},
    }


def test_baseline_of_one_field_leaves_the_others(desk: Desk) -> None:
    """What a new field says now counts as sent, while another one's changes still go out."""
    desk.run("sync")
    desk.app_has(users(3, plan="pro"))
    desk.map(identity="select id as external_id, email, first_name, upper(id) as badge from users")
    told = desk.json("baseline", "--select", "contacts/identity", "--field", "badge")
    assert (told["contacts"], told["fields"]) == (3, 3)
    heard = desk.heard()
    assert desk.json("sync")["delivered"] == 3
    assert {tuple(payload(each)["custom_fields"]) for each in desk.sent(heard)} == {("plan",)}


def test_a_hold_on_record_is_approved_by_its_digest(crowded: Desk) -> None:
    """`approve` releases what a run recorded, as far as it is still so; no other digest does."""
    refused = crowded.run("approve", "0" * 32, code=1)
    assert "No hold on record has the digest" in refused.err
    assert "meisa-cdc status" in refused.err
    crowded.run("sync", code=3)
    (hold,) = crowded.json("status")["holds"]
    assert (hold["reason"], hold["contacts"], hold["approved_at"]) == ("first_load", MANY, None)
    told = crowded.json("approve", hold["digest"])
    assert told == {
        "approved": hold["digest"],
        "mapping": "contacts/identity",
        "contacts": MANY,
    }
    assert crowded.sent() == []
    crowded.app_has({**users(MANY), **users(1, plan="pro")})
    crowded.run("sync", code=None)
    sent = {str(each.external_id) for each in crowded.sent()}
    assert sent == set(users(MANY)) - {"u000"}


def test_an_emptied_mapping_is_held_whatever_its_size(desk: Desk) -> None:
    """A mapping that had rows and has none is a surprise, even among three contacts."""
    desk.run("sync")
    desk.app_has(users(3, plan=None))
    heard = desk.heard()
    told = desk.json("sync", code=3)
    (hold,) = told["guard"]["holds"]
    assert (hold["mapping"], hold["reason"]) == ("contacts/plan", "empty")
    assert desk.sent(heard) == []
    assert desk.json("sync", "--approve", hold["digest"])["delivered"] == 3
    assert {payload(each)["custom_fields"]["plan"] for each in desk.sent(heard)} == {None}


def test_a_list_that_releases_many_addresses_is_held(desk: Desk) -> None:
    """Additions apply at once; releases wait for the digest that the pull names."""
    addresses = [f"s{n:02}@example.com" for n in range(30)]
    desk.account.suppress(add=addresses)
    told = desk.json("suppressions")
    assert (told["count"], told["added"], told["released"]) == (30, 30, 0)
    desk.account.suppress(add=["new@example.com"], remove=addresses[:12])
    held = desk.json("suppressions", code=3)
    assert (held["added"], held["released"], held["held"]) == (1, 0, 12)
    listed = desk.json("suppressions", "list")["suppressed"]
    assert [each["email"] for each in listed] == sorted([*addresses, "new@example.com"])
    other = desk.run("suppressions", "--approve", "0" * 16, code=3)
    assert "is not the digest of what is held now" in other.err
    assert held["digest"] in other.out
    done = desk.json("suppressions", "--approve", held["digest"])
    assert (done["released"], done["held"], done["digest"]) == (12, 0, None)
    lines = desk.run("suppressions", "export").out.splitlines()
    assert lines[0] == "email,suppressed_at,as_of"
    left = sorted([*addresses[12:], "new@example.com"])
    assert [line.partition(",")[0] for line in lines[1:]] == left
