"""The command line as a user runs it: help, exit codes, streams, first files."""

import json
import os
import pty
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from meisa_cdc.cli.registry import COMMANDS

PROGRAM = [sys.executable, "-m", "meisa_cdc"]
ROOT = Path(__file__).parents[2]
CANARY = "c4n4ry-s3cret"
#: What takes long to import and is not needed to print help.
SLOW = "alembic apscheduler httpx jinja2 psycopg sqlalchemy sqlglot starlette structlog"

Run = Callable[..., subprocess.CompletedProcess[str]]


def clean(environ: dict[str, str]) -> dict[str, str]:
    """Return this process's environment without our own settings, with these laid over it.

    Unbuffered streams would hide what is left in a buffer when the program ends.
    """
    dropped = ("MEISA", "PYTHONUNBUFFERED", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "PYTHONPATH": str(ROOT), **environ}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs the program in an empty folder."""

    def run(
        *arguments: str, program: list[str] = PROGRAM, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *arguments],
            cwd=tmp_path,
            env=clean(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run


@pytest.fixture
def probe(tmp_path: Path) -> list[str]:
    """Return a program that has one more command, `probe`, which does what its argument says."""
    (tmp_path / "probing.py").write_text(
        "import os, signal, sys, typer\n"
        "from meisa_cdc.cli import registry\n"
        "from meisa_cdc.cli.command import command\n"
        "from meisa_cdc.cli.main import main\n"
        "from meisa_cdc.core.errors import MeisaUnavailable, SettingsError\n"
        "@command('meisa-cdc probe')\n"
        "def probe(session, what: str) -> int | None:\n"
        "    'Probe.'\n"
        f"    session.output.redactor.add('{CANARY}')\n"
        "    if what == 'stop':\n"
        "        raise SettingsError('It is wrong.', hint='Do that.')\n"
        "    if what == 'later':\n"
        "        raise MeisaUnavailable('It did not answer.')\n"
        "    if what == 'fault':\n"
        f"        raise ValueError('odd thing with {CANARY}')\n"
        "    if what == 'interrupt':\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    if what == 'end of input':\n"
        "        input()\n"
        "    if what == 'odd':\n"
        "        raise typer.TyperException('It is odd.')\n"
        "    if what == 'log':\n"
        "        session.start_log()\n"
        "        from meisa_cdc.logs import logger\n"
        "        for _ in range(1000): logger('x').error('event')\n"
        "    if what == 'descriptors':\n"
        "        return os.open('file', os.O_CREAT)\n"
        "    for _ in range(1000): session.output.text('line é →')\n"
        "    session.output.json({'what': 'é'})\n"
        "    return 4\n"
        "if __name__ == '__main__':\n"
        "    entry = registry.Entry(target='probing:probe', summary='Probe.')\n"
        "    registry.COMMANDS['probe'] = entry\n"
        "    sys.exit(main())\n",
        encoding="utf-8",
    )
    return [sys.executable, "probing.py", "probe"]


def test_help_lists_every_command(run: Run) -> None:
    """Help is a result: it goes to stdout, ends with 0, and names all there is."""
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name, entry in COMMANDS.items():
        assert f"\n  {name} " in done.stdout
        assert " ".join(entry.summary.split()) in " ".join(done.stdout.split())


def test_version_is_told(run: Run) -> None:
    """--version names program and version."""
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("meisa-cdc 0.")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
)
def test_help_is_instant(run: Run, arguments: list[str]) -> None:
    """Nothing slow is imported to show help."""
    script = (
        "import sys\n"
        "from meisa_cdc.cli.main import main\n"
        f"code = main({arguments!r})\n"
        f"slow = set({SLOW!r}.split()) & set(sys.modules)\n"
        "sys.exit(code or ' '.join(sorted(slow)) or 0)\n"
    )
    done = run(program=[sys.executable, "-c", script])
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_command_help_is_shown_as_an_error(run: Run) -> None:
    """The bare program is used wrongly, and says how it is used."""
    done = run()
    assert (done.returncode, done.stdout) == (64, "")
    assert "Commands:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sandbx", "--help"], "No such command 'sandbx'. Did you mean 'sandbox'?"),
        (["sandbox", "--prot", "1"], "No such option: --prot (Possible options: --port)"),
        (["sandbox", "--port", "x"], "Invalid value for '--port'"),
        (["sandbox", "--fail", "x"], "'x' is not a share; write it as 10%"),
        (["sandbox", "--limits", "x"], "limits: 'x' is not COUNT/PERIOD"),
        (["-v", "sandbox", "-q"], "--verbose and --quiet exclude each other."),
        (["init", "--url", "x"], "--url goes with --from-database."),
        (["init", "--from-database", "--url", f"x://u:{CANARY}@h/d"], "'x' is not a database"),
        (["init", "a", "b"], "Got unexpected extra argument"),
    ],
)
def test_usage_errors_end_with_64(run: Run, arguments: list[str], said: str) -> None:
    """What was typed wrong is told with the way to the help page, on stderr alone."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert said in done.stderr
    assert "Usage: meisa-cdc" in done.stderr
    assert " --help." in done.stderr
    assert CANARY not in done.stderr
    assert "Traceback" not in done.stderr


def test_stops_are_told_without_a_traceback(run: Run, probe: list[str]) -> None:
    """A user's mistake gives message and hint, and 1."""
    done = run("stop", program=probe)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "It is wrong.\nDo that.\n"
    assert run("later", program=probe).returncode == 1


def test_a_fault_of_ours_is_admitted(run: Run, probe: list[str]) -> None:
    """An unexpected error is one line and a way to the details, without secrets."""
    done = run("fault", program=probe)
    assert (done.returncode, done.stdout) == (1, "")
    assert "fault in meisa-cdc itself: ValueError: odd thing" in done.stderr
    assert "--verbose" in done.stderr
    assert "Traceback" not in done.stderr
    details = run("fault", "--verbose", program=probe)
    assert "Traceback" in details.stderr
    assert CANARY not in done.stderr + details.stderr


def test_an_interrupt_is_one_line_and_130(run: Run, probe: list[str]) -> None:
    """Ctrl-C ends with the customary code."""
    done = run("interrupt", program=probe)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")
    done = run("end of input", program=probe)
    assert (done.returncode, done.stderr.strip()) == (130, "Interrupted.")


def test_other_complaints_of_the_parser_are_usage_errors(run: Run, probe: list[str]) -> None:
    """Whatever typer refuses ends with 64."""
    done = run("odd", program=probe)
    assert (done.returncode, done.stderr) == (64, "It is odd.\n")


def test_a_commands_result_is_the_exit_code(run: Run, probe: list[str]) -> None:
    """Text and JSON end alike."""
    text = run("text", program=probe)
    assert (text.returncode, text.stdout.count("line é →\n")) == (4, 1000)
    document = run("json", "--format", "json", program=probe)
    assert (document.returncode, json.loads(document.stdout)) == (4, {"what": "é"})


def test_a_narrow_encoding_is_no_error(run: Run, probe: list[str]) -> None:
    """A locale that lacks our characters still gets whole results."""
    done = run("text", program=probe, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (4, "")
    assert "line é →" in done.stdout


@pytest.mark.parametrize("command", ["text", "json --format json", "log"])
def test_a_reader_that_leaves_changes_nothing(
    tmp_path: Path, probe: list[str], command: str
) -> None:
    """`| head` ends the printing quietly; the command's own result stands."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*probe, *command.split()],
        cwd=tmp_path,
        env=clean({}),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 4
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr


def test_help_into_a_pipe_that_closed_is_quiet(tmp_path: Path) -> None:
    """Even help pages may be cut off."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, "--help"],
        cwd=tmp_path,
        env=clean({}),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.stderr == b""


def test_a_full_disk_for_the_result_is_told(tmp_path: Path, probe: list[str]) -> None:
    """A result that could not be written must not look like success."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*probe, "text"],
            cwd=tmp_path,
            env=clean({}),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"The result could not be written: No space left on device.\n"


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", ">&- 2>&- <&-"])
def test_f16_a_closed_or_full_stderr_does_not_end_the_work(
    tmp_path: Path, probe: list[str], closed: str
) -> None:
    """The log and the errors vanish; the command ends as it would have."""
    for what, code in (("log", 4), ("stop", 1), ("descriptors", 3)):
        line = f"exec {' '.join(probe)} {what} {closed}"
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=tmp_path,
            env=clean({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        # Descriptors 0 to 2 stay taken, so that no database file gets one of them.
        assert done.returncode == code, what


def on_a_terminal(tmp_path: Path, probe: list[str], **environ: str) -> bytes:
    """Return what the failing command writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*probe, "stop"], cwd=tmp_path, env=clean(environ), stdout=theirs, stderr=theirs
    )
    process.wait()
    os.close(theirs)
    written = os.read(ours, 10_000) if select.select([ours], [], [], 0)[0] else b""
    os.close(ours)
    return written


def test_colours_only_where_they_are_welcome(tmp_path: Path, probe: list[str]) -> None:
    """A terminal gets colours unless NO_COLOR is set or it has none."""
    assert b"\x1b[31m" in on_a_terminal(tmp_path, probe, TERM="xterm", NO_COLOR="")
    assert b"\x1b" not in on_a_terminal(tmp_path, probe, TERM="xterm", NO_COLOR="1")
    assert b"\x1b" not in on_a_terminal(tmp_path, probe, TERM="dumb", NO_COLOR="")


def test_settings_errors_are_told_all_at_once(run: Run, tmp_path: Path) -> None:
    """Every problem has a line that names file and key."""
    (tmp_path / "my.toml").write_text('a = 1\n[meisa]\ntimeout = "x"\n', encoding="utf-8")
    done = run("init", "--from-database", "--config", "my.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == ["my.toml"] * 2


def test_f72_a_password_is_in_no_connection_error(run: Run) -> None:
    """A database that cannot be reached is named without its password."""
    url = f"postgresql://u:{CANARY}@127.0.0.1:1/app"
    for verbose in ([], ["--verbose"]):
        done = run("init", "--from-database", "--url", url, *verbose)
        assert done.returncode == 1
        assert "127.0.0.1" in done.stderr
        assert CANARY not in done.stderr


def test_init_writes_private_files_and_tells_what_is_next(run: Run, tmp_path: Path) -> None:
    """The folder gets settings and a mapping that only their owner can read."""
    done = run("init", "crm sync")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("meisa-cdc.toml", "mappings/contacts/identity.sql"):
        assert f"wrote crm sync/{name}\n" in done.stdout
        mode = (tmp_path / "crm sync" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
    assert "cd 'crm sync'" in done.stdout
    assert "meisa-cdc check" in done.stdout


def test_init_never_overwrites_unasked(run: Run, tmp_path: Path) -> None:
    """What exists is listed and kept, unless --force says otherwise."""
    own = tmp_path / "mappings" / "contacts" / "identity.sql"
    own.parent.mkdir(parents=True)
    own.write_text("mine", encoding="utf-8")
    done = run("init")
    assert done.returncode == 1
    assert "  mappings/contacts/identity.sql\n" in done.stderr
    assert not (tmp_path / "meisa-cdc.toml").exists()
    assert own.read_text(encoding="utf-8") == "mine"
    assert run("init", "--force").returncode == 0
    assert own.read_text(encoding="utf-8").startswith("-- Who someone is.")


def test_init_follows_no_link(run: Run, tmp_path: Path) -> None:
    """A link in place of a file is replaced, not written through."""
    target = tmp_path / "elsewhere"
    (tmp_path / "meisa-cdc.toml").symlink_to(target)
    assert run("init").returncode == 1
    assert run("init", "--force").returncode == 0
    assert not target.exists()


def test_init_says_why_it_cannot_write(run: Run, tmp_path: Path) -> None:
    """A file where the folder should be is told."""
    (tmp_path / "taken").touch()
    done = run("init", "taken")
    assert done.returncode == 1
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sandbox_runs_until_it_is_told_to_end(tmp_path: Path) -> None:
    """It says where it is, answers there, and ends with 0 at SIGTERM."""
    process = subprocess.Popen(
        [*PROGRAM, "sandbox", "--port", "0", "--format", "json", "--api-key", "k-1"],
        cwd=tmp_path,
        env=clean({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert told["api_key"] == "k-1"
    place = urlsplit(f"{told['base_url']}/ping/")
    with closing(HTTPConnection(place.netloc)) as connection:
        connection.request("GET", place.path, headers={"X-API-Key": "k-1"})
        assert json.load(connection.getresponse())["status"] == "ok"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")


def test_the_sandbox_goes_on_where_it_left_off(tmp_path: Path) -> None:
    """With a state file and automations, started twice: contact, tag and enrolment are there."""
    (tmp_path / "rules.toml").write_text(
        """
        [[automations]]
        name = "welcome"
        trigger = "contact_created"
        actions = [{ add_tag = "new" }]
        """
    )
    seen = []
    for path, body in (("contacts/upsert/", {"email": "a@example.com"}), (None, None)):
        process = subprocess.Popen(
            [
                *(*PROGRAM, "sandbox", "--port", "0", "--format", "json"),
                *("--automations", "rules.toml", "--state", "sandbox.db"),
            ],
            cwd=tmp_path,
            env=clean({}),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        place = urlsplit(told["base_url"])
        with closing(HTTPConnection(place.netloc)) as connection:
            if path is not None:
                headers = {"X-API-Key": told["api_key"], "Content-Type": "application/json"}
                connection.request("POST", f"{place.path}/{path}", json.dumps(body), headers)
                assert connection.getresponse().read()
            connection.request("GET", "/_sandbox/contacts")
            seen.append(json.load(connection.getresponse())["contacts"])
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 0
    assert seen[0] == seen[1]
    assert [tag["name"] for tag in seen[0][0]["tags"]] == ["new"]


def test_the_sandbox_starts_with_the_examples(run: Run, tmp_path: Path) -> None:
    """What the API documents describe is set up; a file of one's own excludes it."""
    process = subprocess.Popen(
        [*PROGRAM, "sandbox", "--port", "0", "--format", "json", "--examples"],
        cwd=tmp_path,
        env=clean({}),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    place = urlsplit(told["base_url"])
    with closing(HTTPConnection(place.netloc)) as connection:
        headers = {"X-API-Key": told["api_key"]}
        connection.request("GET", f"{place.path}/sequences/api/list/", headers=headers)
        listed = json.load(connection.getresponse())["results"]
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 0
    assert "power-user-tips" in {each["slug"] for each in listed}
    both = run("sandbox", "--examples", "--automations", "it.toml")
    assert both.returncode == 64
    assert "--examples and --automations exclude each other." in " ".join(both.stderr.split())


@pytest.mark.parametrize(
    ("option", "content", "code", "told"),
    [
        ("--automations", None, 64, "automations: it.toml cannot be read"),
        ("--automations", "[[automations]]", 64, "it.toml: automations[1]: name is missing"),
        ("--state", "My diary. " * 100, 1, "state: it.toml: this file cannot be used"),
    ],
)
def test_the_sandbox_says_which_file_is_wrong(
    run: Run, tmp_path: Path, option: str, content: str | None, code: int, told: str
) -> None:
    """Before it listens, and without a traceback."""
    if content is not None:
        (tmp_path / "it.toml").write_text(content)
    done = run("sandbox", "--port", "0", option, "it.toml")
    assert done.returncode == code
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_the_sandbox_says_what_to_export(tmp_path: Path) -> None:
    """In text it prints the two variables that point us at it."""
    process = subprocess.Popen(
        [*PROGRAM, "sandbox", "--port", "0"], cwd=tmp_path, env=clean({}), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [process.stdout.readline().decode() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert lines[1].startswith("  export MEISA_BASE_URL=http://127.0.0.1:")
    assert lines[2] == "  export MEISA_API_KEY=meisa_test_sandbox\n"


def test_a_port_in_use_is_told(run: Run) -> None:
    """Two sandboxes cannot share a port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("sandbox", "--port", str(port))
    assert done.returncode == 1
    assert f"port: {port} on 127.0.0.1 cannot be used" in done.stderr
