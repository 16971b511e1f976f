"""What happened, and what the state is about, in dictionaries and lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from meisa_cdc.core.mapping import Column
from meisa_cdc.records import DeliveryRecord, HoldRecord, MappingRecord, RunRecord
from meisa_cdc.testing.occurrences import MemoryOccurrences


class MemoryRecords(MemoryOccurrences):
    """`ports.Records` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._mappings: dict[str, MappingRecord] = {}
        self._first_load_at: float | None = None
        #: Mapping name -> its hold, and the fingerprints of what it would change.
        self._holds: dict[str, tuple[HoldRecord, dict[str, bytes]]] = {}
        self._runs: dict[int, RunRecord] = {}
        self._run = 0
        self._notes: dict[str, Any] = {}
        self._belongs_to: dict[str, str] | None = None
        #: Requests on record, with the time each is over at the latest.
        self.requests: dict[int, tuple[DeliveryRecord, float]] = {}

    def mappings(self) -> dict[str, MappingRecord]:
        """Return what is remembered of each mapping, by name."""
        once = {each.mapping: None for each in self.once.values()}
        every = {**self.observations, **once, **self._mappings}
        return {name: self._mapping(name) for name in every}

    def record_read(self, mapping: str, digest: str, columns: Sequence[Column], now: float) -> None:
        """Remember a complete read that was not held."""
        with self.transaction("record_read"):
            self._mappings[mapping] = MappingRecord(
                name=mapping, digest=digest, columns=tuple(columns), read_at=now
            )

    def first_load_done(self) -> bool:
        """Tell whether a first identity pass was stored."""
        return self._first_load_at is not None

    def record_first_load(self, now: float) -> None:
        """Remember that the first identity pass was stored."""
        with self.transaction("record_first_load"):
            self._first_load_at = now

    def holds(self) -> list[HoldRecord]:
        """Return the holds that wait for a person or were just approved, oldest first."""
        return sorted((hold for hold, _ in self._holds.values()), key=lambda h: h.recorded_at)

    def record_hold(self, hold: HoldRecord, changes: Iterator[tuple[str, bytes]]) -> None:
        """Remember a hold in place of the mapping's earlier one."""
        with self.transaction("record_hold"):
            known = self._holds.get(hold.mapping)
            if known is None or (known[0].digest, known[0].file) != (hold.digest, hold.file):
                self._holds[hold.mapping] = (hold, dict(changes))

    def drop_holds(self, mappings: Sequence[str]) -> None:
        """Forget the holds of these mappings."""
        with self.transaction("drop_holds"):
            for mapping in mappings:
                self._holds.pop(mapping, None)

    def approve(self, digest: str, now: float) -> HoldRecord | None:
        """Mark the hold with this digest as approved; None where there is none."""
        with self.transaction("approve"):
            for mapping, (hold, changes) in self._holds.items():
                if hold.digest == digest and hold.approved_at is None:
                    self._holds[mapping] = (replace(hold, approved_at=now), changes)
        return next((hold for hold in self.holds() if hold.digest == digest), None)

    def approved_changes(self, digest: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the recorded change fingerprints of these contacts in an approved hold."""
        return {
            key: changes[key]
            for hold, changes in self._holds.values()
            if hold.digest == digest and hold.approved_at is not None
            for key in keys
            if key in changes
        }

    def start_run(self, command: str, now: float) -> int:
        """Record that a run started; return its id."""
        with self.transaction("start_run"):
            self._run += 1
            self._runs[self._run] = RunRecord(
                id=self._run,
                command=command,
                started_at=now,
                ended_at=None,
                exit_code=None,
                result={},
            )
            return self._run

    def end_run(self, run: int, now: float, exit_code: int, result: Mapping[str, Any]) -> None:
        """Record how a run ended."""
        with self.transaction("end_run"):
            known = self._runs.get(run)
            if known is not None:
                self._runs[run] = replace(
                    known, ended_at=now, exit_code=exit_code, result=dict(result)
                )

    def runs(self, most: int) -> Sequence[RunRecord]:
        """Return the newest runs, newest first."""
        return sorted(self._runs.values(), key=lambda run: -run.id)[:most]

    def deliveries(
        self, *, external_id: str = "", since: float = 0.0, most: int | None = None
    ) -> Iterator[DeliveryRecord]:
        """Yield requests, newest first."""
        found = [
            record
            for record, _ in reversed(self.requests.values())
            if external_id in ("", record.external_id) and record.started_at >= since
        ]
        yield from found[:most]

    def prune(self, before: float) -> None:
        """Forget requests and runs that ended before this epoch second."""
        with self.transaction("prune"):
            newest = max(self.requests, default=0)
            self.requests = {
                number: (record, over)
                for number, (record, over) in self.requests.items()
                if over >= before or number == newest
            }
            self._runs = {
                run.id: run
                for run in self._runs.values()
                if (run.started_at if run.ended_at is None else run.ended_at) >= before
            }

    def note(self, name: str) -> Any:
        """Return a remembered JSON value; None where there is none."""
        return self._notes.get(name)

    def set_note(self, name: str, value: Any) -> None:
        """Remember a JSON value under a name."""
        with self.transaction("set_note"):
            self._notes[name] = value

    def belongs_to(self) -> Mapping[str, str] | None:
        """Return the Meisa that this state was filled from."""
        return self._belongs_to

    def set_belongs_to(self, product: str, environment: str) -> None:
        """Remember which Meisa this state is filled from."""
        with self.transaction("set_belongs_to"):
            self._belongs_to = {"product": product, "environment": environment}

    def _mapping(self, name: str) -> MappingRecord:
        blank = MappingRecord(name=name, digest="", columns=(), read_at=None)
        known = self.observations.get(name, {}).values()
        covered = sum(seen.row for seen in known)
        return replace(self._mappings.get(name, blank), covered=covered, settled=len(known))
