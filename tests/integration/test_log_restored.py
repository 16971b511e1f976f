"""An app database that was restored from a backup: its log tells nothing of what is gone."""

from pathlib import Path

import psycopg

from tests.databases.postgres import restored_server
from tests.installation import deliver, until
from tests.installation.writers import LOGS, app_with_writers, differing, execute, plain


def recovering(url: str) -> bool:
    """Tell whether the server is not yet ready to be written to."""
    with psycopg.connect(plain(url)) as connection:
        row = connection.execute("select pg_is_in_recovery()").fetchone()
    return row is None or bool(row[0])


def test_another_timeline_has_everything_read(tmp_path: Path):
    """What Meisa learned of the time that was taken back is put right; then the log goes on."""
    with restored_server() as (server, recover):
        url = server.render_as_string(hide_password=False)
        with app_with_writers(tmp_path, url, *LOGS["slot"]) as (home, _):
            deliver(home.settings())
            execute(url, "update users set first_name = 'Later' where id = 7")
            assert deliver(home.settings()).requests == 1
            recover()
            until(lambda: not recovering(url))
            # What the backup did not have, without a word in the log.
            execute(
                url,
                "alter publication meisa_cdc drop table users",
                "update users set first_name = 'Before' where id = 7",
                "alter publication meisa_cdc add table users",
            )
            assert deliver(home.settings()).requests == 1
            assert differing(home, url) == {}
            execute(url, "update users set first_name = 'After' where id = 8")
            assert deliver(home.settings()).requests == 1
            assert differing(home, url) == {}
            with home.state() as state:
                assert {kind for kind, _ in state.note("captures").values()} == {"log"}
