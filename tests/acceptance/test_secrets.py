"""F72: neither the API key nor a database password shows up anywhere."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from meisa_cdc.cli.registry import COMMANDS
from tests.acceptance.installed import API_KEY, PATIENCE, Desk, Ended

PASSWORD = "c4n4ry-p4ssword"
#: Long-running, or not about the user's own settings.
APART = {"run", "sandbox", "demo"}
#: A command line of each command, most at its most talkative.
TALKATIVE = [
    ["init", "other", "--from-database", "--verbose"],
    ["check", "--verbose"],
    ["compile", "--verbose"],
    ["capture", "setup", "--apply", "--verbose"],
    ["plan", "--verbose"],
    ["sync", "--verbose"],
    ["approve", "0000", "--verbose"],
    ["suppressions", "--verbose", "--format", "json"],
    ["status", "--verbose", "--format", "json"],
    ["show", "u000", "--verbose"],
    ["quarantine", "--verbose"],
    ["baseline", "--verbose"],
    ["resync", "--verbose"],
    ["events", "--verbose"],
    ["history", "--verbose", "--format", "json"],
    ["migrate", "--verbose"],
]
#: Settings that are wrong, each in a way that tempts an error to quote them.
WRONG: list[tuple[list[str], dict[str, str]]] = [
    (["plan"], {"MEISA_CDC_APP_DATABASE__URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/d"}),
    (["plan"], {"MEISA_CDC_APP_DATABASE__URL": f"mysql://u:{PASSWORD}@127.0.0.1:1/d"}),
    (["capture", "drop"], {"MEISA_CDC_SETUP_URL": f"oracle://u:{PASSWORD}@127.0.0.1:1/d"}),
    (["capture", "drop"], {"MEISA_CDC_SETUP_URL": f"u:{PASSWORD}@127.0.0.1:1/d"}),
    (["status"], {"MEISA_CDC_STATE__URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/d"}),
    (["check"], {"MEISA_CDC_SUPPRESSION__URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/d"}),
    (["sync"], {"MEISA_API_KEY": f"{API_KEY}-of-nobody"}),
    (["sync"], {"MEISA_API_KEY": f"{API_KEY}\n"}),
    (["sync"], {"MEISA_CDC_MEISA__API_KEY": API_KEY}),
    (["sync"], {"MEISA_BASE_URL": f"http://u:{PASSWORD}@127.0.0.1:1/api/v1"}),
]


@pytest.fixture
def guarded(desk: Desk, postgres_url: str) -> Iterator[Desk]:
    """Yield a desk whose state and suppression table are behind a password."""
    password = str(make_url(postgres_url).password)
    desk.settings["MEISA_CDC_STATE__URL"] = postgres_url
    desk.settings["MEISA_CDC_LOG__FORMAT"] = "text"
    yield desk
    assert password not in "".join(texts_in(desk.folder))


def texts_in(folder: Path) -> Iterator[str]:
    """Yield every file below a folder, as text."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode(errors="replace")


def run_all(desk: Desk, calls: list[tuple[list[str], dict[str, str]]]) -> list[Ended]:
    """Run these commands, two at a time, whatever they end with."""

    def run(call: tuple[list[str], dict[str, str]]) -> Ended:
        arguments, settings = call
        return desk.run(*arguments, code=None, **settings)

    with ThreadPoolExecutor(2) as lanes:
        return list(lanes.map(run, calls))


def test_every_command_is_listened_to() -> None:
    """A command that is added later does not escape."""
    assert {each[0] for each in TALKATIVE} | APART == set(COMMANDS)


def test_f72_no_command_tells_a_secret_of_the_settings(guarded: Desk, postgres_url: str) -> None:
    """Not in text, JSON or log, at the most talkative; nor in the state, nor in a file."""
    password = str(make_url(postgres_url).password)
    guarded.run("sync")
    for ended in run_all(guarded, [(each, {}) for each in TALKATIVE]):
        assert password not in ended.told
        assert API_KEY not in ended.told
    for text in [*texts_in(guarded.folder), *rows_of(postgres_url)]:
        assert API_KEY not in text
        assert password not in text


def rows_of(url: str) -> Iterator[str]:
    """Yield every row of every table of a database, as text."""
    from sqlalchemy import MetaData, NullPool, create_engine, select

    engine = create_engine(url, poolclass=NullPool)
    tables = MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        for table in tables.tables.values():
            yield from map(repr, connection.execute(select(table)))


def test_f72_no_error_quotes_a_secret(desk: Desk) -> None:
    """Settings that are wrong are named by their key, and refused or used without being shown."""
    talkative = [([*arguments, "--verbose"], settings) for arguments, settings in WRONG]
    for (arguments, settings), ended in zip(talkative, run_all(desk, talkative), strict=True):
        assert PASSWORD not in ended.told, (arguments, settings)
    (desk.folder / "meisa-cdc.toml").write_text(
        f'[meisa]\napi_key = "{API_KEY}"\n[app_database]\nurl = "postgresql://u:{PASSWORD}@h"\n'
    )
    ended = desk.run("plan", "--verbose", code=1, MEISA_CDC_APP_DATABASE__URL=None)
    assert "meisa-cdc.toml" in ended.err
    assert PASSWORD not in ended.err
    for text in texts_in(desk.folder / "mappings"):
        assert API_KEY not in text


def test_f72_the_daemon_logs_no_secret(guarded: Desk, postgres_url: str) -> None:
    """Not while it delivers, and not while Meisa refuses the key."""
    password = str(make_url(postgres_url).password)
    for more in ({}, {"MEISA_API_KEY": f"{API_KEY}-of-nobody"}):
        told = run_for_a_while(guarded, more)
        assert told
        assert password not in told
        assert API_KEY not in told


def run_for_a_while(desk: Desk, settings: dict[str, Any]) -> str:
    """Return what the daemon says until it has asked Meisa something, and at its end."""
    heard = desk.heard()
    web = {"MEISA_CDC_WEB__BIND": "127.0.0.1:0"}
    with desk.started("run", "--verbose", **{**web, **settings}) as process:
        give_up = time.monotonic() + PATIENCE
        while desk.heard() == heard:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    return out + err
