"""Secrets come from outside the file, are read when used, and are never shown."""

import pytest

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.settings import load_settings

CANARY = "c4n4ry-s3cret"


def everything(settings):
    """Return what any careless dump of the settings would show."""
    return f"{settings!r} {settings} {settings.model_dump()}"


def test_f72_secrets_are_in_no_dump(load):
    """Keys, tokens and passwords are absent from repr, str and dump of the whole tree."""
    settings = load(
        f'[app_database]\nurl = "postgresql://u:{CANARY}@h/db?sslpassword={CANARY}"\n',
        environ={
            "MEISA_API_KEY": CANARY,
            "MEISA_CDC_WEB__TOKEN": CANARY,
            "MEISA_CDC_STATE__URL": f"postgresql://u:{CANARY}@h/state",
            "MEISA_CDC_SUPPRESSION__URL": f"mysql://u:{CANARY}@h/db",
        },
    )
    assert CANARY not in everything(settings)
    assert "postgresql://u@h/db" in everything(settings)
    assert settings.require_app_database().reveal().count(CANARY) == 2
    assert set(settings.secrets()) == {CANARY}


def test_f72_passwords_are_known_as_urls_spell_them(load):
    """A password with special characters is hidden in both spellings."""
    settings = load(environ={"MEISA_CDC_APP_DATABASE__URL": "postgresql://u:p%40s%2Fs@h/db"})
    assert {"p@s/s", "p%40s/s", "p%40s%2Fs"} <= set(settings.secrets())


@pytest.mark.parametrize(
    "text",
    [
        f'[meisa]\napi_key = "{CANARY}"',
        f'api_key = "{CANARY}"',
        f'MEISA_API_KEY = "{CANARY}"',
    ],
)
def test_an_api_key_in_the_file_is_refused(refusal, text):
    """The error says where the key belongs, and does not repeat it."""
    (line,) = refusal(text)
    assert "does not belong in a file that is passed around" in line
    assert "set MEISA_API_KEY, or MEISA_API_KEY_FILE" in line
    assert CANARY not in line


def test_a_token_in_the_file_is_refused(refusal):
    """So it is for the web server's token."""
    (line,) = refusal(f'[web]\ntoken = "{CANARY}"')
    assert "set MEISA_CDC_WEB__TOKEN" in line
    assert CANARY not in line


def test_bad_urls_are_refused_without_showing_them(refusal):
    """A password in a malformed URL stays out of the error."""
    lines = refusal(environ={"MEISA_CDC_APP_DATABASE__URL": f"postgresql://u:{CANARY}@h:x/db"})
    assert lines[0].startswith("MEISA_CDC_APP_DATABASE__URL: this is not a database URL")
    assert CANARY not in "".join(lines)


def test_f73_a_rotated_key_is_picked_up(load, tmp_path):
    """The key's file is read at each use, so a new key needs no restart."""
    file = tmp_path / "key"
    file.write_text("old\n", encoding="utf-8")
    settings = load(environ={"MEISA_API_KEY_FILE": "key"})
    assert settings.require_api_key() == "old"
    file.write_text("new", encoding="utf-8")
    assert settings.require_api_key() == "new"


def test_whoever_hides_secrets_is_told_of_a_rotated_one(tmp_path):
    """Each read key is reported before it can be used."""
    (tmp_path / "key").write_text("first", encoding="utf-8")
    seen: list[str] = []
    settings = load_settings(environ={"MEISA_API_KEY_FILE": "key"}, cwd=tmp_path, seen=seen.append)
    settings.require_api_key()
    (tmp_path / "key").write_text("second", encoding="utf-8")
    settings.require_api_key()
    assert seen == ["first", "second"]


def test_key_and_key_file_exclude_each_other(refusal):
    """Which of two keys is meant cannot be guessed."""
    assert refusal(environ={"MEISA_API_KEY": "a", "MEISA_API_KEY_FILE": "b"}) == [
        "MEISA_API_KEY and MEISA_API_KEY_FILE are both set; unset one of them"
    ]


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"one two", "holds blanks, line breaks or characters that no key has"),
        (b"one\ntwo", "holds blanks, line breaks or characters that no key has"),
        ("schlüssel".encode(), "holds blanks, line breaks or characters that no key has"),
        (b"\xff\xfe", "is not a text file"),
    ],
)
def test_a_key_file_without_a_key_is_told(load, tmp_path, contents, reason):
    """The error names the file and the variable, never the contents; loading still works."""
    file = tmp_path / "key"
    if contents is not None:
        file.write_bytes(contents)
    settings = load(environ={"MEISA_API_KEY_FILE": str(file)})
    assert settings.secrets() == ()
    with pytest.raises(SettingsError) as caught:
        settings.require_api_key()
    assert caught.value.message.startswith(f"{file} (from MEISA_API_KEY_FILE) {reason}")


def test_a_missing_key_or_database_tells_how_to_set_it(load):
    """Commands that need one say which variable or line to set."""
    settings = load()
    with pytest.raises(SettingsError, match="Set MEISA_API_KEY to the key, or MEISA_API_KEY_FILE"):
        settings.require_api_key()
    with pytest.raises(SettingsError, match="Set MEISA_CDC_APP_DATABASE__URL, or url under"):
        settings.require_app_database()


def test_the_suppression_table_lives_in_the_app_database_unless_told(load):
    """Without a URL of its own the suppression table uses the app's."""
    environ = {"MEISA_CDC_APP_DATABASE__URL": "postgresql://h/app"}
    assert str(load(environ=environ).suppression_url()) == "postgresql://h/app"
    environ["MEISA_CDC_SUPPRESSION__URL"] = "postgresql://writer@h/app"
    assert str(load(environ=environ).suppression_url()) == "postgresql://writer@h/app"


def test_settings_cannot_be_changed(load):
    """The tree is frozen."""
    with pytest.raises(ValueError, match="frozen"):
        load().meisa.timeout = 1


def test_whom_a_log_is_set_up_as_is_a_secret(load, tmp_path, refusal):
    """Its URL comes from the environment or a file of its own, and is shown nowhere."""
    app = {"MEISA_CDC_APP_DATABASE__URL": "postgresql://reader@h/app"}
    assert str(load(environ=app).require_setup()) == "postgresql://reader@h/app"
    owner = f"postgresql://owner:{CANARY}@h/app"
    settings = load(environ={**app, "MEISA_CDC_SETUP_URL": owner})
    assert settings.require_setup().reveal().endswith(f"owner:{CANARY}@h/app")
    assert CANARY not in everything(settings)
    assert {owner, CANARY} <= set(settings.secrets())
    (tmp_path / "owner").write_text(f"{owner}\n", encoding="utf-8")
    settings = load(environ={**app, "MEISA_CDC_SETUP_URL_FILE": "owner"})
    assert str(settings.require_setup()) == "postgresql://owner@h/app"
    (line,) = refusal(f'[capture]\nsetup_url = "{owner}"')
    assert "set MEISA_CDC_SETUP_URL, or MEISA_CDC_SETUP_URL_FILE" in line
    assert CANARY not in line


def test_whom_a_log_is_set_up_as_has_to_be_a_url(load):
    """It is read when it is used; until then it keeps nobody from anything."""
    settings = load(environ={"MEISA_CDC_SETUP_URL": f"oracle://u:{CANARY}@h/app"})
    assert f"oracle://u:{CANARY}@h/app" in settings.secrets()
    with pytest.raises(SettingsError, match="MEISA_CDC_SETUP_URL: 'oracle' is not") as refused:
        settings.require_setup()
    assert CANARY not in str(refused.value)
