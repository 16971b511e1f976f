"""What a mapping declares, and what must hold over a set of them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from meisa_cdc.core.contact import UNSET
from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.mapping import (
    PRIORITIES,
    FieldSettings,
    Mapping,
    Priority,
    check_columns,
    check_set,
    missing_value,
    named,
    null_is_sent,
)


def mapping(fields: dict[str, FieldSettings] | None = None) -> Mapping:
    """Return a mapping with these settings by column."""
    return Mapping(name="contacts/plan", text="select 1", digest="d", fields=fields or {})


def test_urgent_goes_before_normal_before_background():
    """The names are those that people write."""
    assert sorted(PRIORITIES, key=PRIORITIES.__getitem__) == ["urgent", "normal", "background"]


def test_a_field_has_its_own_priority_or_the_mapping_s():
    """Urgent is a priority like the others, although its rank is nought."""
    one = Mapping(
        name="contacts/plan",
        text="",
        digest="",
        priority=Priority.BACKGROUND,
        fields={"plan": FieldSettings(priority=Priority.URGENT), "seats": FieldSettings()},
    )
    assert one.priority_of("plan") is Priority.URGENT
    assert one.priority_of("seats") is Priority.BACKGROUND
    assert one.priority_of("other") is Priority.BACKGROUND


@pytest.mark.parametrize(
    ("column", "settings", "sent"),
    [
        ("plan", FieldSettings(), True),
        ("plan", FieldSettings(null="skip"), False),
        ("first_name", FieldSettings(), False),
        ("first_name", FieldSettings(null="send"), True),
        ("first_name", FieldSettings(null="skip"), False),
    ],
)
def test_null_is_sent_for_custom_fields_and_skipped_for_attributes(
    column: str, settings: FieldSettings, sent: bool
):
    """Unless the mapping says otherwise."""
    assert null_is_sent(mapping({column: settings}), column) is sent


def test_a_missing_row_means_null_a_constant_or_nothing():
    """NULL where nothing is said."""
    one = mapping(
        {
            "constant": FieldSettings(missing="churned"),
            "kept": FieldSettings(keep=True),
            "none": FieldSettings(missing=None),
        }
    )
    assert missing_value(one, "constant") == "churned"
    assert missing_value(one, "kept") is UNSET
    assert missing_value(one, "none") is None
    assert missing_value(one, "other") is None


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (["external_id", "plan", "plan"], "contacts/plan.sql: the column 'plan' occurs twice"),
        (["external_id", "external_id", "plan"], "the column 'external_id' occurs twice"),
        (["id", "plan"], "no column is called external_id"),
        ([], "no column is called external_id"),
        (["external_id"], "there is no column beside the key"),
    ],
    ids=str,
)
def test_f53_columns_that_cannot_be_a_mapping_s_are_refused(columns: Sequence[str], text: str):
    """Two columns for one field, no key, or nothing but a key; the file is named."""
    with pytest.raises(MappingError) as caught:
        check_columns(mapping(), columns)
    assert text in str(caught.value)
    assert caught.value.mapping == "contacts/plan"


@pytest.mark.parametrize("column", ["seats", "external_id"])
def test_settings_for_what_is_no_field_of_the_query_are_refused(column: str):
    """A typing error in `fields` must not go unnoticed."""
    with pytest.raises(MappingError, match=f"settings for '{column}'"):
        check_columns(mapping({column: FieldSettings()}), ["external_id", "plan"])


def test_columns_that_can_be_a_mapping_s_pass():
    """A key, anywhere, and fields."""
    check_columns(mapping({"plan": FieldSettings()}), ["plan", "external_id", "seats"])


def test_the_mapping_that_yields_e_mail_is_identity():
    """Each other field has one mapping, whatever its name."""
    identity = check_set(
        {
            "contacts/plan": ["external_id", "plan"],
            "contacts/people": ["external_id", "email", "first_name"],
        }
    )
    assert identity == "contacts/people"


@pytest.mark.parametrize("column", ["plan", "email"])
def test_f53_one_field_from_two_mappings_is_refused(column: str):
    """Both are named, so the user can choose."""
    with pytest.raises(MappingError) as caught:
        check_set({"contacts/a": ["external_id", "email", column], "contacts/b": [column]})
    assert "contacts/b.sql" in str(caught.value)
    assert "comes from contacts/a already" in str(caught.value)


@pytest.mark.parametrize("columns", [{}, {"contacts/a": ["external_id", "Email"]}], ids=str)
def test_a_set_without_an_e_mail_is_refused(columns: dict[str, list[str]]):
    """Nothing would say which contacts exist."""
    with pytest.raises(MappingError, match="no mapping in contacts/ yields the column email"):
        check_set(columns)


def test_mappings_are_had_by_name_in_order():
    """Whatever order the folder was listed in."""
    two = [replace(mapping(), name=name) for name in ("contacts/b", "contacts/a")]
    assert list(named(two)) == ["contacts/a", "contacts/b"]


def test_a_column_is_not_called_like_the_tags_of_a_mapping():
    """It would be taken for them."""
    with pytest.raises(MappingError, match="cannot be called 'tags/customer'"):
        check_columns(mapping(), ["external_id", "tags/customer"])
