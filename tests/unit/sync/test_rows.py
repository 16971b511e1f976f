"""What a pass makes of rows: keys, addresses, unusable values, people who come and go."""

import math
from decimal import Decimal
from typing import Any

import pytest

from meisa_cdc.core.diff import Invalid
from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.mapping import FieldSettings
from tests.unit.sync.worlds import IDENTITY, PLAN, USAGE, World


def invalid(world: World) -> list[Invalid]:
    """Return what cannot be used at present."""
    with world.look() as look:
        return list(look.invalid())


def codes(world: World) -> list[tuple[str | None, str]]:
    """Return whom it concerns, and why."""
    return [(each.external_id, each.code) for each in invalid(world)]


def test_a_contact_arrives_whole(world: World):
    """One request carries what all mappings say of it."""
    world.sync()
    assert world.bodies()[0] == {
        "external_id": "1",
        "email": "1@example.com",
        "first_name": "Name 1",
        "source": "initial_sync",
        "custom_fields": {"plan": "free"},
    }


def test_a_second_run_sends_nothing(world: World):
    """What Meisa acknowledged is no difference."""
    world.sync()
    world.bodies()
    ran = world.sync()
    assert (ran.requests, ran.plan.summary.unchanged) == (0, 3)


def test_only_what_changed_is_sent(world: World):
    """Beside the two that name the contact."""
    world.sync()
    world.bodies()
    world.plans({1: "pro", 2: "pro"})
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": "pro"}}
    ]


def test_a_later_sign_up_is_no_part_of_the_first_load(world: World):
    """Its source says so, and the operator's automations can tell."""
    world.sync()
    world.bodies()
    world.people(1, 2, 3, 4)
    world.sync()
    assert [body["source"] for body in world.bodies()] == ["api"]


def test_a_row_that_is_gone_clears_its_fields(world: World):
    """The contact has no plan any more."""
    world.sync()
    world.bodies()
    world.plans({2: "pro"})
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": None}}
    ]


def test_what_a_missing_row_means_can_be_set(world: World):
    """A constant, or nothing at all."""
    world.table(USAGE, "external_id logins", [(1, 5)], fields={"logins": FieldSettings(keep=True)})
    world.table(
        PLAN, "external_id plan", [(1, "free")], fields={"plan": FieldSettings(missing="churned")}
    )
    world.sync()
    world.rows(PLAN).clear()
    world.rows(PLAN).append((2, "pro"))
    world.rows(USAGE).clear()
    world.rows(USAGE).append((2, 1))
    world.sync()
    assert world.held_at_meisa("1") == {
        "email": "1@example.com",
        "first_name": "Name 1",
        "custom_fields.plan": "churned",
        "custom_fields.logins": 5,
    }


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "key_null"),
        ("", "key_blank"),
        ("  ", "key_blank"),
        ("k" * 256, "key_too_long"),
        ("a\tb", "key_unprintable"),
        (1.5, "key_type"),
        (True, "key_type"),
    ],
)
def test_f40_a_row_without_a_usable_key_is_named_and_not_sent(world: World, key: Any, code: str):
    """The others go out."""
    world.rows(IDENTITY).append((key, "x@example.com", "Nobody"))
    (found,) = invalid(world)
    assert (found.external_id, found.code, found.mapping) == (None, code, IDENTITY)
    assert "x@example.com" in found.message
    ran = world.sync()
    assert world.sent_keys() == ["1", "2", "3"]
    assert (ran.plan.summary.invalid, ran.plan.invalid_rows) == (1, 1)


def test_f40_an_unusable_key_of_another_mapping_is_no_contact(world: World):
    """It is an invalid row, but nobody is missing."""
    world.rows(PLAN).append((None, "free"))
    plan = world.plan()
    assert (plan.summary.invalid, plan.invalid_rows, plan.summary.orphan) == (0, 1, 0)


def test_f40_a_new_key_that_occurs_twice_is_nobody(world: World):
    """Never the last one wins; the message names both rows."""
    world.people(1, 2, 3, rows=[("3", "other@example.com", "Other")])
    (found,) = invalid(world)
    assert (found.external_id, found.code) == ("3", "key_duplicate")
    assert "3@example.com" in found.message
    assert "other@example.com" in found.message
    world.sync()
    assert world.sent_keys() == ["1", "2"]


@pytest.mark.parametrize("place", [0, 3], ids=["before the known row", "after it"])
def test_f40_a_known_key_that_occurs_twice_keeps_what_was_sent(world: World, place: int):
    """Nothing of it is sent until the key is unique again."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY).insert(place, ("1", "other@example.com", "Other"))
    world.plans({1: "pro", 2: "pro"})
    (found,) = invalid(world)
    assert (found.external_id, found.code) == ("1", "key_duplicate")
    assert "other@example.com" in found.message
    world.sync()
    assert world.bodies() == []
    world.rows(IDENTITY).pop(place)
    world.sync()
    assert [body["custom_fields"] for body in world.bodies()] == [{"plan": "pro"}]


def test_f40_two_rows_that_both_changed_are_both_named(world: World):
    """Of a contact that we know, too."""
    world.sync()
    world.rows(PLAN)[:] = [(1, "pro"), (1, "team"), (2, "free")]
    (found,) = invalid(world)
    assert (found.external_id, found.code) == ("1", "key_duplicate")
    assert "pro" in found.message
    assert "team" in found.message


def test_f40_a_key_twice_in_another_mapping_leaves_its_fields_alone(world: World):
    """The contact's other fields go out."""
    world.sync()
    world.bodies()
    world.people(1, 2, 3)
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.rows(PLAN).append((1, "pro"))
    assert codes(world) == [("1", "key_duplicate")]
    ran = world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "first_name": "Renamed"}
    ]
    assert (ran.plan.summary.update, ran.plan.summary.invalid, ran.plan.invalid_rows) == (1, 0, 1)


@pytest.mark.parametrize("spelling", ["1", 1.0, Decimal("1.0")])
def test_f41_a_key_is_one_contact_however_it_is_typed(world: World, spelling: Any):
    """Across mappings and over time."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY)[0] = (spelling, "1@example.com", "Name 1")
    world.rows(PLAN)[0] = (spelling, "pro")
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": "pro"}}
    ]


@pytest.mark.parametrize(
    ("email", "code"),
    [
        (None, "email_missing"),
        ("  ", "email_missing"),
        ("nobody", "email_malformed"),
        ("a@b@example.com", "email_malformed"),
        (b"a@example.com", "binary"),
        ("a\x00@example.com", "invalid_text"),
    ],
)
def test_f42_a_new_contact_without_an_address_costs_nothing(world: World, email: Any, code: str):
    """It is invalid, every time anew, and goes out once it has one."""
    world.people(1, 2, 3, rows=[(4, email, "Name 4")])
    world.sync()
    assert world.sent_keys() == ["1", "2", "3"]
    assert codes(world) == [("4", code)]
    world.people(1, 2, 3, 4)
    world.sync()
    assert world.sent_keys() == ["4"]


@pytest.mark.parametrize("email", [None, "nobody"])
def test_f42_a_known_contact_that_loses_its_address_waits(world: World, email: str | None):
    """What is pending for it stays, and goes out once it has an address again."""
    world.sync()
    world.bodies()
    world.plans({1: "pro", 2: "pro"})
    world.admit()
    world.rows(IDENTITY)[0] = (1, email, "Name 1")
    ran = world.sync()
    assert (world.bodies(), ran.plan.summary.invalid) == ([], 1)
    assert world.state.contacts["1"].pending == {"custom_fields.plan": "pro"}
    world.rows(IDENTITY)[0] = (1, "new@example.com", "Name 1")
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "new@example.com", "custom_fields": {"plan": "pro"}}
    ]


def test_f42_blanks_around_an_address_are_no_part_of_it(world: World):
    """Not at Meisa, and not as a difference."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY)[0] = (1, "  1@example.com ", "Name 1")
    world.sync()
    assert world.bodies() == []


@pytest.mark.parametrize("value", [math.nan, math.inf, b"\x00", 2**64, object()])
def test_f47_one_unusable_field_does_not_stop_the_others(world: World, value: Any):
    """It is named; the contact goes out with the rest, and is tried again every time."""
    world.table(PLAN, "external_id plan cycle", [(1, value, "month")])
    world.sync()
    assert world.bodies()[0]["custom_fields"] == {"cycle": "month"}
    (found,) = invalid(world)
    assert (found.external_id, found.field) == ("1", "custom_fields.plan")
    world.rows(PLAN)[0] = (1, "free", "month")
    world.sync()
    assert [body["custom_fields"] for body in world.bodies()] == [{"plan": "free"}]


def test_f47_an_unusable_field_keeps_the_value_that_was_sent(world: World):
    """It is neither cleared nor forgotten."""
    world.sync()
    world.bodies()
    world.rows(PLAN)[0] = (1, math.nan)
    world.sync()
    assert world.bodies() == []
    assert world.state.contacts["1"].ledger["custom_fields.plan"] == "free"


def test_an_unknown_source_is_named(world: World):
    """Meisa documents five."""
    world.table(
        IDENTITY, "external_id email source", [(1, "1@example.com", "tv"), (2, "2@x.com", "signup")]
    )
    assert codes(world) == [("1", "source_unknown")]
    world.sync()
    assert [body["source"] for body in world.bodies()] == ["initial_sync", "signup"]


def test_tags_are_a_list_of_texts(world: World):
    """Anything else is named; order and repetition are no difference."""
    world.table(
        IDENTITY,
        "external_id email tag_names",
        [(1, "1@x.com", '["b", "a", "b"]'), (2, "2@x.com", "[1]"), (3, "3@x.com", '"a"')],
    )
    assert codes(world) == [("2", "tags_malformed"), ("3", "tags_malformed")]
    world.sync()
    assert world.bodies()[0]["tag_names"] == ["a", "b"]
    world.rows(IDENTITY)[0] = (1, "1@x.com", '["a", "b", "c"]')
    world.sync()
    assert [body["tag_names"] for body in world.bodies()] == [["c"]]


def test_rows_without_a_contact_are_counted_and_not_sent(world: World):
    """Identity decides who exists."""
    world.rows(PLAN).append((99, "free"))
    ran = world.sync()
    assert (ran.plan.summary.orphan, ran.plan.summary.create) == (1, 3)
    assert "99" not in world.sent_keys()


def test_rows_of_a_contact_that_is_gone_are_orphans(world: World):
    """In the pass that notices it, and later."""
    world.sync()
    world.people(2, 3)
    assert world.sync().plan.summary.orphan == 1
    assert world.sync().plan.summary.orphan == 1


def test_without_identity_no_row_is_called_an_orphan(world: World):
    """Nobody knows who exists."""
    world.rows(PLAN).append((99, "free"))
    world.source.refused = {IDENTITY}
    world.edit(IDENTITY, columns=("external_id", "email", "first_name"))
    assert world.plan().summary.orphan == 0


def test_f55_a_contact_that_disappears_is_not_sent(world: World):
    """Meisa keeps it; what was pending waits."""
    world.sync()
    world.bodies()
    world.plans({1: "pro", 2: "pro"})
    world.admit()
    world.people(2, 3)
    ran = world.sync()
    assert world.bodies() == []
    assert (ran.plan.summary.removed, ran.plan.summary.unchanged) == (1, 2)


def test_f55_a_contact_that_comes_back_is_sent_its_differences(world: World):
    """What became of it meanwhile, a row that is gone included."""
    world.table(USAGE, "external_id logins", [(1, 5)])
    world.sync()
    world.people(2, 3)
    world.sync()
    world.bodies()
    world.people(1, 2, 3)
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.rows(USAGE).clear()
    world.rows(USAGE).append((2, 1))
    ran = world.sync()
    assert world.bodies() == [
        {
            "external_id": "1",
            "email": "1@example.com",
            "first_name": "Renamed",
            "custom_fields": {"logins": None},
        },
        {"external_id": "2", "email": "2@example.com", "custom_fields": {"logins": 1}},
    ]
    assert ran.plan.summary.removed == 0


def test_f55_a_contact_that_comes_back_as_it_was_costs_nothing(world: World):
    """There is no difference."""
    world.sync()
    world.people(2, 3)
    world.sync()
    world.bodies()
    world.people(1, 2, 3)
    ran = world.sync()
    assert (world.bodies(), ran.plan.summary.unchanged) == ([], 3)


def test_f55_a_contact_that_comes_back_unusable_is_invalid_not_removed(world: World):
    """It is there again, after all."""
    world.sync()
    world.people(2, 3)
    world.sync()
    world.people(2, 3, rows=[(1, None, "Name 1")])
    summary = world.sync().plan.summary
    assert (summary.removed, summary.invalid, summary.unchanged) == (0, 1, 2)


def test_f24_a_mapping_in_error_keeps_the_values_of_its_fields(world: World):
    """What it yielded before the error counts for nothing; the others go on."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.plans({1: "pro", 2: "max", 3: "free"})
    world.source.failing = {PLAN}
    ran = world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "first_name": "Renamed"}
    ]
    assert ran.failures == (f"{PLAN}: statement timeout",)
    world.source.failing = set()
    world.sync()
    assert world.sent_keys() == ["1", "2", "3"]


@pytest.mark.parametrize("refused", [True, False], ids=["when described", "when read"])
def test_f24_creations_wait_until_every_mapping_could_be_read(world: World, refused: bool):
    """A contact arrives whole, or not yet."""
    world.source.refused, world.source.failing = ({PLAN}, set()) if refused else (set(), {PLAN})
    plan = world.sync().plan
    assert (world.bodies(), plan.summary.create, plan.waiting) == ([], 3, 3)
    world.source.refused, world.source.failing = set(), set()
    assert world.sync().plan.waiting == 0
    assert world.bodies()[0]["custom_fields"] == {"plan": "free"}


def test_f24_without_identity_known_contacts_still_get_their_changes(world: World):
    """By the address that Meisa holds; nobody is taken for gone."""
    world.sync()
    world.bodies()
    world.source.failing = {IDENTITY}
    world.people(1)
    world.plans({1: "pro", 2: "pro"})
    ran = world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": "pro"}}
    ]
    assert (ran.plan.summary.removed, ran.plan.summary.unchanged) == (0, 2)


def test_f20_a_lost_connection_drops_the_whole_pass(world: World):
    """Nothing of it is stored, and nobody is taken for gone."""
    world.sync()
    world.people(1)
    world.source.down = True
    with pytest.raises(Exception, match="went away"):
        world.sync()
    assert all(contact.present for contact in world.state.contacts.values())


def test_f54_a_field_that_nothing_yields_any_more_keeps_its_value(world: World):
    """Meisa and the ledger keep it, and the plan says so."""
    world.sync()
    world.bodies()
    world.table(PLAN, "external_id cycle", [(1, "month")])
    world.edit(PLAN)
    ran = world.sync()
    assert ran.plan.unmapped == ("custom_fields.plan",)
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"cycle": "month"}}
    ]
    assert world.state.contacts["1"].ledger["custom_fields.plan"] == "free"
    assert world.sync().plan.unmapped == ("custom_fields.plan",)


def test_f54_a_field_is_compared_again_when_it_returns(world: World):
    """With what was sent before."""
    world.sync()
    world.bodies()
    mapping, table = world.mappings.pop(PLAN), world.source.tables.pop(PLAN)
    assert world.sync().plan.unmapped == ("custom_fields.plan",)
    world.mappings[PLAN], world.source.tables[PLAN] = mapping, table
    table.rows[0] = (1, "pro")
    assert world.sync().plan.unmapped == ()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": "pro"}}
    ]


@pytest.mark.parametrize("how", ["file gone", "switched off", "not due", "in error"])
def test_f54_what_was_pending_for_a_field_comes_back_with_it(world: World, how: str):
    """The same row makes the same difference, though it was seen before."""
    world.sync()
    world.bodies()
    world.plans({1: "pro", 2: "pro"})
    world.admit()
    mapping = world.mappings[PLAN]
    if how == "file gone":
        del world.mappings[PLAN]
    elif how == "switched off":
        world.edit(PLAN, enabled=False)
    else:
        world.table(PLAN, "external_id cycle", [(1, "month")])
        world.edit(PLAN)
    world.source.failing = {PLAN} if how == "in error" else set()
    world.admit([IDENTITY] if how == "not due" else list(world.mappings), whole=True)
    assert world.state.contacts["1"].pending == {}
    world.source.failing = set()
    world.mappings[PLAN] = mapping
    world.plans({1: "pro", 2: "pro"})
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": "pro"}}
    ]


def test_f54_it_comes_back_to_somebody_who_was_unusable_meanwhile(world: World):
    """Everybody else was seen without the column, and nobody remembers whose it was."""
    world.table(PLAN, "external_id plan cycle", [(1, "free", "month")])
    world.sync()
    world.bodies()
    world.table(PLAN, "external_id plan cycle", [(1, "free", "year")])
    world.admit()
    world.rows(IDENTITY)[0] = (1, None, "Name 1")
    world.table(PLAN, "external_id plan", [(1, "free")])
    world.edit(PLAN)
    world.admit()
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Name 1")
    world.edit(PLAN, enabled=False)
    world.sync()
    assert world.state.contacts["1"].pending == {}
    world.table(PLAN, "external_id plan cycle", [(1, "free", "year")])
    world.edit(PLAN, "first edition")
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"cycle": "year"}}
    ]


def test_f54_it_comes_back_even_where_the_pass_that_read_it_died(world: World):
    """Nobody remembers then which mapping it came from."""

    def die(step: str) -> None:
        if step == "record_read.before":
            raise KeyboardInterrupt

    world.state.on_step = die
    with pytest.raises(KeyboardInterrupt):
        world.admit()
    world.state.on_step = lambda _: None
    world.source.refused = {PLAN}
    world.admit(whole=True)
    assert "custom_fields.plan" not in world.state.contacts["1"].pending
    world.source.refused = set()
    world.sync()
    assert world.held_at_meisa("1") == {
        "email": "1@example.com",
        "first_name": "Name 1",
        "custom_fields.plan": "free",
    }


def test_f54_a_column_that_returns_clears_what_has_no_row_any_more(world: World):
    """A missing row was seen while the column was away; it still means something to it."""
    world.table(PLAN, "external_id plan cycle", [(1, "free", "month"), (2, "pro", "year")])
    world.sync()
    world.table(PLAN, "external_id plan", [(2, "pro")])
    plan = world.plan()
    world.sync(approve=plan.digest)
    world.bodies()
    world.table(PLAN, "external_id plan cycle", [(2, "pro", "year")])
    plan = world.plan()
    world.sync(approve=plan.digest)
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"cycle": None}}
    ]


def test_a_mapping_that_is_off_is_neither_read_nor_missed(world: World):
    """Its fields are no difference."""
    world.sync()
    world.bodies()
    world.edit(PLAN, enabled=False)
    world.rows(PLAN).clear()
    world.source.reads.clear()
    world.sync()
    assert world.bodies() == []
    assert [name for name, _ in world.source.reads] == [IDENTITY]


def test_two_mappings_for_one_field_are_refused(world: World):
    """Before anything is read."""
    world.table(USAGE, "external_id plan", [(1, "free")])
    with pytest.raises(MappingError, match=r"custom_fields\.plan comes from"):
        world.plan()
    assert world.source.reads == []


def test_without_identity_in_the_set_its_error_is_told(world: World):
    """The one that could not be described may well be the one that is missing."""
    world.source.refused = {IDENTITY}
    with pytest.raises(MappingError, match="no such table") as caught:
        world.plan()
    assert "no mapping in contacts/ yields the column email" in str(caught.value)


def test_settings_for_a_column_that_is_not_there_fail_that_mapping_alone(world: World):
    """The others are read."""
    world.edit(PLAN, fields={"plam": FieldSettings(missing="none")})
    plan = world.plan()
    assert "plam" in plan.failures[PLAN]
    assert plan.waiting == 3


def test_new_contacts_are_looked_up_in_mappings_that_are_not_due(world: World):
    """And only they are."""
    world.sync()
    world.bodies()
    world.source.reads.clear()
    world.people(1, 2, 3, 4)
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.plans({1: "pro", 2: "pro", 4: "max"})
    world.admit([IDENTITY])
    assert world.source.reads == [(IDENTITY, None), (PLAN, ["4"])]
    world.push().step()
    assert world.bodies() == [
        {
            "external_id": "4",
            "email": "4@example.com",
            "first_name": "Name 4",
            "source": "api",
            "custom_fields": {"plan": "max"},
        }
    ]
    assert world.state.contacts["1"].pending == {"first_name": "Renamed"}


def test_a_new_contact_without_a_row_in_a_mapping_that_is_not_due_is_whole(world: World):
    """No row means no row."""
    world.edit(PLAN, fields={"plan": FieldSettings(missing="none yet")})
    world.people(1)
    world.rows(PLAN).clear()
    world.admit([IDENTITY])
    world.push().step()
    assert world.bodies()[0]["custom_fields"] == {"plan": "none yet"}


def test_nothing_is_looked_up_where_nobody_is_new(world: World):
    """A pass over one mapping reads one mapping."""
    world.sync()
    world.source.reads.clear()
    world.admit([IDENTITY])
    world.admit([PLAN])
    assert world.source.reads == [(IDENTITY, None), (PLAN, None)]


def test_where_the_look_up_fails_the_newcomer_waits(world: World):
    """Until the mapping can be read."""
    world.sync()
    world.bodies()
    world.people(1, 2, 3, 4)
    world.plans({1: "free", 2: "pro", 4: "max"})
    world.source.failing = {PLAN}
    look = world.admit([IDENTITY])
    assert (look.plan.waiting, list(look.plan.failures)) == (1, [PLAN])
    assert "4" not in world.state.contacts
    world.source.failing = set()
    world.admit([IDENTITY])
    assert world.state.contacts["4"].pending["custom_fields.plan"] == "max"
