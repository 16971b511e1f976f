"""The API key: read anew, never shown."""

import pytest
from pydantic import SecretStr

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.meisa.key import HIDDEN, Key, without


@pytest.mark.parametrize("given", ["abc-123", SecretStr("abc-123"), lambda: "abc-123\n"])
def test_every_form_of_a_key_reveals_the_same(given):
    """A text, a secret and a callable are alike; blanks around it are none of it."""
    assert Key(given).reveal() == "abc-123"


def test_f73_a_callable_is_asked_each_time():
    """A key that was rotated is the next one used."""
    keys = iter(["first", "second"])
    key = Key(lambda: next(keys))
    assert [key.reveal(), key.reveal()] == ["first", "second"]


@pytest.mark.parametrize("given", ["two words", "line\nbreak", "zwölf", "nul\x00", "tab\there"])
def test_f72_a_key_that_cannot_be_a_header_is_refused_unquoted(given):
    """A line break would be a second header; the message does not repeat it."""
    with pytest.raises(SettingsError) as refused:
        Key(given).reveal()
    assert given not in str(refused.value)


@pytest.mark.parametrize("given", ["", "  \n"])
def test_no_key_is_told(given):
    """An empty key says which settings are meant."""
    with pytest.raises(SettingsError, match="MEISA_API_KEY"):
        Key(given).reveal()


def test_a_key_file_that_is_gone_is_told():
    """The reason names the file, without a traceback."""

    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory", "/run/secrets/meisa")

    with pytest.raises(SettingsError, match="/run/secrets/meisa: No such file"):
        Key(gone).reveal()


def test_f72_a_key_does_not_show_itself():
    """Neither repr nor str holds it."""
    assert "abc-123" not in f"{Key('abc-123')!r} {Key('abc-123')}"


def test_f72_a_quoted_key_is_blotted_out():
    """What a server says about our key is shown without it."""
    assert without("meisa_live_1", "bad key meisa_live_1!") == f"bad key {HIDDEN}!"


def test_a_key_that_is_a_mere_word_blots_out_nothing():
    """A sandbox key such as `key` would garble every answer."""
    assert without("key", "the key is wrong") == "the key is wrong"
