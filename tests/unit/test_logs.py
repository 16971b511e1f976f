"""The log: one line an event, without secrets, whatever becomes of stderr."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from meisa_cdc.logs import REDACTED, Redactor, Unfailing, level_of, logger, set_up_logs

CANARY = "c4n4ry-s3cret"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Put the process-wide log back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


LAZY = """
import logging, sys
from meisa_cdc.logs import Redactor, set_up_logs
set_up_logs(redactor=Redactor(), style="json")
logging.getLogger("x").debug("not logged")
before = "structlog" in sys.modules
logging.getLogger("x").warning("logged")
print(before, "structlog" in sys.modules)
"""


def test_structlog_is_imported_once_there_is_something_to_log():
    """It takes as long as most commands take to start."""
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
    assert json.loads(done.stderr)["event"] == "logged"


@pytest.fixture
def redactor() -> Redactor:
    """Return a redactor that knows one secret."""
    redactor = Redactor()
    redactor.add(CANARY, "pg")
    return redactor


def logged(stream: io.StringIO) -> list[dict[str, object]]:
    """Return the JSON lines of a stream."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_are_json_off_a_terminal(redactor):
    """Time, level, event and values stand in one JSON object a line."""
    stream = io.StringIO()
    set_up_logs(redactor=redactor, stream=stream)
    logger("meisa_cdc").info("pass ended", contacts=3, mapping="contacts/plan")
    (line,) = logged(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "pass ended",
        "level": "info",
        "contacts": 3,
        "mapping": "contacts/plan",
    }


def test_the_standard_library_takes_the_same_way(redactor):
    """Lines of libraries look like ours, with their logger's name."""
    stream = io.StringIO()
    set_up_logs(redactor=redactor, stream=stream)
    logging.getLogger("apscheduler").warning("run of %s was missed", "job")
    logging.getLogger("httpx").info("HTTP Request: POST")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    one, two = logged(stream)
    assert (one["event"], one["logger"]) == ("run of job was missed", "apscheduler")
    assert "old thing" in str(two["event"])


def test_levels_follow_verbose_and_quiet(redactor):
    """--verbose shows debug lines, --quiet errors alone."""
    assert level_of(verbose=True, quiet=False) == logging.DEBUG
    assert level_of(verbose=False, quiet=True) == logging.ERROR
    assert level_of(verbose=False, quiet=False) == logging.INFO
    stream = io.StringIO()
    set_up_logs(redactor=redactor, stream=stream, level=logging.ERROR)
    log = logger("meisa_cdc")
    log.warning("hidden")
    log.error("shown")
    assert [line["event"] for line in logged(stream)] == ["shown"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_f72_no_secret_is_in_any_line(redactor, style):
    """Neither messages, values, nested values, objects nor tracebacks show a secret."""
    stream = io.StringIO()
    set_up_logs(redactor=redactor, stream=stream, style=style)
    log = logger("meisa_cdc")
    event = f"key {CANARY}"
    log.info(event, url=f"postgresql://u:{CANARY}@h", deep=[{"a": (CANARY,)}])
    log.info("object", error=ValueError(CANARY), path=Path(CANARY), **{CANARY: 1})
    logging.getLogger("uvicorn").error("said %s", CANARY)
    try:
        int(CANARY)
    except ValueError:
        log.exception("failed")
    assert CANARY not in stream.getvalue()
    assert stream.getvalue().count(REDACTED) >= 7
    assert "ValueError" in stream.getvalue()


def test_short_secrets_are_hidden_as_words(redactor):
    """A two-letter password does not garble every line it happens to occur in."""
    assert redactor.text("pg at pgbouncer: pg!") == f"{REDACTED} at pgbouncer: {REDACTED}!"
    assert Redactor().text("pg") == "pg"


def test_a_rotated_key_is_hidden_too(redactor):
    """Secrets that turn up later are hidden from then on, the longer before the shorter."""
    redactor.add("new-secret-key", "new-secret")
    redactor.add("", "new-secret")
    assert redactor.text("new-secret-key") == REDACTED


def test_text_is_coloured_when_asked(redactor):
    """On a terminal lines may have colours, without one they have none."""
    plain, coloured = io.StringIO(), io.StringIO()
    set_up_logs(redactor=redactor, stream=plain, style="text")
    logger("meisa_cdc").info("event", a=1)
    set_up_logs(redactor=redactor, stream=coloured, style="text", colour=True)
    logger("meisa_cdc").info("event", a=1)
    assert "\x1b" not in plain.getvalue()
    assert "\x1b" in coloured.getvalue()


@pytest.mark.parametrize("style", ["text", "json"])
def test_f16_a_full_disk_does_not_end_the_work(redactor, style):
    """Lines that cannot be written are lost; the caller goes on."""
    with io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True) as full:
        set_up_logs(redactor=redactor, stream=full, style=style)
        logger("meisa_cdc").error("event")
        logging.getLogger("other").error("event")
        assert Unfailing(full).write("text") == 4


def test_f16_a_closed_or_missing_stderr_does_not_end_the_work(redactor):
    """So it is when stderr was closed, or never there."""
    stream = io.StringIO()
    set_up_logs(redactor=redactor, stream=stream)
    stream.close()
    logger("meisa_cdc").error("event")
    assert Unfailing(stream).write("text") == 4
    nowhere = Unfailing(None)
    assert nowhere.write("text") == 4
    assert not nowhere.isatty()
    assert not Unfailing(stream).isatty()
