"""The URL of the app database."""

import subprocess
import sys

import pytest

from meisa_cdc.core.errors import SettingsError, SourceRefused
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.engines import app_url, driver_arguments, place_of

CANARY = "s3cret-canary"


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg"),
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("mysql://u@h/d", "mysql+pymysql"),
        ("mariadb+mysqldb://u@h/d", "mysql+pymysql"),
        ("sqlite:///a.db", "sqlite"),
    ],
)
def test_every_spelling_gets_the_driver_that_we_use(url, driver):
    """Which driver the app itself uses does not matter."""
    assert app_url(url).drivername == driver


@pytest.mark.parametrize("url", ["", "app.db", f"postgresql://u:{CANARY}@h:port/d", "://"])
def test_a_url_that_cannot_be_read_is_an_error_without_secrets(url):
    """The message says how a URL looks, and shows nothing of this one."""
    with pytest.raises(SettingsError) as caught:
        app_url(url)
    assert "postgresql://user:password@host/database" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_an_unknown_kind_of_database_is_refused():
    """The kinds that work are named."""
    with pytest.raises(SourceRefused, match=r"'oracle'.*Supported are postgresql, mysql"):
        app_url(f"oracle://u:{CANARY}@h/d")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url):
    """It would be empty, always."""
    with pytest.raises(SettingsError, match="in memory"), AppDatabase(url).snapshot():
        pass


def test_the_password_is_shown_nowhere():
    """Neither where the database is said to be, nor in its repr."""
    url = f"postgresql://user:{CANARY}@db.example:5433/app"
    assert place_of(app_url(url)) == "Postgres at db.example:5433"
    assert place_of(app_url("mysql://h/d")) == "MySQL at h"
    assert place_of(app_url("sqlite:///a.db")) == "the SQLite file a.db"
    assert CANARY not in repr(AppDatabase(url))
    assert CANARY not in repr(AppDatabase(f"postgresql:///app?password={CANARY}"))


def test_an_option_that_the_driver_does_not_know_is_an_error():
    """A mistake in the URL's query is told as a mistake in the URL."""
    with pytest.raises(SettingsError, match="cannot be used"):
        driver_arguments(app_url("mysql://u@h/d?connect_timeout=soon"))


def test_without_the_extra_mysql_is_refused_with_what_to_install():
    """The driver is optional; the error says how to get it."""
    code = (
        "import sys; sys.modules['pymysql'] = None\n"
        "from meisa_cdc.source.database import AppDatabase\n"
        "from meisa_cdc.core.errors import SourceRefused\n"
        "try:\n"
        "    AppDatabase('mysql://u@127.0.0.1:1/d').snapshot().__enter__()\n"
        "except SourceRefused as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'meisa-cdc[mysql]'" in ran.stdout
