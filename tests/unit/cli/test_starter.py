"""The files that `init` writes."""

import re
from importlib.resources import files
from pathlib import Path

from meisa_cdc.settings import KEYS, NOT_IN_FILE, load_settings

STARTER = files("meisa_cdc.cli") / "starter"


def test_the_settings_file_has_every_setting(tmp_path: Path):
    """Each line that is commented out is a real setting with its default."""
    text = (STARTER / "meisa-cdc.toml").read_text(encoding="utf-8")
    everything = re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE)
    (tmp_path / "meisa-cdc.toml").write_text(everything, encoding="utf-8")
    settings = load_settings(environ={}, cwd=tmp_path)
    defaults = load_settings(environ={}, cwd=tmp_path / "empty")
    examples = {"app_database.url", "suppression.url", "log.format", "state.url", "mappings_dir"}
    for key in set(KEYS) - set(NOT_IN_FILE):
        group, _, name = key.rpartition(".")
        given = getattr(settings, group) if group else settings
        usual = getattr(defaults, group) if group else defaults
        assert name in given.model_fields_set, key
        if key not in examples:
            assert getattr(given, name) == getattr(usual, name), key


def test_the_settings_file_is_valid_as_it_is(tmp_path: Path):
    """Untouched it sets nothing."""
    text = (STARTER / "meisa-cdc.toml").read_text(encoding="utf-8")
    (tmp_path / "meisa-cdc.toml").write_text(text, encoding="utf-8")
    settings = load_settings(environ={}, cwd=tmp_path)
    assert settings.app_database.url is None
    assert not settings.meisa.limits_are_given
