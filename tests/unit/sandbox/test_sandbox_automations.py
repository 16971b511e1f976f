"""Automations at work: which trigger sets off what, and where it ends."""

import pytest
from hypothesis import given, strategies as st
from orjson import dumps

from meisa_cdc.sandbox import read_configured
from meisa_cdc.sandbox.automations.deciding import all_hold
from meisa_cdc.sandbox.automations.rules import Facts, FieldCondition
from meisa_cdc.sandbox.reactions import MOST_RUNS
from tests.unit.sandbox.conftest import Desk

ANNA = "anna@example.com"
EXAMPLE = """
[[sequences]]
slug = "welcome-pro"

[[sequences]]
slug = "off"
status = "inactive"

[[automations]]
name = "upgrade"
trigger = "contact_updated"
field = "custom_fields.plan"
from = "free"
to = ["standard", "pro"]
actions = [
  { add_tag = "paying-customer" },
  { remove_tag = "free-plan" },
  { set_field = "custom_fields.segment", to = "paid" },
  { enroll = "welcome-pro" },
]
"""


@pytest.fixture
def automated(desk_with):
    """Makes an account with the automations of a TOML text."""

    def make(text):
        found = read_configured(text)
        return desk_with(automations=found.automations, sequences=found.sequences)

    return make


def one(trigger, actions, rest=""):
    """The text of an automation called `it`."""
    return f'[[automations]]\nname = "it"\ntrigger = {trigger}\n{rest}\nactions = {actions}\n'


def tags(desk, email=ANNA):
    """Names of the contact's tags."""
    return [tag["name"] for tag in desk.account.contact(email=email)["tags"]]


def outcomes(desk):
    """Automation and outcome of every run."""
    return [(run.automation, run.outcome) for run in desk.account.automation_runs()]


def test_an_upgrade_sets_off_everything_it_should(automated):
    """Tags, field and enrolment follow one upsert, whose answer does not wait for them."""
    desk = automated(EXAMPLE)
    desk.upsert(email=ANNA, custom_fields={"plan": "free"}, tag_names=["free-plan"])
    assert outcomes(desk) == []
    _, answer = desk.upsert(email=ANNA, custom_fields={"plan": "pro"})
    assert [tag["name"] for tag in answer["tags"]] == ["free-plan"]
    assert tags(desk) == ["paying-customer"]
    assert desk.account.contact(email=ANNA)["custom_fields"] == {"plan": "pro", "segment": "paid"}
    assert desk.account.enrollments(ANNA)[0]["sequence_slug"] == "welcome-pro"


def test_what_an_automation_did_is_on_record(automated):
    """The run names trigger, contact and each action; the triggers it fired name it."""
    desk = automated(EXAMPLE)
    desk.upsert(email=ANNA, external_id="7", custom_fields={"plan": "free"})
    desk.upsert(email=ANNA, custom_fields={"plan": "pro"})
    (run,) = desk.account.automation_runs()
    assert (run.automation, run.outcome, run.trigger, run.external_id) == ("upgrade", "ran", 2, "7")
    assert [(each["action"], each["subject"], each["result"]) for each in run.actions] == [
        ("add_tag", "paying-customer", "added"),
        ("remove_tag", "free-plan", "was not there"),
        ("set_field", "custom_fields.segment", "set"),
        ("enroll", "welcome-pro", "enrolled"),
    ]
    assert [(each.kind, each.caused_by) for each in desk.account.triggers()] == [
        ("contact_created", ()),
        ("contact_updated", ()),
        ("tag_added", ("upgrade",)),
        ("contact_updated", ("upgrade",)),
        ("sequence_enrolled", ("upgrade",)),
    ]


@pytest.mark.parametrize(
    ("before", "after", "runs"),
    [
        ("free", "pro", 1),
        ("free", "standard", 1),
        ("free", "churned", 0),
        ("trial", "pro", 0),
        (None, "pro", 0),
        ("pro", "pro", 0),
    ],
)
def test_only_the_change_waited_for_counts(automated, before, after, runs):
    """Both ends must match; a list stands for any of its values."""
    desk = automated(EXAMPLE)
    desk.upsert(email=ANNA, custom_fields={"plan": before} if before else {})
    desk.upsert(email=ANNA, custom_fields={"plan": after})
    assert len(outcomes(desk)) == runs


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ('"contact_created"', 1),
        ('"contact_updated"', 2),
        ('"contact_updated"\nfield = "custom_fields.n"', 1),
        ('"contact_updated"\nfield = "custom_fields.n"\nto = 2', 1),
        ('"contact_updated"\nfield = "custom_fields.n"\nfrom = 2', 0),
        ('"contact_updated"\nfield = "custom_fields.other"', 0),
        ('"tag_added"', 2),
        ('"tag_added"\ntag = "a"', 1),
        ('"tag_removed"\ntag = "a"', 1),
        ('"tag_removed"\ntag = "b"', 0),
        ('"custom_event"', 2),
        ('"custom_event"\nevent_name = "export"', 1),
        ('"sequence_enrolled"', 1),
        ('"sequence_enrolled"\nsequence = "onboarding"', 1),
        ('"sequence_enrolled"\nsequence = "win-back"', 0),
    ],
)
def test_every_trigger_can_be_waited_for(automated, trigger, expected):
    """Any of its kind, or the one about this field, tag, event or sequence."""
    desk = automated(one(trigger, '[{ notify = "seen" }]'))
    contact = desk.upsert(email=ANNA, custom_fields={"n": 1}, tag_names=["a", "b"])[1]
    desk.upsert(email=ANNA, custom_fields={"n": 2})
    desk.upsert(email=ANNA, first_name="Anna")
    place = f"/contacts/{contact['id']}/remove_tag/"
    desk.answer("POST", place, dumps({"tag_name": "a"}))
    for name in ("export", "login"):
        desk.answer("POST", "/events/track/", dumps({"email": ANNA, "event_name": name}))
    body = {"email": ANNA, "sequence_slug": "onboarding"}
    desk.answer("POST", "/sequences/enroll/", dumps(body))
    assert outcomes(desk) == [("it", "ran")] * expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('{ field = "custom_fields.plan", equals = "pro" }', True),
        ('{ field = "custom_fields.plan", equals = "free" }', False),
        ('{ field = "custom_fields.plan", not_equals = "free" }', True),
        ('{ field = "custom_fields.none", not_equals = "free" }', True),
        ('{ field = "custom_fields.plan", one_of = ["free", "pro"] }', True),
        ('{ field = "custom_fields.plan", one_of = [] }', False),
        ('{ field = "custom_fields.posts", at_least = 5 }', True),
        ('{ field = "custom_fields.posts", above = 5 }', False),
        ('{ field = "custom_fields.posts", at_most = 5.0 }', True),
        ('{ field = "custom_fields.posts", below = 5 }', False),
        ('{ field = "custom_fields.posts", above = "4" }', False),
        ('{ field = "custom_fields.done", above = 0 }', False),
        ('{ field = "custom_fields.done", equals = true }', True),
        ('{ field = "custom_fields.done", equals = 1 }', False),
        ('{ field = "custom_fields.since", below = "2026-02" }', True),
        ('{ field = "custom_fields.uses", contains = "export" }', True),
        ('{ field = "custom_fields.uses", contains = "exp" }', False),
        ('{ field = "custom_fields.posts", contains = 5 }', False),
        ('{ field = "email", contains = "@example.com" }', True),
        ('{ field = "custom_fields.none", exists = false }', True),
        ('{ field = "custom_fields.none", at_least = 0 }', False),
        ('{ field = "custom_fields.plan", exists = true }', True),
        ('{ field = "status", equals = "active" }', True),
        ('{ tag = "vip" }', True),
        ('{ tag = "vip", carried = false }', False),
        ('{ tag = "beta", carried = false }', True),
        ('{ tag = "vip" }, { tag = "beta" }', False),
    ],
)
def test_conditions_look_at_the_contact(automated, condition, holds):
    """All must hold; values of unlike types have no order."""
    text = one('"custom_event"', '[{ add_tag = "hit" }]', f"conditions = [{condition}]")
    desk = automated(text)
    fields = {"plan": "pro", "posts": 5, "done": True, "since": "2026-01-12", "uses": ["export"]}
    desk.upsert(email=ANNA, custom_fields=fields, tag_names=["vip"])
    desk.answer("POST", "/events/track/", dumps({"email": ANNA, "event_name": "x"}))
    assert ("hit" in tags(desk)) is holds


def test_conditions_see_what_earlier_automations_did(automated):
    """They are looked at when the automation's turn comes."""
    first = one('"contact_created"', '[{ add_tag = "new" }]').replace('"it"', '"first"')
    second = one('"contact_created"', '[{ add_tag = "late" }]', 'conditions = [{ tag = "new" }]')
    desk = automated(first + second)
    desk.upsert(email=ANNA)
    assert tags(desk) == ["new", "late"]


def test_what_is_so_already_fires_nothing(automated):
    """The run says so of each action."""
    actions = """[{ add_tag = "a" }, { remove_tag = "b" },
      { set_field = "custom_fields.n", to = 1 }, { unenroll = "win-back" }]"""
    desk = automated(one('"custom_event"', actions))
    desk.upsert(email=ANNA, custom_fields={"n": 1}, tag_names=["a"])
    fired = len(desk.fired())
    desk.answer("POST", "/events/track/", dumps({"email": ANNA, "event_name": "x"}))
    assert len(desk.fired()) == fired + 1
    assert [each["result"] for each in desk.account.automation_runs()[0].actions] == [
        "was there",
        "was not there",
        "was so",
        "was not in it",
    ]


def test_a_contact_is_taken_out_of_a_sequence(automated):
    """From then on no e-mail of it is due, and it can be enrolled again."""
    rest = 'event_name = "activated"'
    desk = automated(one('"custom_event"', '[{ unenroll = "onboarding" }]', rest))
    enroll = dumps({"email": ANNA, "sequence_slug": "onboarding"})
    desk.answer("POST", "/sequences/enroll/", enroll)
    body = dumps({"email": ANNA, "event_name": "activated"})
    desk.answer("POST", "/events/track/", body)
    desk.clock.now += 10 * 86_400
    (ended,) = desk.account.enrollments(ANNA)
    assert (ended["status"], ended["emails_sent"], ended["next_step_at"]) == ("removed", 1, None)
    assert desk.answer("POST", "/sequences/enroll/", enroll)[0] == 201


@pytest.mark.parametrize(
    ("slug", "result"),
    [("welcome-pro", "was in it"), ("off", "sequence is not active")],
)
def test_an_enrolment_that_cannot_be_is_on_record(automated, slug, result):
    """The rest of the automation goes on."""
    actions = f'[{{ enroll = "welcome-pro" }}, {{ enroll = "{slug}" }}, {{ add_tag = "x" }}]'
    desk = automated(EXAMPLE + one('"contact_created"', actions))
    desk.upsert(email=ANNA)
    assert desk.account.automation_runs()[0].actions[1]["result"] == result
    assert tags(desk) == ["x"]


def test_who_unsubscribed_is_not_enrolled(automated):
    """As with a request that does not override it."""
    desk = automated(one('"contact_created"', '[{ enroll = "win-back" }]'))
    desk.account.suppress(add=[ANNA])
    desk.upsert(email=ANNA)
    assert desk.account.automation_runs()[0].actions[0]["result"] == "unsubscribed"
    assert desk.account.enrollments(ANNA) == []


def test_a_circle_of_automations_ends(automated):
    """None reacts to what it caused itself; where the circle closes is on record."""
    text = """
    [[automations]]
    name = "on"
    trigger = "tag_removed"
    tag = "x"
    actions = [{ add_tag = "x" }]

    [[automations]]
    name = "off"
    trigger = "tag_added"
    tag = "x"
    actions = [{ remove_tag = "x" }]
    """
    desk = automated(text)
    desk.upsert(email=ANNA, tag_names=["x"])
    assert outcomes(desk) == [("off", "ran"), ("on", "ran"), ("off", "loop")]
    assert tags(desk) == ["x"]


def test_the_runs_of_one_request_are_bounded(automated):
    """What would multiply without end is cut off, and the next request starts afresh."""
    names = [f"n{number}" for number in range(8)]
    parts = [
        f'[[automations]]\nname = "{name}"\ntrigger = "contact_updated"\nactions = ['
        + ",".join(f'{{ set_field = "custom_fields.{name}", to = {value} }}' for value in range(2))
        + "]"
        for name in names
    ]
    desk = automated("\n".join(parts))
    desk.upsert(email=ANNA)
    desk.upsert(email=ANNA, first_name="Anna")
    assert [outcome for _, outcome in outcomes(desk)].count("limit") == 1
    assert len(outcomes(desk)) == MOST_RUNS + 1
    assert outcomes(desk)[-1][1] == "limit"
    seen = len(outcomes(desk))
    desk.upsert(email=ANNA, first_name="A.")
    assert outcomes(desk)[seen] == ("n0", "ran")


def test_without_automations_nothing_runs(desk):
    """Triggers fire as ever."""
    desk.upsert(email=ANNA, tag_names=["a"])
    assert desk.fired() == ["contact_created", "tag_added"]
    assert desk.account.automation_runs() == []


TAGS = st.sampled_from(["a", "b", "c"])
TRIGGERS = st.sampled_from(["tag_added", "tag_removed", "contact_updated"])
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add_tag", "remove_tag", "set_field"]), TAGS),
    min_size=1,
    max_size=3,
)


@given(st.lists(st.tuples(TRIGGERS, ACTIONS), min_size=1, max_size=5))
def test_every_set_of_automations_comes_to_an_end(drawn):
    """However they set each other off, one request sets off a bounded number of runs."""
    parts = []
    for number, (trigger, actions) in enumerate(drawn):
        done = [
            f'{{ {verb} = "custom_fields.{tag}", to = {number} }}'
            if verb == "set_field"
            else f'{{ {verb} = "{tag}" }}'
            for verb, tag in actions
        ]
        parts.append(one(f'"{trigger}"', f"[{', '.join(done)}]").replace('"it"', f'"{number}"'))
    automations = read_configured("\n".join(parts)).automations
    desk = Desk()
    desk = Desk(options=type(desk.options)(limits=(), automations=automations))
    desk.upsert(email=ANNA, tag_names=["a"])
    desk.upsert(email=ANNA, custom_fields={"a": 99})
    for outcome in ("ran", "loop"):
        each = [found for _, found in outcomes(desk)].count(outcome)
        assert each <= 2 * MOST_RUNS
    assert all(len(set(t.caused_by)) == len(t.caused_by) for t in desk.account.triggers())


@given(st.none() | st.integers() | st.floats() | st.text() | st.booleans() | st.lists(st.text()))
def test_no_value_upsets_a_comparison(value):
    """Whatever a field holds, a condition holds or does not."""
    facts = Facts(fields={"custom_fields.x": value}, tags=frozenset())
    for operator in ("above", "at_least", "below", "at_most", "contains"):
        for bound in (1, "a"):
            condition = FieldCondition(field="custom_fields.x", operator=operator, value=bound)
            assert all_hold([condition], facts) in (True, False)
