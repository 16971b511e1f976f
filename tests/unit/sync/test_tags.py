"""Tags of mappings: added with the next upsert, removed where they were ours."""

from collections.abc import Sequence
from typing import Any

import pytest

from meisa_cdc.core.contact import Contact
from meisa_cdc.core.mapping import FieldSettings
from meisa_cdc.core.plan import fires
from tests.unit.sync.worlds import PLAN, Delayed, World

TIER, ROLE = "tags/tier", "tags/role"


@pytest.fixture
def world() -> World:
    """Return a world of three contacts that Meisa has, the first with the tag `pro`."""
    world = World()
    world.people(1, 2, 9)
    world.plans({})
    tag(world, {1: ["pro"]})
    world.sync()
    world.bodies()
    return world


def tag(world: World, tags: dict[Any, Sequence[str]], name: str = TIER) -> None:
    """Set what a mapping of tags yields, as the database gathers it: one row a contact.

    Contact 9 always has a tag, since a mapping that becomes empty is held.
    """
    rows = [(key, list(each)) for key, each in {**tags, 9: ["constant"]}.items()]
    settings = {"kind": "tags", "fields": {name: FieldSettings(missing=[])}}
    world.table(name, f"external_id {name}", rows, **settings)


def tags_at_meisa(world: World, key: str = "1") -> list[str]:
    """Return the tags that Meisa has for a contact."""
    contact = world.meisa.find(key)
    assert contact is not None
    return sorted(contact.tags)


def contact(world: World, key: str = "1") -> Contact:
    """Return a contact as stored."""
    return world.state.contacts[key]


def removal(tag: str, contact_id: str = "contact-1") -> dict[str, str]:
    """Return what is sent to remove a tag."""
    return {"contact_id": contact_id, "tag_name": tag}


def test_a_new_contact_arrives_with_its_tags():
    """In the same request."""
    world = World()
    world.people(1)
    tag(world, {1: ["pro", "beta"]})
    tag(world, {1: ["admin"]}, ROLE)
    world.sync()
    (body,) = world.bodies()
    assert body["tag_names"] == ["admin", "beta", "pro"]
    assert contact(world).ledger[TIER] == ["beta", "pro"]
    assert world.sync().requests == 0


def test_an_added_tag_costs_no_request_of_its_own(world: World):
    """It goes with whatever else differs, and names only what is new."""
    world.plans({1: "pro"})
    tag(world, {1: ["pro", "yearly"]})
    world.sync()
    (body,) = world.bodies()
    assert body["tag_names"] == ["yearly"]
    assert body["custom_fields"] == {"plan": "pro"}


def test_a_tag_that_moves_is_added_and_then_removed(world: World):
    """The upgrade: one upsert, then one removal by Meisa's id; nothing is left to do."""
    tag(world, {1: ["max"]})
    plan = world.plan()
    assert (plan.summary.update, plan.summary.requests) == (1, 2)
    ran = world.sync()
    assert world.bodies() == [
        {"email": "1@example.com", "external_id": "1", "tag_names": ["max"]},
        removal("pro"),
    ]
    assert ran.accepted == 2
    assert tags_at_meisa(world) == ["max"]
    assert (contact(world).ledger[TIER], contact(world).pending) == (["max"], {})
    assert world.sync().requests == 0
    kinds = [record.kind for record in world.state.deliveries(most=2)]
    assert kinds == ["remove_tag", "upsert"]


def test_a_contact_without_a_row_loses_the_tags_of_that_mapping(world: World):
    """And keeps those of others."""
    tag(world, {1: ["admin"]}, ROLE)
    world.sync()
    tag(world, {})
    world.bodies()
    with world.look() as look:
        (change,) = look.changes()
    assert fires(change) == ["tag_removed"]
    world.sync()
    assert world.bodies() == [removal("pro")]
    assert tags_at_meisa(world) == ["admin"]


def test_tags_that_were_there_before_are_not_ours(world: World):
    """Somebody else had tagged the contact; when the mapping lets go, the tag stays."""
    held = world.meisa.find("2")
    assert held is not None
    held.tags.append("vip")
    world.plans({2: "pro"})
    world.sync()
    tag(world, {1: ["pro"], 2: ["vip"]})
    world.sync()
    assert world.bodies()[-1]["tag_names"] == ["vip"]
    tag(world, {1: ["pro"]})
    assert world.plan().summary.requests == 0
    world.sync()
    assert world.bodies() == []
    assert tags_at_meisa(world, "2") == ["vip"]


def test_tags_of_a_contact_that_meisa_had_already_are_not_ours():
    """Its first answer tells of tags that may have been there before."""
    world = World()
    world.people(1)
    world.meisa.upsert({"email": "1@example.com", "external_id": "1", "tag_names": ["pro"]})
    tag(world, {1: ["pro"]})
    world.sync()
    assert contact(world).ours == frozenset()


def test_a_column_of_tags_never_removes(world: World):
    """What a contacts mapping yields as tag_names is only ever added."""
    world.edit(PLAN)
    world.table(PLAN, "external_id tag_names", [(1, ["a", "b"])])
    world.sync()
    world.table(PLAN, "external_id tag_names", [(1, ["b"])])
    world.bodies()
    world.sync()
    assert world.bodies() == []
    assert tags_at_meisa(world) == ["a", "b", "pro"]


def test_one_tag_from_two_mappings_is_named(world: World):
    """Neither would know when to remove it, so nobody does."""
    tag(world, {1: ["pro", "admin"]}, ROLE)
    world.source.tables[ROLE].rows.pop()
    with world.look() as look:
        (problem,) = look.invalid()
    assert (problem.code, problem.external_id, problem.mapping) == ("tag_twice", "1", ROLE)
    world.sync()
    tag(world, {1: ["pro"]})
    tag(world, {1: ["admin"]}, ROLE)
    world.sync()
    assert tags_at_meisa(world) == ["admin", "pro"]


def test_a_removal_without_an_answer_is_tried_again(world: World):
    """The tag is gone either way in the end."""
    tag(world, {})
    world.meisa.answers.append("timeout_applied")
    world.sync()
    assert contact(world).in_doubt == {TIER}
    world.clock.advance(60)
    for _ in range(3):
        world.sync()
    assert tags_at_meisa(world) == []
    assert (contact(world).pending, contact(world).in_doubt) == ({}, frozenset())


def test_a_tag_that_is_wanted_again_after_an_unclear_removal_is_sent(world: World):
    """Nobody knows whether it is gone, so it is added again."""
    tag(world, {})
    world.meisa.answers.append("timeout_applied")
    world.sync()
    world.bodies()
    tag(world, {1: ["pro"]})
    world.clock.advance(60)
    world.sync()
    assert [body["tag_names"] for body in world.bodies()] == [["pro"]]
    assert tags_at_meisa(world) == ["pro"]


def test_a_tag_that_is_wanted_again_before_its_removal_costs_nothing(world: World):
    """The difference vanished."""
    tag(world, {})
    world.admit()
    tag(world, {1: ["pro"]})
    assert world.sync().requests == 0


def test_what_meisa_does_not_have_need_not_be_removed(world: World):
    """A person deleted the contact over there."""
    world.meisa.forget("1")
    tag(world, {})
    ran = world.sync()
    assert ran.accepted == 1
    assert contact(world).pending == {}


def test_a_refused_removal_is_set_aside(world: World):
    """As any request that Meisa rejects."""
    tag(world, {})
    world.meisa.answers.append(400)
    ran = world.sync()
    assert ran.rejected == 1
    assert world.sync().requests == 0


def test_a_change_under_way_is_sent_when_the_answer_came():
    """A tag that vanishes while its upsert is under way is removed after it."""
    world = World()
    world.people(1, 9)
    tag(world, {1: ["pro"]})
    world.lanes = lanes = Delayed()
    world.admit()
    push = world.push()
    push.step()
    tag(world, {})
    world.admit()
    lanes.answer_all()
    push.step()
    while push.step() is not None:
        lanes.answer_all()
    assert tags_at_meisa(world) == []
    assert contact(world).pending == {}
