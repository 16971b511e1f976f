"""What the key has to be allowed to do, and for which mappings."""

import pytest

from meisa_cdc.core.mapping import Mapping, kind_of
from meisa_cdc.sync.scopes import lack_of, lacking, needs

EVERY = ("contacts/identity", "tags/badge", "events/exports", "emails/codes", "sequences/trials")


def mapping(name: str, *, enabled: bool = True) -> Mapping:
    """Return a mapping of that name, with nothing else about it."""
    return Mapping(name=name, kind=kind_of(name), text="", digest="", enabled=enabled)


def test_each_kind_needs_a_scope():
    """Tags that of contacts; e-mails wait for the list, and need what that needs."""
    assert needs(map(mapping, reversed(EVERY)), emails=True) == {
        "contacts:write": ["contacts/identity", "tags/badge"],
        "contacts:read": ["the suppression list", "emails/codes"],
        "events:track": ["events/exports"],
        "emails:trigger": ["emails/codes"],
        "sequences:enroll": ["sequences/trials"],
    }


def test_what_is_off_needs_nothing():
    """Mappings that are disabled, and e-mails that are not sent; the list is pulled anyway."""
    off = [mapping("events/exports", enabled=False), mapping("emails/codes")]
    assert needs(off, emails=False) == {"contacts:read": ["the suppression list"]}


@pytest.mark.parametrize("granted", [None, (*needs(map(mapping, EVERY), emails=True),)])
def test_nothing_lacks(granted):
    """Where all is granted, or Meisa does not tell."""
    assert lacking(granted, map(mapping, EVERY), emails=True) == ()


def test_a_lack_names_who_needs_it():
    """One mapping, several, and no more than can be read."""
    lacks = lacking(["contacts:read"], map(mapping, EVERY), emails=False)
    assert [str(each) for each in lacks] == [
        "The API key lacks the scope contacts:write, which contacts/identity and tags/badge need.",
        "The API key lacks the scope events:track, which events/exports needs.",
        "The API key lacks the scope sequences:enroll, which sequences/trials needs.",
    ]
    assert lack_of("events:track", lacks) is lacks[1]
    assert lack_of("emails:trigger", lacks) is None
    many = lacking([], [mapping(f"events/e{n:02}") for n in range(12)], emails=False)
    assert str(many[-1]).endswith("events/e08, events/e09 and 2 more need.")
