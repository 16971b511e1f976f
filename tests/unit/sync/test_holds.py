"""A surprise waits for a person: what is held, what goes out beside it, who releases it."""

import pytest

from meisa_cdc.core.errors import ApprovalMismatch
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.mapping import FieldSettings
from meisa_cdc.sync.overrides import baseline
from tests.unit.sync.worlds import IDENTITY, PLAN, USAGE, World, backup_of, dump, windows

CROWD = range(1, 21)


@pytest.fixture
def crowd() -> World:
    """Return twenty people with a plan and a figure each, all of it sent."""
    world = World(guard=GuardSettings(min_contacts=10, first_load="send"))
    world.people(*CROWD)
    world.plans(dict.fromkeys(CROWD, "free"))
    world.table(USAGE, "external_id logins", [(key, 1) for key in CROWD])
    world.sync()
    world.bodies()
    return world


def plans_of(world: World, *changed: int, plan: str = "pro") -> None:
    """Let these people have another plan."""
    world.plans({key: plan if key in changed else "free" for key in CROWD})


def held(world: World) -> list[tuple[str, str, int]]:
    """Return mapping, reason and number of contacts of each hold."""
    return [(hold.mapping, hold.reason, hold.contacts) for hold in world.plan().holds]


def test_f45_a_mapping_that_is_suddenly_empty_is_held(crowd: World):
    """The others go out."""
    crowd.rows(PLAN).clear()
    crowd.rows(USAGE)[0] = (1, 2)
    ran = crowd.sync()
    assert [(hold.mapping, hold.reason, hold.contacts) for hold in ran.held] == [
        (PLAN, "empty", 20)
    ]
    assert crowd.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"logins": 2}}
    ]


def test_f45_an_empty_mapping_is_held_however_few_it_covered(world: World):
    """Three people are people, too."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY).clear()
    ran = world.sync()
    assert [hold.reason for hold in ran.held] == ["empty"]
    assert world.bodies() == []
    assert ran.plan.summary.removed == 3
    assert all(contact.present for contact in world.state.contacts.values())


@pytest.mark.parametrize(("lost", "holds"), [(2, []), (3, [(PLAN, "max_missing", 3)])])
def test_f45_a_mapping_that_lost_many_rows_is_held(
    crowd: World, lost: int, holds: list[tuple[str, str, int]]
):
    """A tenth may go at once."""
    del crowd.rows(PLAN)[:lost]
    assert held(crowd) == holds
    crowd.sync()
    assert len(crowd.bodies()) == (0 if holds else lost)


def test_f45_a_held_identity_leaves_everybody_where_they_were(crowd: World):
    """Known contacts get their other changes, by the address that was sent; newcomers wait."""
    crowd.people(*CROWD[5:], 21)
    crowd.rows(IDENTITY)[0] = (6, "new@example.com", "Renamed")
    plans_of(crowd, 1, 6)
    ran = crowd.sync()
    assert [hold.mapping for hold in ran.held] == [IDENTITY]
    assert crowd.bodies() == [
        {"external_id": key, "email": f"{key}@example.com", "custom_fields": {"plan": "pro"}}
        for key in ("1", "6")
    ]
    assert "21" not in crowd.state.contacts
    assert crowd.state.contacts["1"].present


def test_f46_a_change_of_most_contacts_is_held(crowd: World):
    """Three in ten may change at once."""
    plans_of(crowd, *CROWD[:6])
    assert held(crowd) == []
    plans_of(crowd, *CROWD[:7])
    assert held(crowd) == [(PLAN, "max_change", 7)]
    crowd.sync()
    assert crowd.bodies() == []


def test_f46_an_edit_that_changes_most_is_held(crowd: World):
    """Until somebody says that it was meant."""
    crowd.edit(PLAN)
    plans_of(crowd, *CROWD, plan="FREE")
    ran = crowd.sync()
    assert [(hold.mapping, hold.contacts) for hold in ran.held] == [(PLAN, 20)]
    assert crowd.bodies() == []
    ran = crowd.sync(approve=ran.plan.digest)
    assert (ran.held, ran.accepted) == ((), 20)
    assert crowd.sync().requests == 0


def test_f46_an_edit_that_changes_no_value_costs_nothing(crowd: World):
    """Every row is looked at anew, and none differs."""
    crowd.edit(PLAN)
    ran = crowd.sync()
    assert (ran.requests, ran.held, ran.plan.summary.unchanged) == (0, (), 20)


def test_f46_a_setting_in_the_file_can_change_most(crowd: World):
    """Nobody has a row in the database that says so."""
    crowd.rows(PLAN)[:] = [(1, "free"), (2, "free")]
    crowd.sync(approve=crowd.plan().digest)
    crowd.bodies()
    crowd.edit(PLAN, fields={"plan": FieldSettings(missing="churned")})
    crowd.guard = GuardSettings(min_contacts=2)
    assert held(crowd) == [(PLAN, "max_change", 18)]


def test_f46_an_edit_of_identity_that_brings_a_crowd_is_held(crowd: World):
    """Each of them would be greeted."""
    crowd.people(*range(1, 28))
    assert held(crowd) == []
    crowd.edit(IDENTITY)
    assert held(crowd) == [(IDENTITY, "max_change", 7)]


def test_what_was_admitted_is_not_judged_again(crowd: World):
    """Half of the crowd waits in the backlog; a few more are no surprise."""
    plans_of(crowd, *CROWD[:5])
    crowd.admit()
    plans_of(crowd, *CROWD[:11])
    assert held(crowd) == []
    look = crowd.admit(whole=True)
    assert look.plan.summary.update == 11


def test_nobody_is_judged_where_few_are_covered(crowd: World):
    """One of three is a third, and nothing to wake anybody for."""
    crowd.guard = GuardSettings(min_contacts=21)
    plans_of(crowd, *CROWD)
    assert held(crowd) == []


def test_quarantined_contacts_count_as_known_not_as_changed(crowd: World):
    """Their change was let through before."""
    plans_of(crowd, *CROWD[:6])
    crowd.meisa.answers.extend([400] * 6)
    crowd.sync()
    plans_of(crowd, *CROWD[:12])
    plan = crowd.plan()
    assert (plan.holds, plan.summary.quarantined, plan.summary.update) == ((), 6, 6)


def test_newcomers_wait_while_a_mapping_is_held(crowd: World):
    """A contact is first sent whole."""
    plans_of(crowd, *CROWD)
    crowd.people(*CROWD, 21)
    crowd.rows(PLAN).append((21, "max"))
    crowd.sync()
    assert crowd.bodies() == []
    crowd.sync(approve=crowd.plan().digest)
    assert [b["custom_fields"] for b in crowd.bodies() if b["external_id"] == "21"] == [
        {"plan": "max"}
    ]


def test_one_of_two_holds_can_be_approved(crowd: World):
    """The other one stays."""
    plans_of(crowd, *CROWD)
    crowd.table(USAGE, "external_id logins", [(key, 2) for key in CROWD])
    plan = crowd.plan()
    assert [hold.mapping for hold in plan.holds] == [PLAN, USAGE]
    ran = crowd.sync(approve=plan.holds[0].digest)
    assert [hold.mapping for hold in ran.held] == [USAGE]
    assert {tuple(body["custom_fields"]) for body in crowd.bodies()} == {("plan",)}
    ran = crowd.sync(approve=crowd.plan().digest)
    assert ran.held == ()
    assert {tuple(body["custom_fields"]) for body in crowd.bodies()} == {("logins",)}


def test_the_plans_digest_releases_all_holds(crowd: World):
    """It names every one of them."""
    plans_of(crowd, *CROWD)
    crowd.table(USAGE, "external_id logins", [(key, 2) for key in CROWD])
    ran = crowd.sync(approve=crowd.plan().digest)
    assert (ran.held, ran.accepted) == ((), 20)


def test_an_approval_of_another_plan_stores_nothing(crowd: World):
    """One more contact changed since it was shown."""
    plans_of(crowd, *CROWD[:10])
    digest = crowd.plan().digest
    plans_of(crowd, *CROWD[:11])
    crowd.rows(USAGE)[0] = (1, 2)
    before = dump(crowd.state)
    with pytest.raises(ApprovalMismatch, match=digest) as caught:
        crowd.sync(approve=digest)
    assert crowd.plan().digest in caught.value.hint
    assert dump(crowd.state) == before
    assert crowd.bodies() == []


@pytest.mark.parametrize("change", ["value", "file"])
def test_an_approval_names_values_and_files(crowd: World, change: str):
    """The same contacts with another value, or by another file, are another plan."""
    plans_of(crowd, *CROWD)
    digest = crowd.plan().digest
    if change == "value":
        plans_of(crowd, *CROWD, plan="max")
    else:
        crowd.edit(PLAN)
    with pytest.raises(ApprovalMismatch):
        crowd.sync(approve=digest)


def test_with_nothing_held_the_digest_of_all_can_be_demanded(crowd: World):
    """As a deployment does that shows the plan first."""
    plans_of(crowd, 1)
    digest = crowd.plan().digest
    assert crowd.sync(approve=digest).accepted == 1
    plans_of(crowd, 2)
    with pytest.raises(ApprovalMismatch):
        crowd.sync(approve=digest)


def test_the_digest_depends_on_nothing_but_the_changes(crowd: World):
    """Not on time, on the order of rows and columns, or on what is no change."""
    plans_of(crowd, *CROWD)
    first = crowd.plan()
    crowd.clock.advance(5000)
    crowd.rows(PLAN).reverse()
    crowd.table(IDENTITY, "email first_name external_id", [])
    crowd.rows(IDENTITY)[:] = [(f"{key}@example.com", f"Name {key}", key) for key in CROWD]
    crowd.people(*CROWD)
    crowd.rows(PLAN).append((99, "free"))
    assert crowd.plan().digest == first.digest
    assert crowd.plan().holds[0].digest == first.holds[0].digest


def test_the_digest_of_a_hold_ignores_what_other_mappings_change(crowd: World):
    """What goes out meanwhile does not make the approval void."""
    plans_of(crowd, *CROWD)
    digest = crowd.plan().digest
    crowd.rows(USAGE)[0] = (1, 2)
    crowd.sync()
    crowd.rows(USAGE)[1] = (2, 2)
    assert crowd.plan().digest == digest


# -------------------------------------------------------------------- holds on record


def test_a_hold_is_recorded_with_what_a_person_needs(crowd: World):
    """For `status`, and for `approve` beside a running daemon."""
    plans_of(crowd, *CROWD)
    crowd.admit()
    (record,) = crowd.state.holds()
    assert (record.mapping, record.reason, record.contacts) == (PLAN, "max_change", 20)
    assert record.message == "20 of 20 contacts would change, over 30 %"
    assert (record.digest, record.recorded_at) == (crowd.plan().digest, crowd.clock.now())


def test_an_approved_hold_is_let_through_by_the_next_pass(crowd: World):
    """And then forgotten."""
    plans_of(crowd, *CROWD)
    crowd.admit()
    crowd.state.approve(crowd.plan().digest, crowd.clock.now())
    crowd.admit()
    assert crowd.state.counts().backlog == {1: 20}
    assert crowd.state.holds() == []
    assert held(crowd) == []


def test_a_run_of_sync_lets_an_approved_hold_through(crowd: World):
    """Nothing of it is held any more."""
    plans_of(crowd, *CROWD)
    crowd.sync()
    crowd.state.approve(crowd.state.holds()[0].digest, crowd.clock.now())
    ran = crowd.sync()
    assert (ran.accepted, ran.held) == (20, ())


def test_an_approval_on_record_releases_only_what_is_still_observed(crowd: World):
    """Changes that somebody has seen; others are judged anew."""
    plans_of(crowd, *CROWD[:10])
    crowd.admit()
    crowd.state.approve(crowd.state.holds()[0].digest, crowd.clock.now())
    plans_of(crowd, *CROWD[1:11])
    crowd.rows(PLAN)[1] = (2, "max")
    look = crowd.admit()
    assert look.plan.holds != ()
    released = {k for k, c in crowd.state.contacts.items() if c.pending}
    assert released == {str(key) for key in CROWD[2:10]}
    crowd.sync()
    assert crowd.held_at_meisa("2") == {
        "email": "2@example.com",
        "first_name": "Name 2",
        "custom_fields.plan": "max",
        "custom_fields.logins": 1,
    }


def test_what_an_approval_left_behind_stays_held_in_that_pass(crowd: World):
    """And the run says so."""
    plans_of(crowd, *CROWD[:10])
    crowd.sync()
    crowd.state.approve(crowd.state.holds()[0].digest, crowd.clock.now())
    plans_of(crowd, *CROWD[:11])
    ran = crowd.sync()
    assert (ran.accepted, [hold.mapping for hold in ran.held]) == (10, [PLAN])
    ran = crowd.sync()
    assert (ran.accepted, ran.held) == (1, ())


def test_an_edited_mapping_voids_the_approval(crowd: World):
    """Who approved has seen another file."""
    plans_of(crowd, *CROWD)
    crowd.admit()
    crowd.state.approve(crowd.plan().digest, crowd.clock.now())
    crowd.edit(PLAN)
    crowd.admit()
    assert crowd.state.counts().backlog == {}
    (record,) = crowd.state.holds()
    assert (record.file, record.approved_at) == ("second edition", None)


def test_an_approved_hold_of_lost_rows_is_let_through(crowd: World):
    """Nobody has a plan any more."""
    crowd.rows(PLAN).clear()
    crowd.admit()
    crowd.state.approve(crowd.state.holds()[0].digest, crowd.clock.now())
    ran = crowd.sync()
    assert ran.accepted == 20
    assert crowd.bodies()[0]["custom_fields"] == {"plan": None}


def test_a_hold_goes_when_its_reason_does(crowd: World):
    """Somebody repaired the query."""
    crowd.rows(PLAN).clear()
    crowd.admit()
    assert len(crowd.state.holds()) == 1
    plans_of(crowd)
    crowd.admit()
    assert crowd.state.holds() == []


def test_a_hold_stays_while_its_mapping_is_not_read(crowd: World):
    """Nobody knows better."""
    crowd.rows(PLAN).clear()
    crowd.admit()
    crowd.admit([USAGE])
    assert [record.mapping for record in crowd.state.holds()] == [PLAN]


def test_the_daemon_keeps_the_digest_that_it_has_shown(crowd: World):
    """Data moves on all the time; `sync` shows what it finds."""
    plans_of(crowd, *CROWD[:10])
    crowd.admit()
    first = crowd.state.holds()[0].digest
    plans_of(crowd, *CROWD[:11])
    crowd.admit()
    assert [record.digest for record in crowd.state.holds()] == [first]
    ran = crowd.sync()
    assert [record.digest for record in crowd.state.holds()] == [ran.plan.digest] != [first]


# -------------------------------------------------------------------- the first load


@pytest.fixture
def newcomers() -> World:
    """Return twenty people of whom nothing was ever sent."""
    world = World(guard=GuardSettings(min_contacts=10))
    world.people(*CROWD)
    world.plans({1: "free"})
    return world


def test_the_first_load_of_a_user_base_is_held(newcomers: World):
    """It would greet everybody."""
    ran = newcomers.sync()
    assert [(h.mapping, h.reason, h.contacts) for h in ran.held] == [(IDENTITY, "first_load", 20)]
    assert newcomers.bodies() == []
    assert newcomers.state.contacts == {}
    assert newcomers.sync().held != ()


def test_an_approved_first_load_goes_out_in_the_background(newcomers: World):
    """Marked, so that automations can leave it alone."""
    newcomers.sync(approve=newcomers.plan().digest)
    assert {body["source"] for body in newcomers.bodies()} == {"initial_sync"}
    newcomers.people(*CROWD, 21, 22)
    newcomers.sync()
    assert {body["source"] for body in newcomers.bodies()} == {"api"}


def test_a_first_load_approved_on_record_is_let_through(newcomers: World):
    """Those that were seen with it; who came meanwhile belongs to it, too, but comes later."""
    newcomers.admit()
    newcomers.state.approve(newcomers.state.holds()[0].digest, newcomers.clock.now())
    newcomers.people(*CROWD, 21)
    newcomers.sync()
    assert len(newcomers.state.contacts) == 20
    newcomers.sync()
    assert len(newcomers.state.contacts) == 21
    assert {body["source"] for body in newcomers.bodies()} == {"initial_sync"}
    newcomers.people(*CROWD, 21, 22)
    newcomers.sync()
    assert newcomers.bodies()[0]["source"] == "api"


def test_a_first_load_that_is_under_way_is_not_held_again(newcomers: World):
    """It was admitted, and takes its time; changes since go their way."""
    newcomers.windows = windows("1/60s")
    newcomers.admit()
    newcomers.state.approve(newcomers.state.holds()[0].digest, newcomers.clock.now())
    newcomers.sync()
    assert newcomers.state.counts().backlog == {2: 19}
    newcomers.plans({1: "pro"})
    ran = newcomers.sync()
    assert ran.held == ()
    assert newcomers.state.first_load_done()
    assert ran.plan.summary.create == 19


def test_a_first_load_can_be_taken_as_sent(newcomers: World):
    """Then differences alone go out."""
    newcomers.sync()
    done = baseline(newcomers.passes(), newcomers.mappings)
    assert (done.contacts, done.fields) == (20, 41)
    ran = newcomers.sync()
    assert (ran.requests, ran.held, newcomers.state.holds()) == (0, (), [])


def test_a_small_first_load_goes_out(world: World):
    """As does one that the settings let go."""
    assert world.sync().accepted == 3
    again = World(guard=GuardSettings(min_contacts=1, first_load="send"))
    again.people(1, 2, 3)
    assert again.sync().accepted == 3


def test_a_first_look_that_finds_nobody_is_no_first_load(newcomers: World):
    """The next one is."""
    newcomers.people()
    newcomers.sync()
    newcomers.people(*CROWD)
    assert [hold.reason for hold in newcomers.sync().held] == ["first_load"]


def test_a_first_load_that_could_not_be_read_whole_is_still_to_come(newcomers: World):
    """Nobody was stored, so it is held when everything can be read."""
    newcomers.guard = GuardSettings(min_contacts=10, first_load="send")
    newcomers.source.failing = {PLAN}
    newcomers.sync()
    assert not newcomers.state.first_load_done()
    newcomers.source.failing = set()
    newcomers.sync()
    assert {body["source"] for body in newcomers.bodies()} == {"initial_sync"}


def test_a_look_at_another_mapping_is_no_first_load(newcomers: World):
    """Nobody is known yet."""
    newcomers.sync([PLAN])
    assert not newcomers.state.first_load_done()
    assert [hold.reason for hold in newcomers.sync().held] == ["first_load"]


# -------------------------------------------------------------------- columns, backups


@pytest.mark.parametrize(
    ("columns", "types", "message"),
    [
        ("external_id cycle", {}, "column plan is gone; column cycle is new"),
        ("external_id plan", {"plan": "integer"}, "column plan was text and is integer"),
    ],
)
def test_f25_columns_that_changed_under_a_mapping_are_held(
    crowd: World, columns: str, types: dict[str, str], message: str
):
    """With the difference shown; once approved it is how things are."""
    crowd.source.tables[PLAN].types = {"plan": "text"}
    crowd.admit()
    crowd.table(PLAN, columns, [(key, 7) for key in CROWD])
    crowd.source.tables[PLAN].types = types
    ran = crowd.sync()
    assert [(hold.reason, hold.message) for hold in ran.held] == [("columns", message)]
    assert crowd.bodies() == []
    crowd.sync(approve=crowd.plan().digest)
    assert len(crowd.bodies()) == 20
    assert held(crowd) == []


def test_f25_an_edit_explains_new_columns(crowd: World):
    """A new field is a change of few, or judged as such."""
    crowd.table(PLAN, "external_id plan cycle", [(key, "free", "month") for key in CROWD[:6]])
    crowd.rows(PLAN).extend((key, "free", None) for key in CROWD[6:])
    crowd.edit(PLAN)
    assert held(crowd) == []


def test_f10_a_state_from_an_old_backup_is_noticed(crowd: World):
    """What was sent since looks like a change of most contacts."""
    backup = backup_of(crowd.state)
    for plan in ("pro", "max"):
        for third in (CROWD[:6], CROWD[6:12], CROWD[12:]):
            for key in third:
                crowd.rows(PLAN)[key - 1] = (key, plan)
            crowd.sync(approve=crowd.plan().digest)
    crowd.bodies()
    crowd.state = backup
    ran = crowd.sync()
    assert [(hold.mapping, hold.reason) for hold in ran.held] == [(PLAN, "max_change")]
    assert crowd.bodies() == []


def test_f10_an_empty_state_holds_everything(crowd: World):
    """It looks like a first load."""
    crowd.state = World().state
    crowd.guard = GuardSettings(min_contacts=10)
    assert [hold.reason for hold in crowd.sync().held] == ["first_load"]
    assert crowd.bodies() == []
