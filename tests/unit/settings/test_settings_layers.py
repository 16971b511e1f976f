"""Where settings come from, and which place wins."""

import tomllib
from pathlib import Path

import pytest

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.settings import ENVIRONMENT, KEYS, NOT_IN_FILE, load_settings


def test_defaults_are_those_of_the_documentation(load, tmp_path):
    """Without file and environment every setting has its documented default."""
    settings = load()
    assert settings.meisa.base_url == "https://api.meisa.io/api/v1"
    assert settings.meisa.limits == ((60, 60.0), (1000, 3600.0))
    assert (settings.meisa.reserve, settings.meisa.concurrency) == (0.1, 4)
    assert settings.meisa.timeout == 30
    assert settings.app_database.url is None
    assert settings.app_database.statement_timeout == 60
    assert settings.state.url.file == tmp_path / "meisa-cdc.db"
    assert (settings.suppression.table, settings.suppression.every) == (
        "meisa_suppressed_emails",
        3600,
    )
    assert settings.suppression.max_release == 0.2
    assert settings.mappings_dir == tmp_path / "mappings"
    assert (settings.schedule.every, settings.schedule.timezone.key) == (60, "UTC")
    assert settings.guard.first_load == "hold"
    assert (settings.guard.max_change, settings.guard.max_missing) == (0.3, 0.1)
    assert settings.guard.min_contacts == 100
    assert str(settings.web.bind) == "127.0.0.1:8787"
    assert settings.log.format is None


def test_every_table_of_the_documentation_names_every_setting():
    """docs/settings.md has a row for each setting, with its variable and its default."""
    document = (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8")
    for variable, key in ENVIRONMENT.items():
        row = next(line for line in document.splitlines() if line.startswith(f"| `{variable}`"))
        assert key in NOT_IN_FILE or f"`{key}`" in row


def test_options_win_over_environment_over_file(load):
    """Each place overrides the ones after it, a setting at a time."""
    text = '[meisa]\ntimeout = "1s"\nreserve = "1%"\nconcurrency = 1\n'
    environ = {"MEISA_CDC_MEISA__TIMEOUT": "2s", "MEISA_CDC_MEISA__RESERVE": "2%"}
    settings = load(text, environ=environ, overrides={"meisa.timeout": "3s"})
    assert settings.meisa.timeout == 3
    assert settings.meisa.reserve == 0.02
    assert settings.meisa.concurrency == 1


@pytest.mark.parametrize("key", sorted(set(KEYS) - set(NOT_IN_FILE)))
def test_every_setting_is_known_in_file_and_environment(refusal, key):
    """A bad value is refused at each place under the name the user wrote."""
    variable = {known: name for name, known in ENVIRONMENT.items()}[key]
    group, _, name = key.rpartition(".")
    section = f"[{group}]\n" if group else ""
    assert refusal(f"{section}{name} = {{}}\n")[0].startswith(f"meisa-cdc.toml: {key}: ")
    bad = "\x00" if key == "mappings_dir" else "no://such thing"
    assert refusal("", environ={variable: bad})[0].startswith(f"{variable}: ")


def test_empty_variables_count_as_not_set(load):
    """A variable that a container sets to nothing leaves the default."""
    environ = {"MEISA_CDC_MEISA__TIMEOUT": "", "MEISA_API_KEY": " "}
    settings = load(environ=environ)
    assert settings.meisa.timeout == 30
    assert settings.meisa.api_key is None


def test_unknown_key_is_named_with_the_nearest(refusal):
    """A mistyped key says which one was meant, and the file it stands in."""
    assert refusal('[guard]\nmax_chnage = "10%"') == [
        "meisa-cdc.toml: guard.max_chnage is not a setting; did you mean guard.max_change?"
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MEISA_CDC_GUARD__MAX_CHNAGE", "MEISA_CDC_GUARD__MAX_CHANGE"),
        ("MEISA_CDC_MEISA__BASE_URL", "MEISA_BASE_URL"),
        ("MEISA_CDC_API_KEY", "MEISA_API_KEY"),
        ("MEISA_CDC_DATABASE_URL", "MEISA_CDC_APP_DATABASE__URL"),
        ("meisa_cdc_state__url", "MEISA_CDC_STATE__URL"),
        ("MEISA_CDC_WEB__TOKENFILE", "MEISA_CDC_WEB__TOKEN_FILE"),
    ],
)
def test_unknown_variable_is_named_with_the_nearest(refusal, name, meant):
    """A mistyped variable is an error, not a setting that silently does nothing."""
    assert refusal(environ={name: "x"}) == [f"{name} is not a setting; did you mean {meant}?"]


def test_variables_of_others_are_left_alone(load):
    """Only our own prefix is checked."""
    assert load(environ={"PATH": "/bin", "MEISA_OTHER": "x", "MEISA": "y"})


def test_names_like_nothing_get_no_suggestion(refusal):
    """Where no setting is alike, none is suggested."""
    assert refusal("zzz = 1") == ["meisa-cdc.toml: zzz is not a setting"]
    assert refusal("", environ={"MEISA_CDC_": "x"}) == ["MEISA_CDC_ is not a setting"]


def test_settings_of_a_later_version_are_refused(refusal):
    """What has no behaviour yet is not accepted in silence."""
    assert refusal(
        '[alerts]\nwebhook_url = "https://x"',
        environ={"MEISA_CDC_ALERTS__WEBHOOK_URL": "https://x"},
    ) == [
        "meisa-cdc.toml: alerts.webhook_url is not supported yet; remove it",
        "MEISA_CDC_ALERTS__WEBHOOK_URL is not supported yet; unset it",
    ]


def test_all_problems_are_told_at_once(refusal):
    """Unknown keys and bad values come in one go, a line each."""
    lines = refusal('oops = 1\n[meisa]\ntimeout = "soon"\nreserve = "no"')
    assert len(lines) == 3
    assert lines[0] == "meisa-cdc.toml: oops is not a setting"
    assert (
        "meisa-cdc.toml: meisa.timeout: 'soon' is not a duration; write 500ms, 30s, 5m, 1h or 7d"
        in lines
    )


def test_a_group_that_is_no_table_is_told(refusal):
    """A value in place of a group says how a group is written."""
    assert refusal('meisa = "x"\nvars = 3') == [
        "meisa-cdc.toml: meisa is a group of settings; write [meisa]",
        "meisa-cdc.toml: vars is a group of settings; write [vars]",
    ]


def test_toml_errors_name_file_and_line(refusal):
    """A syntax error says where."""
    assert refusal("[meisa]\ntimeout = 30s\n")[0].startswith("meisa-cdc.toml:2: ")
    assert refusal('[meisa]\n\ntimeout = "30s')[0].startswith("meisa-cdc.toml:3: ")


def test_a_byte_order_mark_is_no_error(load):
    """A file that an editor gave a mark reads like any other."""
    assert load('\ufeff[meisa]\ntimeout = "5s"').meisa.timeout == 5


def test_a_file_that_is_named_has_to_exist(tmp_path):
    """--config with a wrong path is an error, the missing default file is none."""
    with pytest.raises(SettingsError, match=r"^other\.toml does not exist\.$"):
        load_settings(Path("other.toml"), environ={}, cwd=tmp_path)
    assert load_settings(environ={}, cwd=tmp_path).mappings_dir == tmp_path / "mappings"


def test_files_that_cannot_be_read_are_told(tmp_path):
    """A folder or bytes in place of the file give a reason."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match=r"^folder cannot be read: Is a directory\.$"):
        load_settings(Path("folder"), environ={}, cwd=tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"^bytes is not UTF-8 text\.$"):
        load_settings(Path("bytes"), environ={}, cwd=tmp_path)


def test_relative_paths_start_at_the_file(tmp_path):
    """State, mappings and app database are found beside the settings file."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "my.toml").write_text('[app_database]\nurl = "sqlite:///app.db"\n', encoding="utf-8")
    settings = load_settings(
        Path("etc/my.toml"), environ={"MEISA_CDC_MAPPINGS_DIR": "sql"}, cwd=tmp_path
    )
    assert settings.require_app_database().file == folder / "app.db"
    assert settings.state.url.file == folder / "meisa-cdc.db"
    assert settings.mappings_dir == folder / "sql"


def test_env_file_is_read_only_when_named(tmp_path):
    """A .env beside the settings does nothing by itself; named, it loses to the environment."""
    (tmp_path / ".env").write_text(
        "# ours\nMEISA_CDC_MEISA__TIMEOUT=5s\nexport MEISA_API_KEY='abc'\nOTHER=x\nBARE\n"
        "MEISA_CDC_MEISA__RESERVE=5%\n",
        encoding="utf-8",
    )
    assert load_settings(environ={}, cwd=tmp_path).meisa.timeout == 30
    environ = {"MEISA_CDC_MEISA__RESERVE": "7%"}
    settings = load_settings(environ=environ, cwd=tmp_path, env_file=Path(".env"))
    assert (settings.meisa.timeout, settings.meisa.reserve) == (5, 0.07)
    assert settings.require_api_key() == "abc"


def test_env_file_errors_name_file_and_line(tmp_path):
    """A line that is no assignment is told, and so is a missing file."""
    (tmp_path / "bad.env").write_text("A=1\n=no 'thing\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"^bad\.env:2: this is not NAME=value\."):
        load_settings(environ={}, cwd=tmp_path, env_file=Path("bad.env"))
    with pytest.raises(SettingsError, match=r"^no\.env does not exist\.$"):
        load_settings(environ={}, cwd=tmp_path, env_file=Path("no.env"))


def test_variables_of_mappings_are_plain_values(load, refusal):
    """[vars] takes what a query can be given, lists included, and refuses tables."""
    text = "[vars]\nn = 1\nname = 'x'\nshare = 0.5\non = true\nday = 2026-01-12\nplans = ['a', 'b']"
    assert load(text).vars == tomllib.loads(text)["vars"]
    assert refusal("[vars]\nbad = {a = 1}") == [
        (
            "meisa-cdc.toml: vars.bad: a variable is a text, number, date, true or false, "
            "or a list of these"
        )
    ]


def test_options_for_unknown_settings_are_a_fault_of_ours(load):
    """A command cannot override what does not exist."""
    with pytest.raises(KeyError):
        load(overrides={"meisa.nonsense": "1"})


def test_options_are_named_as_such(refusal):
    """A bad value from the command line says so."""
    assert refusal(overrides={"meisa.timeout": "x"})[0].startswith("command line: meisa.timeout: ")
