"""A secret that comes from the environment or from a file, and never shows itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from meisa_cdc.core.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Where a secret is kept; `read` fetches it anew each time."""

    #: The environment variable that brought it, for messages.
    name: str
    #: The secret itself, unless it is in a file.
    value: str = field(default="", repr=False)
    #: The file that holds nothing else.
    file: Path | None = None
    #: Is told the secret whenever it is read: whoever keeps it out of logs.
    seen: Callable[[str], object] = field(default=str, repr=False, compare=False)

    def read(self) -> str:
        """Return the secret as it is now, so that a rotated one is picked up.

        Raises SettingsError where the file cannot be read or holds no usable secret.
        """
        text = self.value if self.file is None else self._contents(self.file)
        text = text.strip()
        if not text:
            raise SettingsError(f"{self._where} is empty.")
        if not text.isascii() or not text.isprintable() or " " in text:
            raise SettingsError(
                f"{self._where} holds blanks, line breaks or characters that no key has.",
                hint="It should hold the key and nothing else.",
            )
        self.seen(text)
        return text

    @property
    def _where(self) -> str:
        return self.name if self.file is None else f"{self.file} (from {self.name})"

    def _contents(self, file: Path) -> str:
        try:
            return file.read_text(encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"{self._where} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"{self._where} is not a text file.") from error
