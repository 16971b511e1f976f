"""The wheel: complete, and what every other test here runs."""

import subprocess
import zipfile
from pathlib import Path

from meisa_cdc.cli.registry import COMMANDS
from tests.acceptance.documented import page
from tests.acceptance.installed import ROOT, Desk, Program


def test_what_runs_is_the_wheel(program: Program, tmp_path: Path) -> None:
    """From another folder, the package comes from the new environment, not from the checkout."""
    script = (
        "import sys, meisa_cdc; print(meisa_cdc.__file__);"
        f"print([path for path in sys.path if path in ({str(ROOT)!r}, '')])"
    )
    done = subprocess.run(
        [program.python, "-P", "-c", script],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    file, checkout = done.stdout.splitlines()
    assert Path(file).is_relative_to(program.python.parents[1])
    assert checkout == "[]"


def test_the_wheel_has_the_package_and_nothing_beside_it(wheel: Path) -> None:
    """Migrations, mappings and first files are in the package; no tests, no docs."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"meisa_cdc"}
    for needed in ("migrations/env.py", "mappings/contacts", "cli/starter/meisa-cdc.toml"):
        assert any(name.startswith(f"meisa_cdc/{needed}") for name in names), needed
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_module_is_the_program_too(desk: Desk) -> None:
    """`python -m meisa_cdc` does what the script does."""
    by_script = desk.run("--version")
    by_module = subprocess.run(
        [desk.program.python, "-m", "meisa_cdc", "--version"],
        cwd=desk.folder,
        env=desk.environ({}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert by_module.stdout == by_script.out


def test_every_document_is_documented() -> None:
    """docs/json.md tells the keys of each command that prints results."""
    assert set(COMMANDS) - {"run", "demo"} == {command.split()[0] for command in page()}
