"""What each kind of setting accepts, and what it says to the rest."""

from pathlib import Path

import pytest

from meisa_cdc.settings import DatabaseUrl, texts


def one(refusal, key, value):
    """Return the reason why a value is refused, without its place."""
    group, _, name = key.rpartition(".")
    section = f"[{group}]\n" if group else ""
    (line,) = refusal(f"{section}{name} = {value}\n")
    return line.removeprefix(f"meisa-cdc.toml: {key}: ")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("meisa.timeout", '"0s"', "this has to be longer than nothing"),
        ("meisa.timeout", "30", '30 has to be a text; write "30s", "5m" or "1h"'),
        ("meisa.reserve", '"100%"', "this would leave no request for us; write less than 100%"),
        ("meisa.reserve", '"0.1"', "'0.1' is not a share; write it as 10%"),
        ("meisa.reserve", "0.1", '0.1 has to be a text; write "10%"'),
        ("meisa.limits", '"60"', "'60' is not a request window; write 60/60s"),
        ("meisa.concurrency", "0", "0 is not a whole number from 1 on"),
        ("meisa.concurrency", "true", "True is not a whole number from 1 on"),
        ("meisa.concurrency", "1.0", "1.0 is not a whole number from 1 on"),
        ("meisa.concurrency", '"four"', "'four' is not a whole number from 1 on"),
        ("guard.first_load", '"maybe"', "'maybe' is not possible; write hold or send"),
        ("log.format", '"xml"', "'xml' is not possible; write text or json"),
        (
            "schedule.timezone",
            '"Pariss"',
            "'Pariss' is not a time zone; did you mean Europe/Paris?",
        ),
        (
            "schedule.timezone",
            '"Europe/Pari"',
            ("'Europe/Pari' is not a time zone; did you mean Europe/Paris?"),
        ),
        (
            "schedule.timezone",
            '"new york"',
            ("'new york' is not a time zone; did you mean America/New_York?"),
        ),
        (
            "schedule.timezone",
            '"../etc/passwd"',
            ("'../etc/passwd' is not a time zone; write UTC or Europe/Paris"),
        ),
        (
            "suppression.table",
            '"a.b.c"',
            ("'a.b.c' is not the name of a table; write table or schema.table"),
        ),
        ("web.bind", '"8787"', "'8787' is not HOST:PORT; write 127.0.0.1:8787"),
        ("web.bind", '":8787"', "':8787' is not HOST:PORT; write 127.0.0.1:8787"),
        ("web.bind", '"::1:8787"', "'::1:8787' is not HOST:PORT; write 127.0.0.1:8787"),
        ("web.bind", '"[x]:1"', "'[x]:1' is not HOST:PORT; write 127.0.0.1:8787"),
        (
            "web.bind",
            '"localhost:70000"',
            ("'localhost:70000' is not HOST:PORT; write 127.0.0.1:8787"),
        ),
        ("mappings_dir", '""', "this is not the name of a folder"),
        (
            "app_database.url",
            "1",
            ("a database URL is a text; write postgresql://user:password@host/name"),
        ),
        (
            "state.url",
            '"mysql://h/db"',
            ("mysql is not possible here; write sqlite://… or postgresql://…"),
        ),
    ],
)
def test_bad_values_say_what_to_write(refusal, key, value, reason):
    """Each refusal tells the user the way out."""
    assert one(refusal, key, value) == reason


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("web.bind", "localhost:0", "localhost:0"),
        ("web.bind", "[::1]:9000", "[::1]:9000"),
        ("suppression.table", "marketing.suppressed", "marketing.suppressed"),
        ("schedule.timezone", "Europe/Paris", "Europe/Paris"),
        ("meisa.concurrency", "8", "8"),
        ("guard.first_load", "send", "send"),
    ],
)
def test_good_values_are_read(load, key, value, read):
    """Values come out as they were meant."""
    group, name = key.split(".")
    settings = load(overrides={key: value})
    assert str(getattr(getattr(settings, group), name)) == read


def test_limits_know_whether_someone_set_them(load):
    """Only limits that nobody chose are replaced by what Meisa reports."""
    assert not load().meisa.limits_are_given
    settings = load('[meisa]\nlimits = "10/1s, 100/1m"')
    assert settings.meisa.limits_are_given
    assert settings.meisa.limits == ((10, 1.0), (100, 60.0))


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("http://127.0.0.1:8788/api/v1", "http://127.0.0.1:8788/api/v1"),
        ("http://[::1]:8788", "http://[::1]:8788"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_base_url_is_https_or_this_machine(load, url, read):
    """A remote address needs https; loopback may do without."""
    assert load(environ={"MEISA_BASE_URL": url}).meisa.base_url == read


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://api.meisa.io/api/v1", "plain http would show the API key to the network"),
        ("http://localhost.example.com", "plain http would show the API key to the network"),
        ("http://127.0.0.1.example.com", "plain http would show the API key to the network"),
        ("ftp://api.meisa.io", "this is not a web address"),
        ("api.meisa.io", "this is not a web address"),
        ("https://host:port", "this is not a web address"),
        ("https://user:hunter22@host/", "an address has no user, password, ? or # here"),
        ("https://host/?key=hunter22", "an address has no user, password, ? or # here"),
    ],
)
def test_f70_base_url_that_gives_the_key_away_is_refused(refusal, url, reason):
    """Plain http to a remote host is refused, and nothing of a URL's secrets is shown."""
    (line,) = refusal(environ={"MEISA_BASE_URL": url})
    assert line.startswith(f"MEISA_BASE_URL: {reason}")
    assert "hunter22" not in line


def test_a_server_that_others_reach_needs_a_token(load, refusal):
    """Binding beyond this machine without a token is refused."""
    assert refusal('[web]\nbind = "0.0.0.0:8787"') == [
        (
            "web.bind: 0.0.0.0:8787 can be reached from other machines; set MEISA_CDC_WEB__TOKEN, "
            "or MEISA_CDC_WEB__TOKEN_FILE with the path of a file, or bind 127.0.0.1"
        )
    ]
    settings = load(environ={"MEISA_CDC_WEB__TOKEN": "let-me-in"})
    assert not settings.web.bind.loopback


@pytest.mark.parametrize(
    ("url", "driver", "dialect"),
    [
        ("postgresql://u:p@h:5432/db", "postgresql+psycopg://u:p@h:5432/db", "postgresql"),
        ("postgres://h/db", "postgresql+psycopg://h/db", "postgresql"),
        ("postgresql+psycopg://h/db?sslmode=require",
         "postgresql+psycopg://h/db?sslmode=require", "postgresql"),
        ("mysql://u@h/db", "mysql+pymysql://u@h/db", "mysql"),
        ("mariadb+pymysql://u@h/db", "mysql+pymysql://u@h/db", "mysql"),
        ("sqlite:////abs/app.db", "sqlite:////abs/app.db", "sqlite"),
        ("sqlite:///app.db", "sqlite:////base/app.db", "sqlite"),
    ],
)  # fmt: skip
def test_database_urls_get_our_driver(url, driver, dialect):
    """Whatever spelling an app uses, the driver is the one we ship with."""
    parsed = DatabaseUrl.parse(url, Path("/base"))
    assert (parsed.reveal(), parsed.dialect) == (driver, dialect)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("oracle://h/db", "'oracle' is not a database we know"),
        ("postgresql+asyncpg://u:hunter22@h/db", "the driver 'asyncpg' is not used here"),
        ("nonsense", "this is not a database URL"),
        ("postgresql://u:hunter22@h:port/db", "this is not a database URL"),
        ("postgresql://u:hunter22@h", "the URL names no database"),
        ("sqlite://", "an SQLite database here is a plain file"),
        ("sqlite:///:memory:", "an SQLite database here is a plain file"),
        ("sqlite:///file:x?mode=rw", "an SQLite database here is a plain file"),
        ("sqlite:///x.db?mode=rw", "an SQLite URL has three slashes and no options"),
        ("sqlite://host/x.db", "an SQLite URL has three slashes and no options"),
    ],
)
def test_database_urls_that_cannot_be_used_are_refused(url, reason):
    """The reason shows nothing of a password."""
    with pytest.raises(ValueError, match=f"^{reason}") as caught:
        DatabaseUrl.parse(url, Path("/base"))
    assert "hunter22" not in str(caught.value)


def test_the_state_is_never_the_apps_own_file(refusal, load, tmp_path):
    """The app's SQLite file is recognised through links, by either kind, and before it exists."""
    text = '[app_database]\nurl = "sqlite:///app.db"\n[state]\nurl = "sqlite:///{}"\n'
    reason = "is the app's own database, which is never written to; name another file"
    assert refusal(text.format("sub/../app.db"))[0].endswith(reason)
    (tmp_path / "app.db").touch()
    (tmp_path / "soft.db").symlink_to("app.db")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "app.db")
    assert refusal(text.format("soft.db"))[0].endswith(reason)
    assert refusal(text.format("hard.db"))[0].endswith(reason)
    assert load(text.format("other.db"))


@pytest.mark.parametrize(("written", "meant"), [("true", True), (" False ", False)])
def test_a_switch_is_true_or_false(written, meant):
    """In any case."""
    assert texts.parse_switch(written) is meant
    assert texts.parse_switch(meant) is meant
    with pytest.raises(ValueError, match="'yes' is neither true nor false"):
        texts.parse_switch("yes")


@pytest.mark.parametrize("name", ["Log", "my log", "1st", "log-2", "", "é", "x" * 41, 'a"b'])
def test_a_log_has_a_plain_name(refusal, name):
    """It goes into SQL, and more is put behind it."""
    (line,) = refusal(f"[capture]\nname = {name!r}")
    assert line.startswith("meisa-cdc.toml: capture.name: ")
    assert "write a-z, 0-9 and _, at most 40 of them" in line


def test_a_log_has_a_name_and_a_limit(load):
    """Those of the documentation unless set."""
    assert (load().capture.name, load().capture.max_wal) == ("meisa_cdc", 10**9)
    settings = load('[capture]\nname = "crm_2"\nmax_wal = "512MB"')
    assert (settings.capture.name, settings.capture.max_wal) == ("crm_2", 512 * 10**6)


@pytest.mark.parametrize("size", ['"0MB"', '"1 gig"', '"-1GB"', "1000"])
def test_a_limit_is_a_size(refusal, size):
    """With its unit, and above nothing."""
    (line,) = refusal(f"[capture]\nmax_wal = {size}")
    assert line.startswith("meisa-cdc.toml: capture.max_wal: ")
