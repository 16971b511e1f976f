"""States that must not be used, and what the user is told to do about it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from meisa_cdc.sandbox import SandboxServer
from tests.acceptance.installed import Desk, settings_for


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """Return a desk after its first run."""
    desk.run("sync")
    return desk


def test_f17_a_state_filled_from_another_meisa_is_refused(
    filled: Desk, open_sandbox: Callable[..., SandboxServer]
) -> None:
    """Both are named, nothing is sent to either, and the way out is another state."""
    other = open_sandbox(product_id="live-shop")
    heard = filled.heard()
    for command in ("sync", "check"):
        ended = filled.run(command, code=1, **settings_for(other))
        assert "product sandbox (test)" in ended.told
        assert "product live-shop (test)" in ended.told
        assert "state.url" in ended.told
    assert [each.path for each in other.account.requests()] == ["/api/v1/ping/"] * 2
    assert filled.heard() == heard
    own = {"MEISA_CDC_STATE__URL": "sqlite:///live.db"}
    filled.settings |= settings_for(other) | own
    assert filled.json("sync")["delivered"] == 3


def test_f11_a_state_newer_than_the_program_is_refused_untouched(filled: Desk) -> None:
    """Readers and writers say so, and not a byte of it changes."""
    with closing(sqlite3.connect(filled.state)) as connection, connection:
        connection.execute("update schema_version set version_num = '9999'")
    before = filled.state.read_bytes()
    for command in ("plan", "migrate"):
        ended = filled.run(command, code=1)
        assert "newer" in ended.err
    assert filled.state.read_bytes() == before


def test_f09_a_state_that_was_lost_is_refused_with_the_way_out(filled: Desk) -> None:
    """Never taken for a fresh start, unless somebody removes both files on purpose."""
    heard = filled.heard()
    damages: dict[str, bytes | None] = {"sync": b"", "plan": b"no database" * 500, "status": None}
    for command, content in damages.items():
        filled.state.unlink(missing_ok=True)
        if content is not None:
            filled.state.write_bytes(content)
        ended = filled.run(command, code=1)
        assert "meisa-cdc.db" in ended.err
        assert "backup" in ended.err
        assert "baseline" in ended.err
    assert filled.heard() == heard
    filled.state.with_name("meisa-cdc.db.id").unlink()
    assert filled.json("baseline")["contacts"] == 3
