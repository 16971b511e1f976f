"""The use case that pulls the suppression list."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from meisa_cdc.core.budget import paused, windows_of
from meisa_cdc.core.errors import (
    MeisaCdcError,
    MeisaUnavailable,
    SettingsError,
    SuppressionFailed,
)
from meisa_cdc.core.outcome import Kind, Outcome
from meisa_cdc.core.suppression import PullFailed
from meisa_cdc.pacing import Pacing
from meisa_cdc.ports import SuppressionList, SuppressionResult
from meisa_cdc.records import Concluded
from meisa_cdc.suppress import KIND, outcome_of, pull
from meisa_cdc.testing import HandClock, MemoryState, MemorySuppressions, ScriptedMeisa

START = 10_000.0
LISTED = SuppressionList(as_of=500.0, emails=frozenset({"a@x.com"}), malformed=2)
RESULT = SuppressionResult(count=1, added=1, released=0, held=0, digest="", as_of=500.0)


class Remote(ScriptedMeisa):
    """A Meisa whose list comes after a second, or not at all."""

    def __init__(self, clock: HandClock, answer: SuppressionList | MeisaCdcError) -> None:
        super().__init__(clock)
        self.clock = clock
        self.answer = answer

    def unsubscribed_emails(self) -> SuppressionList:
        """Return the list, or raise what went wrong."""
        self.clock.advance(1.0)
        if isinstance(self.answer, MeisaCdcError):
            raise self.answer
        return self.answer


@dataclass
class Shelf(MemorySuppressions):
    """A table that notes what it was given."""

    trouble: SuppressionFailed | None = None
    calls: list[Any] = field(default_factory=list)

    def replace(
        self, pulled: SuppressionList, *, now: float, max_release: float, approve: str = ""
    ) -> SuppressionResult:
        """Note the call."""
        self.calls.append((pulled, now, max_release, approve))
        if self.trouble:
            raise self.trouble
        return RESULT


class Ending(HandClock):
    """The clock of a process that was asked to end: it does not sleep."""

    def sleep(self, seconds: float) -> None:
        """Return at once."""


@dataclass
class Stage:
    """Everything a pull needs."""

    clock: HandClock = field(default_factory=lambda: HandClock(START))
    state: MemoryState = field(default_factory=MemoryState)
    shelf: Shelf = field(default_factory=Shelf)

    def pull(
        self, answer: SuppressionList | MeisaCdcError = LISTED, *, patience: float = 100.0
    ) -> SuppressionResult:
        """Pull once."""
        return pull(
            Remote(self.clock, answer),
            self.shelf,
            self.state,
            self.clock,
            pacing=Pacing(
                windows=windows_of(((60, 60.0), (1000, 3600.0)), 0.1),
                timeout=30.0,
                patience=patience,
            ),
            max_release=0.2,
            approve="digest",
        )

    def pause_until(self, moment: float) -> None:
        """Let the server have asked for a pause."""
        grant = self.state.grant("upsert", now=START, deadline=START, admit=lambda _: ())
        assert grant is not None
        busy = Outcome(kind=Kind.DEFERRED, code="http_429")
        self.state.complete(
            Concluded(
                grant=grant, now=START, outcome=busy, react=lambda usage, _: paused(usage, moment)
            )
        )

    @property
    def pulls(self) -> list[tuple[float, float | None, str]]:
        """When each pull's request started and was answered, and its code."""
        return [
            (each.started_at, each.done_at, each.code)
            for each in self.state.deliveries()
            if each.kind == KIND
        ]


def test_a_pull_is_one_recorded_request_and_one_replacement():
    """The request is on record, and the table gets the list with the time of its arrival."""
    stage = Stage()
    assert stage.pull() == RESULT
    assert stage.pulls == [(START, START + 1, "accepted")]
    assert stage.shelf.calls == [(LISTED, START + 1, 0.2, "digest")]


def test_a_pull_waits_for_its_turn():
    """The same windows as for every other request."""
    stage = Stage()
    stage.pause_until(START + 40)
    stage.pull()
    assert stage.pulls == [(START + 40, START + 41, "accepted")]


@pytest.mark.parametrize(
    ("clock", "patience"), [(HandClock(START), 30.0), (Ending(START), 100.0)], ids=["late", "end"]
)
def test_a_pull_without_a_turn_makes_no_request(clock, patience):
    """Neither past its patience nor when the process is to end."""
    stage = Stage(clock=clock)
    stage.pause_until(START + 40)
    with pytest.raises(MeisaUnavailable):
        stage.pull(patience=patience)
    assert (stage.pulls, stage.shelf.calls) == ([], [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PullFailed("cut", status=200), "list_not_whole"),
        (PullFailed("down", status=503), "http_503"),
        (PullFailed("no scope", status=403), "http_403"),
        (PullFailed("silence"), "no_answer"),
        (PullFailed("refused", sent=False), "not_sent"),
        (SuppressionFailed("?"), "failed"),
        (SettingsError("no key"), "failed"),
    ],
)
def test_f80_a_failed_pull_is_recorded_and_leaves_the_table(error, code):
    """The request is completed with what happened; the table is not touched."""
    stage = Stage()
    with pytest.raises(type(error)):
        stage.pull(error)
    assert stage.pulls == [(START, START + 1, code)]
    assert stage.shelf.calls == []


@pytest.mark.parametrize(
    ("status", "asked", "pause"),
    [(429, None, 60.0), (429, 90.0, 90.0), (429, 1e9, 3600.0), (503, 5.0, 5.0), (503, None, 0.0)],
)
def test_f61_a_busy_server_pauses_everything(status, asked, pause):
    """The list's 429 counts like any other: nothing is sent until the pause is over."""
    stage = Stage()
    with pytest.raises(SuppressionFailed):
        stage.pull(PullFailed("busy", status=status, retry_after=asked))
    until = START + 1 + pause if pause else 0.0
    assert stage.state.usage(10).paused_until == until


@pytest.mark.parametrize("sent", [True, False])
def test_only_what_was_not_sent_is_certain(sent):
    """The record says whether Meisa can have counted the request."""
    assert outcome_of(PullFailed("?", sent=sent)).untouched is not sent


def test_trouble_with_the_table_is_not_the_requests():
    """The request was answered well, and is recorded so."""
    stage = Stage(shelf=Shelf(trouble=SuppressionFailed("locked")))
    with pytest.raises(SuppressionFailed, match="locked"):
        stage.pull()
    assert stage.pulls == [(START, START + 1, "accepted")]
