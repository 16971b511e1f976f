"""The file that says what people would have configured in Meisa."""

import pytest

from meisa_cdc.sandbox import (
    Configured,
    EmailTrigger,
    OptionError,
    SandboxOptions,
    Sequence,
    load_automations,
    read_configured,
)
from meisa_cdc.sandbox.automations.rules import (
    AddTag,
    Automation,
    Enroll,
    FieldCondition,
    Notify,
    RemoveTag,
    SetField,
    TagCondition,
    Unenroll,
    When,
)

HEAD = '[[automations]]\nname = "it"\ntrigger = "contact_created"\n'
ACTION = 'actions = [{ add_tag = "a" }]\n'


def test_an_empty_file_leaves_the_defaults():
    """No automations, the sequences and e-mail triggers of the documents' examples."""
    assert read_configured("") == Configured()
    assert {each.slug for each in Configured().sequences} >= {"welcome-pro", "win-back"}
    assert "verification_code" in {each.key for each in Configured().email_triggers}


def test_an_automation_is_read_whole():
    """Trigger, conditions and actions, in order."""
    text = """
    [[automations]]
    name = "upgrade"
    trigger = "contact_updated"
    field = "custom_fields.plan"
    from = "free"
    to = ["standard", "pro"]
    conditions = [
      { field = "custom_fields.posts", at_least = 5 },
      { tag = "staff", carried = false },
    ]
    actions = [
      { add_tag = "paying" },
      { remove_tag = "free" },
      { set_field = "custom_fields.segment", to = { of = [1] } },
      { enroll = "welcome-pro" },
      { unenroll = "onboarding" },
      { notify = "An upgrade" },
    ]
    """
    assert read_configured(text).automations == (
        Automation(
            name="upgrade",
            when=When(
                kind="contact_updated",
                field="custom_fields.plan",
                before=("free",),
                after=("standard", "pro"),
            ),
            conditions=(
                FieldCondition(field="custom_fields.posts", operator="at_least", value=5),
                TagCondition(tag="staff", carried=False),
            ),
            actions=(
                AddTag(tag="paying"),
                RemoveTag(tag="free"),
                SetField(name="segment", value={"of": [1]}),
                Enroll(sequence="welcome-pro"),
                Unenroll(sequence="onboarding"),
                Notify(text="An upgrade"),
            ),
        ),
    )


def test_sequences_and_email_triggers_replace_the_defaults():
    """Each list for itself."""
    text = """
    [[sequences]]
    slug = "trial"
    name = "Trial"
    status = "inactive"
    steps = ["0s", "2d"]

    [[email_triggers]]
    key = "receipt"
    active = false
    delay = "5m"
    sender = ""
    subject = "Receipt {{number}}"
    text = "Thanks"
    conditions = [{ tag = "paying" }]
    """
    found = read_configured(text)
    assert found.sequences == (
        Sequence(slug="trial", name="Trial", status="inactive", steps=(0.0, 172_800.0)),
    )
    assert found.email_triggers == (
        EmailTrigger(
            key="receipt",
            active=False,
            delay=300.0,
            sender=None,
            subject="Receipt {{number}}",
            text="Thanks",
            conditions=(TagCondition(tag="paying"),),
        ),
    )
    assert (
        read_configured('[[sequences]]\nslug = "x"').email_triggers == Configured().email_triggers
    )
    assert read_configured("sequences = []").sequences == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[automations", "this is not TOML"),
        ("automation = []", "there is no 'automation'; there are sequences, email_triggers,"),
        ("automation = []", "did you mean automations?"),
        ("automations = 1", "automations must be a list"),
        ("automations = [1]", "automations[1]: must be a table"),
        ('[[automations]]\ntrigger = "contact_created"', "automations[1]: name is missing"),
        ('[[automations]]\nname = " "', "name must be a text that is not blank"),
        ('[[automations]]\nname = "it"\ntrigger = "tag"', "trigger must be one of contact_created"),
        (HEAD, "automations[1]: actions is missing"),
        (HEAD + "actions = [{}]", "automations[1]: actions[1]: an action is exactly one of"),
        (
            HEAD + 'actions = [{ add_tag = "a", remove_tag = "b" }]',
            "an action is exactly one of add_tag, remove_tag",
        ),
        (HEAD + 'actions = [{ add_tags = "a" }]', "an action is exactly one of"),
        (HEAD + 'actions = [{ add_tag = "a", to = 1 }]', "there is no 'to'"),
        (HEAD + 'actions = [{ set_field = "plan", to = 1 }]', "must be a custom field, like"),
        (HEAD + 'actions = [{ set_field = "custom_fields.", to = 1 }]', "must be a custom field"),
        (HEAD + 'actions = [{ set_field = "custom_fields.a" }]', "set_field needs the value"),
        (
            HEAD + 'actions = [{ set_field = "custom_fields.a", to = 2026-01-12 }]',
            "to is a date or no finite number; write it as a text",
        ),
        (HEAD + 'actions = [{ set_field = "custom_fields.a", to = [nan] }]', "no finite number"),
        (HEAD + ACTION + "condition = []", "did you mean conditions?"),
        (HEAD + ACTION + "conditions = [{}]", "a condition needs a field or a tag"),
        (HEAD + ACTION + 'conditions = [{ tag = "a", carried = 1 }]', "carried must be true or"),
        (HEAD + ACTION + 'conditions = [{ field = "plan", equals = 1 }]', "no field 'plan'"),
        (HEAD + ACTION + 'conditions = [{ field = "email" }]', "needs exactly one of equals"),
        (
            HEAD + ACTION + 'conditions = [{ field = "email", above = 1, below = 2 }]',
            "needs exactly one of equals",
        ),
        (HEAD + ACTION + 'conditions = [{ field = "email", one_of = "a" }]', "must be a list"),
        (HEAD + ACTION + 'conditions = [{ field = "email", exists = 1 }]', "must be true or false"),
        (HEAD + ACTION + 'tag = "a"', "there is no 'tag'"),
        (HEAD + ACTION + HEAD + ACTION, "there are two with the name 'it'"),
        (
            '[[automations]]\nname = "it"\ntrigger = "contact_updated"\nfrom = 1\n' + ACTION,
            "from and to need a field",
        ),
        ('[[sequences]]\nslug = "a"\nsteps = "1d"', "steps must be a list of durations"),
        ('[[sequences]]\nslug = "a"\nsteps = [1]', "steps must be durations in quotes"),
        ('[[sequences]]\nslug = "a"\nsteps = ["soon"]', "steps: 'soon' is not a duration"),
        ('[[sequences]]\nslug = "a"\nsteps = ["9999d"]', "must last 0 s to 3650 days"),
        ('[[sequences]]\nslug = "a"\nstatus = "draft"', "status must be one of active, inactive"),
        ('[[email_triggers]]\nkey = "a"\nsender = 1', "sender must be an e-mail address"),
        ('[[email_triggers]]\nkey = "a"\ndelay = 5', "delay must be durations in quotes"),
    ],
)
def test_a_mistake_is_named_by_its_place(text, told):
    """What is wrong, where, and what there is instead."""
    with pytest.raises(OptionError) as failure:
        read_configured(text)
    assert told in str(failure.value)


def test_a_sequence_that_is_not_there_is_named():
    """An automation cannot enrol in what nobody set up."""
    found = read_configured(HEAD + 'actions = [{ enroll = "wellcome" }]')
    with pytest.raises(OptionError, match=r"'it' names the sequence 'wellcome'; there are onb"):
        SandboxOptions(automations=found.automations)


def test_a_file_is_named_in_its_errors(tmp_path):
    """One that is not there, one that is no text, one with a mistake in it."""
    path = tmp_path / "automations.toml"
    with pytest.raises(OptionError, match=r"automations\.toml cannot be read"):
        load_automations(path)
    path.write_bytes(b"\xff")
    with pytest.raises(OptionError, match="cannot be read"):
        load_automations(path)
    path.write_text("automation = []")
    with pytest.raises(OptionError, match=r"automations\.toml: there is no 'automation'"):
        load_automations(path)
    path.write_text(HEAD + ACTION)
    assert load_automations(path).automations[0].name == "it"
