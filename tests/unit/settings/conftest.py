"""How these tests load settings: a folder, its file, an environment that is an argument."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.settings import Settings, load_settings

Load = Callable[..., Settings]
Refusal = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that writes a settings file, if given one, and loads it."""

    def load(
        text: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
    ) -> Settings:
        if text is not None:
            (tmp_path / "meisa-cdc.toml").write_text(text, encoding="utf-8")
        return load_settings(environ=environ or {}, cwd=tmp_path, overrides=overrides)

    return load


@pytest.fixture
def refusal(load: Load) -> Refusal:
    """Return a function that loads what must be refused and returns the lines of the error."""

    def refusal(text: str | None = None, **sources: Mapping[str, str]) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            load(text, **sources)
        return caught.value.message.splitlines()

    return refusal
