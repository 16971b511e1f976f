"""The API key: read anew for each request, and kept out of everything that is shown."""

import re
from collections.abc import Callable
from typing import TypeAlias

from pydantic import SecretStr

from meisa_cdc.core.errors import SettingsError

ApiKey: TypeAlias = SecretStr | str | Callable[[], str]

PRINTABLE = re.compile(r"[\x21-\x7e]+")
#: Shorter keys, as in tests, may be ordinary words of an answer.
TELLING = 8
HIDDEN = "[api key]"


class Key:
    """The key as it is now; a callable is asked each time, so that a rotated one is picked up."""

    def __init__(self, given: ApiKey) -> None:
        self._given = given

    def __repr__(self) -> str:
        return "Key(…)"

    def reveal(self) -> str:
        """Return the key without blanks around it. Raises SettingsError where it is no key."""
        given = self._given
        if isinstance(given, SecretStr):
            given = given.get_secret_value()
        key = (given if isinstance(given, str) else _asked(given)).strip()
        if not key:
            raise SettingsError(
                "There is no API key.", hint="Set MEISA_API_KEY, or MEISA_API_KEY_FILE."
            )
        if not PRINTABLE.fullmatch(key):
            # It would travel as a header line; a line break in it would be a second one.
            raise SettingsError("The API key holds blanks or characters that no key has.")
        return key


def _asked(given: Callable[[], str]) -> str:
    try:
        return given()
    except OSError as error:
        where = f" from {error.filename}" if error.filename else ""
        raise SettingsError(f"The API key cannot be read{where}: {error.strerror}.") from error


def without(key: str, text: str) -> str:
    """Return the text with the key blotted out: a server may quote it in its refusal."""
    return text.replace(key, HIDDEN) if len(key) >= TELLING else text
