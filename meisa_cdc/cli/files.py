"""Files that commands write for people: whole or not at all, and for nobody else to read."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from meisa_cdc.core.errors import Stop


@contextmanager
def written(file: Path) -> Iterator[Callable[[str], object]]:
    """Yield what writes text; the file takes the place of an earlier one at the end of the block.

    Raises Stop where it cannot be written; what was there before is kept then.
    """
    try:
        descriptor, name = mkstemp(dir=file.parent, prefix=f".{file.name}.")
    except OSError as error:
        raise _failed(file, error) from error
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            yield target.write
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _failed(file, error) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _failed(file: Path, error: OSError) -> Stop:
    return Stop(f"{file} cannot be written: {error.strerror}.")
