"""Runs on record: each ends with an exit code, also the one that an error ends."""

from collections.abc import Iterator, Mapping as Dict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from meisa_cdc.core.errors import LeaseLost, MeisaCdcError
from meisa_cdc.ports import Clock, State

FAILED = 1
INTERRUPTED = 130


@dataclass(slots=True, kw_only=True)
class Recording:
    """A run under way; whoever runs fills in what came of it."""

    id: int
    exit_code: int = 0
    #: The command's JSON result.
    result: Dict[str, Any] = field(default_factory=dict)


@contextmanager
def recorded(state: State, clock: Clock, command: str) -> Iterator[Recording]:
    """Record a run around the block; what ends it early is recorded and raised again."""
    recording = Recording(id=state.start_run(command, clock.now()))
    try:
        yield recording
    except LeaseLost:
        # Whoever took over writes from now on.
        raise
    except MeisaCdcError as error:
        state.end_run(recording.id, clock.now(), FAILED, {"error": str(error)})
        raise
    except KeyboardInterrupt:
        state.end_run(recording.id, clock.now(), INTERRUPTED, {"error": "interrupted"})
        raise
    state.end_run(recording.id, clock.now(), recording.exit_code, recording.result)
