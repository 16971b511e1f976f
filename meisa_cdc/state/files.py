"""A SQLite state's files: who may use them, and the sentinel that tells a lost one from a new.

Beside `meisa-cdc.db` lies `meisa-cdc.db.id`, which repeats the state's id. A database that is
missing or empty while its sentinel is there was lost; it is never taken for a new one.
"""

import os
import pwd
import tempfile
from pathlib import Path

from meisa_cdc.core.errors import StateRefused
from meisa_cdc.state.failures import RESTORE

PRIVATE = 0o600


def sentinel_of(file: Path) -> Path:
    """Return the path of a database's sentinel."""
    return file.with_name(file.name + ".id")


def has_content(file: Path) -> bool:
    """Tell whether there is a database, not merely a name for one.

    Raises StateRefused where there should be one, or where we may not look.
    """
    try:
        # In this order, or the state that another process makes just now would look lost.
        marked = sentinel_of(file).exists()
        there = file.exists()
        if there and file.stat().st_size > 0:
            return True
    except OSError as error:
        raise _unusable(file, error) from error
    if marked:
        raise lost(file, "is empty" if there else "is missing")
    return False


def lost(file: Path, how: str) -> StateRefused:
    """Return the refusal of a database that no longer holds what its sentinel stands for."""
    return StateRefused(
        f"{file} {how}, but {sentinel_of(file).name} beside it says that it held our state.",
        hint=RESTORE,
    )


def check_rights(file: Path) -> None:
    """Raise StateRefused unless we may read and write the database and its folder."""
    folder = file.parent
    try:
        there, refusing = folder.is_dir(), _refusing(file)
    except OSError as error:
        raise _unusable(file, error) from error
    if not there:
        raise StateRefused(
            f"The folder {folder} of the state does not exist.",
            hint="Create it, or set state.url to another place.",
        )
    if refusing is not None:
        owner, us = _user(refusing.stat().st_uid), _user(os.geteuid())
        raise StateRefused(
            f"{refusing} belongs to {owner} and cannot be written by {us}.",
            hint="Let this user write to it, or set state.url to another place.",
        )


def _refusing(file: Path) -> Path | None:
    """Return which of a file and its folder we may not use; SQLite's log needs the folder too."""
    for path, needed in ((file.parent, os.R_OK | os.W_OK | os.X_OK), (file, os.R_OK | os.W_OK)):
        if path.exists() and not os.access(path, needed):
            return path
    return None


def create(file: Path) -> None:
    """Make an empty database file that only we may read, unless it is there already."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, PRIVATE))
    except OSError as error:
        raise _unusable(file, error) from error


def check_sentinel(file: Path, state_id: str, *, repair: bool) -> None:
    """Raise StateRefused where the sentinel names another state than the database does.

    A missing one is written anew with `repair`: the file was copied, or we died before writing it.
    """
    sentinel = sentinel_of(file)
    try:
        known = sentinel.read_text().strip()
    except FileNotFoundError:
        if repair:
            _write(sentinel, state_id)
        return
    except OSError as error:
        raise _unusable(sentinel, error) from error
    if known != state_id:
        raise lost(file, "holds another state")


def _write(sentinel: Path, state_id: str) -> None:
    try:
        # A name of its own, since several processes may start at once; private from the start.
        descriptor, fresh = tempfile.mkstemp(prefix=f"{sentinel.name}.", dir=sentinel.parent)
        with os.fdopen(descriptor, "w") as out:
            out.write(state_id + "\n")
            out.flush()
            os.fsync(out.fileno())
        Path(fresh).replace(sentinel)
    except OSError as error:
        raise _unusable(sentinel, error) from error


def _unusable(path: Path, error: OSError) -> StateRefused:
    return StateRefused(
        f"{path} cannot be used by {_user(os.geteuid())}: {error.strerror}.",
        hint="Correct its rights, or set state.url to another place.",
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
