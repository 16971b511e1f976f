"""What the project says of itself in more than one place has to agree."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import meisa_cdc

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DECIDING = ("core", "ports", "records", "suppress", "sync")


def test_the_installed_version_is_the_packages_own():
    """The distribution and `__version__` are one version."""
    assert version("meisa-cdc") == meisa_cdc.__version__


def test_every_deciding_module_is_kept_from_io():
    """The contract against I/O names each module that must obey it, once the module exists."""
    contracts = {each["id"]: each for each in PROJECT["tool"]["importlinter"]["contracts"]}
    package = ROOT / "meisa_cdc"
    there = {
        f"meisa_cdc.{name}"
        for name in DECIDING
        if (package / name).is_dir() or (package / f"{name}.py").is_file()
    }
    assert there <= set(contracts["deciding"]["source_modules"])


def test_constraints_are_exact_and_nothing_else():
    """Each line pins one distribution: no range, no address, no option."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_every_dependency_is_pinned():
    """What the project asks for by name has its version in the constraints."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    asked = [PROJECT["project"]["dependencies"], *extras, PROJECT["build-system"]["requires"]]
    names = {re.split(r"[\[<>=;]", each)[0] for group in asked for each in group}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    assert names - pinned == set()
