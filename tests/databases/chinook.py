"""The sample database Chinook, alike on the three databases."""

import re
import shutil
from pathlib import Path

from pymysql.constants import CLIENT
from sqlalchemy import URL, Engine, NullPool, create_engine

FOLDER = Path(__file__).parents[1] / "data" / "chinook"
# The scripts drop, create and enter a database of their own; ours has its own name.
OF_THE_DATABASE = re.compile(r"^(DROP DATABASE|CREATE DATABASE|USE|\\c) .*$", re.MULTILINE)


def load_postgres(url: URL) -> None:
    """Fill an empty Postgres database."""
    engine = create_engine(url, poolclass=NullPool)
    _run(engine, "chinook_postgresql.sql")


def load_mariadb(url: URL) -> None:
    """Fill an empty MariaDB or MySQL database."""
    options = {"client_flag": CLIENT.MULTI_STATEMENTS}
    engine = create_engine(url, poolclass=NullPool, connect_args=options)
    _run(engine, "chinook_mysql.sql")


def load_sqlite(path: Path) -> None:
    """Put the database file at `path`."""
    shutil.copyfile(FOLDER / "chinook.sqlite", path)


def _run(engine: Engine, name: str) -> None:
    script = (FOLDER / name).read_text(encoding="utf-8")
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(OF_THE_DATABASE.sub("", script))
        while cursor.nextset():
            pass
        cursor.close()
        connection.commit()
    finally:
        connection.close()
