"""What config() may say."""

import pytest

from meisa_cdc.core.mapping import FieldSettings, Priority
from meisa_cdc.core.policy import MinChange, Policy
from meisa_cdc.source.declarations import declared
from meisa_cdc.source.language import Refused


def refusal(**config: object) -> str:
    """Return what the author is told about a config that is refused."""
    with pytest.raises(Refused) as caught:
        declared(config)
    return f"{caught.value.message} {caught.value.hint}"


def field(**settings: object) -> FieldSettings:
    """Return what the settings of one field come to."""
    return declared({"fields": {"plan": settings}}).fields["plan"]


def test_without_config_the_defaults_hold():
    """A mapping needs no config at all."""
    found = declared({})
    assert (found.every, found.cron, found.timeout, found.fields) == (None, "", None, {})
    assert (found.priority, found.enabled) == (Priority.NORMAL, True)


def test_settings_are_taken():
    """Every setting that exists ends up where it belongs."""
    found = declared(
        {"every": "90s", "priority": "urgent", "timeout": "2m", "enabled": False, "capture": "scan"}
    )
    assert (found.every, found.timeout) == (90.0, 120.0)
    assert (found.priority, found.enabled) == (Priority.URGENT, False)
    assert declared({"cron": " 0 9 * * MON "}).cron == "0 9 * * MON"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"evry": "1m"}, "there is no setting 'evry' Did you mean 'every'?"),
        ({"colour": 1}, "there is no setting 'colour' There are every, cron"),
        ({"every": "1m", "cron": "0 9 * * *"}, "every and cron exclude each other"),
        ({"every": 60}, "every cannot be 60 Write a duration"),
        ({"every": "soon"}, "every cannot be 'soon'"),
        ({"every": "0s"}, "every cannot be '0s'"),
        ({"timeout": None}, "timeout cannot be None"),
        ({"cron": "0 9 * *"}, "cron cannot be '0 9 * *' Write five fields"),
        ({"cron": "0 0 9 * * *"}, "Write five fields"),
        ({"cron": "61 9 * * *"}, "cron cannot be '61 9 * * *'"),
        ({"cron": "0 0 30 2 *"}, "cron cannot be '0 0 30 2 *'"),
        ({"cron": 5}, "cron cannot be 5"),
        ({"priority": "urgnt"}, "priority cannot be 'urgnt' Did you mean 'urgent'?"),
        ({"priority": 1}, "priority cannot be 1"),
        ({"enabled": "yes"}, "enabled cannot be 'yes' It is true or false."),
        ({"capture": "scna"}, "capture cannot be 'scna' Did you mean 'scan'?"),
        ({"fields": ["plan"]}, "fields takes settings by column"),
        ({"fields": {"plan": "keep"}}, "the settings of 'plan' are no dict"),
        ({"fields": {"plan": {"mising": 1}}}, "no field setting of 'plan' 'mising' Did you mean"),
        ({"fields": {"plan": {"type": "int"}}}, "type of 'plan' cannot be 'int'"),
        ({"fields": {"plan": {"null": "no"}}}, "null of 'plan' cannot be 'no'"),
        ({"fields": {"plan": {"priority": "x"}}}, "priority of 'plan' cannot be 'x'"),
        ({"fields": {"plan": {"send": "sometimes"}}}, "send of 'plan' cannot be 'sometimes'"),
        ({"fields": {"plan": {"at_least_every": "1d"}}}, "needs send='with_others'"),
        (
            {"fields": {"plan": {"send": "with_others", "at_least_every": 7}}},
            "at_least_every of 'plan' cannot be 7",
        ),
        (
            {"fields": {"plan": {"send": "with_others", "thresholds": [1]}}},
            "'plan' rides along, so thresholds and min_change say nothing",
        ),
        ({"fields": {"plan": {"thresholds": 5}}}, "thresholds of 'plan' cannot be 5"),
        ({"fields": {"plan": {"thresholds": [1, "x"]}}}, "Write a list: [1, 5, 10]."),
        ({"fields": {"plan": {"thresholds": [True]}}}, "thresholds of 'plan' cannot be [True]"),
        ({"fields": {"plan": {"min_change": "ten"}}}, "min_change of 'plan' is neither"),
        ({"fields": {"plan": {"min_change": -1}}}, "min_change of 'plan' is neither"),
        ({"fields": {"plan": {"min_change": True}}}, "min_change of 'plan' is neither"),
        ({"fields": {"plan": {"missing": {"a": 1}}}}, "missing of 'plan' cannot be {'a': 1}"),
        ({"fields": {"plan": {"missing": 2**70}}}, "does not fit into 64"),
    ],
)
def test_a_setting_that_cannot_be_is_named(config, message):
    """The author learns which setting is wrong and what it may be."""
    assert message in refusal(**config)


@pytest.mark.parametrize(
    ("missing", "value", "keep"),
    [
        (None, None, False),
        ("null", None, False),
        ("keep", None, True),
        ("churned", "churned", False),
        (0, 0, False),
        (False, False, False),
        ([], [], False),
        ({"value": "keep"}, "keep", False),
        ({"value": "null"}, "null", False),
        ({"value": None}, None, False),
        ({"value": {"a": 1}}, {"a": 1}, False),
    ],
)
def test_missing_is_null_keep_or_a_constant(missing, value, keep):
    """A constant that is spelled like a word of ours is given as {'value': …}."""
    found = field(missing=missing)
    assert (found.missing, found.keep) == (value, keep)


def test_a_field_has_its_own_settings():
    """Type, null and priority are the field's; `always` is how everything is sent."""
    found = field(type="date", null="skip", priority="background", send="always")
    assert (found.type, found.null, found.priority) == ("date", "skip", Priority.BACKGROUND)
    assert field() == FieldSettings()


@pytest.mark.parametrize(
    ("settings", "policy"),
    [
        ({}, Policy()),
        ({"send": "always"}, Policy()),
        ({"send": "with_others"}, Policy(send="with_others")),
        (
            {"send": "with_others", "at_least_every": "7d"},
            Policy(send="with_others", at_least_every=7 * 86400.0),
        ),
        ({"thresholds": [10, 1, 5.5]}, Policy(thresholds=(1.0, 5.5, 10.0))),
        ({"min_change": 5}, Policy(min_change=MinChange(amount=5.0))),
        ({"min_change": "10%"}, Policy(min_change=MinChange(amount=0.1, relative=True))),
    ],
)
def test_a_field_says_when_it_is_worth_a_request(settings, policy):
    """Each policy ends up as it was written."""
    assert field(**settings).policy == policy


def test_what_is_done_once_has_settings_of_its_own():
    """E-mails are urgent unless they say otherwise; only events may happen twice."""
    assert declared({}, "emails").priority is Priority.URGENT
    assert declared({"priority": "normal"}, "emails").priority is Priority.NORMAL
    event = declared({"delivery": "at_least_once", "backfill": True, "every": "5m"}, "events")
    assert (event.at_least_once, event.backfill, event.every) == (True, True, 300.0)
    plain = declared({}, "sequences")
    assert (plain.at_least_once, plain.backfill, plain.priority) == (False, False, Priority.NORMAL)


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("events", {"delivery": "twice"}, "delivery cannot be 'twice'"),
        ("events", {"backfill": "yes"}, "backfill cannot be 'yes' It is true or false."),
        ("events", {"fields": {}}, "there is no setting 'fields'"),
        ("events", {"capture": "scan"}, "there is no setting 'capture'"),
        ("emails", {"delivery": "at_least_once"}, "there is no setting 'delivery'"),
        ("contacts", {"backfill": True}, "there is no setting 'backfill'"),
    ],
)
def test_settings_of_other_kinds_are_refused(kind, config, message):
    """So that nobody believes they work."""
    with pytest.raises(Refused) as caught:
        declared(config, kind)
    assert message in f"{caught.value.message} {caught.value.hint}"
