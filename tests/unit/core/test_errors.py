"""Errors say what happened, where, and what to do."""

import pytest

from meisa_cdc.core import errors
from meisa_cdc.core.errors import (
    ApprovalMismatch,
    InvalidValue,
    LeaseHeld,
    MappingError,
    MappingFailed,
    MeisaCdcError,
    MeisaUnavailable,
    RetryLater,
    SettingsError,
    Stop,
)


def tree() -> list[type[MeisaCdcError]]:
    """Return every error class of the module."""
    return [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, MeisaCdcError)
    ]


def test_every_error_tells_what_happens_next():
    """It is the root, or one of the three kinds, and its docstring says so."""
    for each in tree():
        assert each.__doc__
        assert each is MeisaCdcError or issubclass(each, Stop | RetryLater | InvalidValue)


def test_the_tree_in_the_module_names_every_error():
    """The drawing at the top is complete."""
    drawing = errors.__doc__ or ""
    for each in tree():
        assert each.__name__ in drawing


def test_a_message_ends_with_what_to_do():
    """The hint is part of the text, and can be had apart."""
    error = SettingsError("The key is missing.", hint="Set MEISA_API_KEY.")
    assert str(error) == "The key is missing. Set MEISA_API_KEY."
    assert (error.message, error.hint) == ("The key is missing.", "Set MEISA_API_KEY.")
    assert str(ApprovalMismatch("Another plan.")) == "Another plan."
    assert str(MappingError("no key", hint="Name one.")) == "no key. Name one."


@pytest.mark.parametrize(
    ("mapping", "line", "text"),
    [
        ("", 0, "no key"),
        ("", 3, "no key"),
        ("contacts/plan", 0, "contacts/plan.sql: no key"),
        ("contacts/plan", 3, "contacts/plan.sql:3: no key"),
    ],
)
def test_a_mapping_error_says_in_which_line_of_which_file(mapping: str, line: int, text: str):
    """As far as that is known."""
    error = MappingError("no key", mapping=mapping, line=line)
    assert str(error) == text
    assert (error.mapping, error.line) == (mapping, line)


def test_a_mapping_that_failed_is_named():
    """The others go on, so the user has to know which."""
    error = MappingFailed("timed out.", mapping="contacts/plan", hint="Add an index.")
    assert str(error) == "contacts/plan: timed out. Add an index."
    assert error.mapping == "contacts/plan"


def test_a_held_lease_names_its_holder():
    """And how long to wait for one that died."""
    error = LeaseHeld("pid 7 on db1")
    assert error.holder == "pid 7 on db1"
    assert "pid 7 on db1" in str(error)
    assert "10 seconds" in error.hint


def test_an_invalid_value_has_a_code_for_programs():
    """The message is for people."""
    error = InvalidValue("email_missing", "the e-mail is NULL")
    assert (error.code, str(error)) == ("email_missing", "the e-mail is NULL")
    assert not isinstance(error, Stop | RetryLater)
    assert isinstance(MeisaUnavailable("Meisa did not answer."), RetryLater)
