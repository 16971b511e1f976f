"""Peak memory: planning a first load, and a run that finds nothing to do."""

from pathlib import Path

from benchmarks.commands import Ran, run
from benchmarks.measures import Measure
from benchmarks.workload import MAPPINGS, app_database
from meisa_cdc.sandbox import Account, SandboxOptions, SandboxServer

HELD = 3


def measure(folder: Path, users: int) -> list[Measure]:
    """Return the peaks of `plan` on an empty state and of `sync` after a baseline.

    The latter also over the same with a quarter of the users.
    """
    few, many = folder / "few", folder / "many"
    _, fewer_idle = _peaks(few, users // 4)
    first_plan, idle = _peaks(many, users)
    return [
        Measure(name="rss-first-plan", value=first_plan, unit="MiB", goal=250),
        Measure(name="rss-idle", value=idle, unit="MiB", goal=150),
        Measure(name="rss-growth", value=idle / fewer_idle, goal=1.2, digits=2),
    ]


def _peaks(folder: Path, users: int) -> tuple[float, float]:
    """Return the peaks of a first plan and of an idle run, in MiB."""
    folder.mkdir()
    account = Account(SandboxOptions(limits=()))
    with app_database(users) as url, SandboxServer(account) as server:
        (folder / "suppressed.db").touch()
        settings = {
            "MEISA_API_KEY": "meisa_test_sandbox",
            "MEISA_BASE_URL": server.base_url,
            "MEISA_CDC_APP_DATABASE__URL": url,
            "MEISA_CDC_STATE__URL": f"sqlite:///{folder / 'state.db'}",
            "MEISA_CDC_MAPPINGS_DIR": str(MAPPINGS),
            "MEISA_CDC_SUPPRESSION__URL": f"sqlite:///{folder / 'suppressed.db'}",
            "MEISA_CDC_APP_DATABASE__STATEMENT_TIMEOUT": "10m",
        }

        def command(*arguments: str, expect: int = 0) -> Ran:
            out = folder / "out.txt"
            ran = run(arguments, folder=folder, settings=settings, out=out)
            if ran.code != expect:
                message = f"{arguments} ended with {ran.code}: {out.read_text()[-2000:]}"
                raise RuntimeError(message)
            return ran

        plan = command("plan", "--format", "json", expect=HELD)
        command("baseline")
        idle = command("sync", "--format", "json")
    return plan.peak, idle.peak
