"""The tour: the whole job on a made-up app database, against the sandbox.

Every step is a command as a user would type it, run in a process of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from meisa_cdc.core.errors import Stop
from meisa_cdc.demo import aftermath, appdb
from meisa_cdc.sandbox import (
    EXAMPLES,
    Account,
    ApiKey,
    SandboxOptions,
    SandboxServer,
    load_automations,
    parse_limits,
)
from meisa_cdc.wiring import shipped

KEY = "meisa_test_demo"
#: Wide enough to be quick, narrow enough to see the bar move; the real ones are 60 a minute.
LIMITS = "250/1s,6000/60s"
HELD = 3
INVALID = 4
UNSUBSCRIBED = 12
TOO_MANY = 429


def options() -> SandboxOptions:
    """Return what the tour's sandbox is like: the automations that Meisa's documents describe."""
    configured = load_automations(EXAMPLES)
    return SandboxOptions(
        keys=(ApiKey(secret=KEY),),
        limits=parse_limits(LIMITS),
        automations=configured.automations,
        sequences=configured.sequences,
        email_triggers=configured.email_triggers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """One tour in one folder."""

    folder: Path
    #: Prints a line of the guide.
    say: Callable[[str], None]
    #: Makes a sandbox, to be entered.
    sandbox: Callable[[SandboxOptions], SandboxServer] = lambda options: SandboxServer(
        Account(options)
    )
    #: People that the app has; each is a request of the first load.
    users: int = 2000

    @property
    def app_database(self) -> Path:
        """The made-up application's database."""
        return self.folder / "app.sqlite"

    def run(self, *, stay: Callable[[str], None] | None = None) -> None:
        """Walk through all steps; `stay` is called with the sandbox's address at the end.

        Raises Stop where a step does not end as it should.
        """
        self.say(f"The tour's files are in {self.folder}")
        appdb.build(self.app_database, users=self.users)
        with self.sandbox(options()) as server:
            account = server.account
            environment = self._environment(server.base_url)
            self._first_load(environment, account)
            self._morning(environment, account)
            self._sign_ins(environment)
            self._afternoon(environment, account)
            self._suppressions(environment, account)
            answers = [request.status for request in account.requests()]
            self.say(
                f"\nThe sandbox answered {len(answers)} requests, "
                f"{answers.count(TOO_MANY)} of them with 429."
            )
            if stay is not None:
                stay(server.url)

    def _environment(self, base_url: str) -> dict[str, str]:
        return {
            **{name: text for name, text in os.environ.items() if not _is_setting(name)},
            "MEISA_API_KEY": KEY,
            "MEISA_BASE_URL": base_url,
            "MEISA_CDC_MEISA__LIMITS": LIMITS,
            "MEISA_CDC_MEISA__RESERVE": "0%",
            "MEISA_CDC_APP_DATABASE__URL": f"sqlite:///{self.app_database}",
            "MEISA_CDC_STATE__URL": f"sqlite:///{self.folder / 'meisa-cdc.db'}",
            "MEISA_CDC_MAPPINGS_DIR": str(shipped("mappings")),
            "MEISA_CDC_EMAILS__ENABLED": "true",
        }

    def _first_load(self, environment: dict[str, str], account: Account) -> None:
        self._title("A dry run: what would be sent? Nothing is written, Meisa is not called.")
        self._command(environment, "plan", "--limit", "1", "--out", "plan.json", expect=(HELD,))
        digest = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))["digest"]
        self._title("A first load would greet everybody, so it is held until somebody approves it.")
        self._command(environment, "sync", "--approve", digest, expect=(INVALID,))
        enrolled = account.trigger_counts().get("sequence_enrolled", 0)
        self.say(
            f"Meisa's side: {len(account.contacts())} contacts, {enrolled} of them in a sequence. "
            "They came with the source\ninitial_sync, which the automation for sign-ups leaves out."
        )
        self._title("Again: nothing changed, so nothing is sent.")
        self._command(environment, "sync", expect=(INVALID,))

    def _morning(self, environment: dict[str, str], account: Account) -> None:
        self._title("A morning passes in the app:")
        for sentence in appdb.changes(self.app_database):
            self.say(f"  {sentence}")
        self._title("The plan shows exactly that, field by field, and what it sets off at Meisa.")
        self._command(environment, "plan", expect=(INVALID,))
        self._title("It is sent, and automations that people set up in Meisa react.")
        self._sync(environment, account)

    def _afternoon(self, environment: dict[str, str], account: Account) -> None:
        self._title("In the afternoon somebody loses a tag, and some things happen once:")
        for sentence in appdb.happenings(self.app_database):
            self.say(f"  {sentence}")
        self._title("The plan has the tag to remove, and an event, an e-mail and an enrolment.")
        self.say("  Those from before the first load were taken as done, and are not told again.")
        self._command(environment, "plan", expect=(INVALID,))
        self._title("Each of these is done once, and the event sets off an automation as well.")
        self._sync(environment, account)

    def _sync(self, environment: dict[str, str], account: Account) -> None:
        """Send what is planned, and show Meisa's side of it."""
        before = aftermath.Moment.of(account)
        self._command(environment, "sync", expect=(INVALID,))
        self.say("Meisa's side:")
        for line in aftermath.lines(account, before):
            self.say(line)

    def _sign_ins(self, environment: dict[str, str]) -> None:
        count = appdb.sign_in(self.app_database)
        self._title(f"{count} people sign in: {count} requests, if each sign-in caused one.")
        self.say("  last_active has send='with_others', so it rides along with the next request.")
        self._command(environment, "plan", "--limit", "0", expect=(INVALID,))

    def _suppressions(self, environment: dict[str, str], account: Account) -> None:
        self._title("Some people unsubscribe at Meisa. The app joins against our table.")
        addresses = [str(contact["email"]) for contact in account.contacts()[:UNSUBSCRIBED]]
        account.suppress(add=addresses)
        self._command(environment, "suppressions")
        self.say(appdb.MAILABLE.rstrip())
        for name, count in appdb.suppression_join(self.app_database):
            self.say(f"  {name}: {count}")

    def _title(self, text: str) -> None:
        self.say(f"\n── {text}")

    def _command(
        self, environment: dict[str, str], *arguments: str, expect: Sequence[int] = (0,)
    ) -> None:
        self.say(f"$ meisa-cdc {' '.join(arguments)}")
        process = subprocess.Popen(  # noqa: S603 - our own program, with arguments from above
            [sys.executable, "-m", "meisa_cdc", *arguments], cwd=self.folder, env=environment
        )
        code = process.wait()
        if code not in expect:
            raise Stop(f"The step ended with exit code {code}, expected {expect[0]}.")


def _is_setting(name: str) -> bool:
    return name.startswith(("MEISA_CDC_", "MEISA_API_KEY", "MEISA_BASE_URL"))
