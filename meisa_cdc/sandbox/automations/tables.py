"""Reading of TOML tables in which every key must be known and of its type."""

from collections.abc import Collection, Mapping
from datetime import date, time
from difflib import get_close_matches
from typing import Any

from meisa_cdc.sandbox.errors import OptionError


class Table:
    """One table of the file; keys are taken one by one, and none may be left over.

    Every method raises OptionError naming the place.
    """

    def __init__(self, place: str, content: object) -> None:
        if not isinstance(content, dict):
            raise OptionError(f"{place}must be a table, like {{ tag = 'vip' }}")
        self.place = place
        self._content: dict[str, Any] = dict(content)
        self._known: list[str] = []

    def has(self, *keys: str) -> list[str]:
        """Those of the keys that are there, not yet taken."""
        self._known += keys
        return [key for key in keys if key in self._content]

    def text(self, key: str) -> str:
        """A text that must be there and not blank."""
        value = self.text_or_none(key)
        if value is None:
            raise self.error(f"{key} is missing")
        return value

    def text_or_none(self, key: str) -> str | None:
        """A text that is not blank; None if the key is absent."""
        value = self.value(key)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise self.error(f"{key} must be a text that is not blank")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(f"{key} must be true or false")
        return value

    def word(self, key: str, words: Collection[str], default: str | None = None) -> str:
        """One of these words."""
        value = self.text_or_none(key) or default
        if value is None or value not in words:
            raise self.error(f"{key} must be one of {', '.join(words)}")
        return value

    def value(self, key: str) -> Any:
        """Any value that JSON has as well; None if the key is absent."""
        value = self._take(key)
        if not _is_json(value):
            raise self.error(f"{key} is a date or no finite number; write it as a text")
        return value

    def value_or(self, key: str, default: Any) -> Any:
        """As `value`, with another default."""
        found = self.value(key)
        return default if found is None else found

    def tables(self, key: str) -> list["Table"]:
        """A list of tables; empty if the key is absent."""
        items = self._take(key)
        if not isinstance(items, list | None):
            raise self.error(f"{key} must be a list")
        return [
            Table(f"{self.place}{key}[{number}]: ", item)
            for number, item in enumerate(items or (), 1)
        ]

    def finish(self) -> None:
        """Refuse what was not taken."""
        for key in self._content:
            near = get_close_matches(key, self._known, 1)
            advice = f"; did you mean {near[0]}?" if near else ""
            known = ", ".join(dict.fromkeys(self._known))
            raise self.error(f"there is no {key!r}; there are {known}{advice}")

    def _take(self, key: str) -> Any:
        self._known.append(key)
        return self._content.pop(key, None)

    def error(self, text: str) -> OptionError:
        """The error to raise about this table."""
        return OptionError(f"{self.place}{text}")


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return abs(value) < float("inf")
    return not isinstance(value, (date, time))
