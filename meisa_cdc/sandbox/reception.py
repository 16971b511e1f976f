"""Takes a request through every check, and through the faults it is to meet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from meisa_cdc.sandbox.api.endpoint import Call, Endpoint
from meisa_cdc.sandbox.api.table import find_endpoint
from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.exchange import Arrival, Reply, json_reply
from meisa_cdc.sandbox.faults import Fault, FaultPlan, spoil
from meisa_cdc.sandbox.fields import check_body, check_query
from meisa_cdc.sandbox.gate import Gate, require_scope
from meisa_cdc.sandbox.options import ApiKey, SandboxOptions
from meisa_cdc.sandbox.reactions import react
from meisa_cdc.sandbox.records import Records


@dataclass(slots=True, kw_only=True)
class Visit:
    """What was found out about a request on its way through the checks."""

    arrival: Arrival
    now: float
    document: object
    key: ApiKey | None = None
    fault: Fault | None = None

    @property
    def external_id(self) -> str | None:
        """The external_id in the body, if there is one."""
        found = self.document.get("external_id") if isinstance(self.document, dict) else None
        return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A request that was let in: what it asks of which endpoint, and with which key."""

    visit: Visit
    endpoint: Endpoint
    places: Mapping[str, str]
    key: ApiKey


class Reception:
    """The gate, the faults to come, and the requests that a fault keeps back."""

    def __init__(self, options: SandboxOptions, records: Records) -> None:
        self._records = records
        self._late: list[Callable[[float], Reply]] = []
        self.gate = Gate(options)
        self.plan = FaultPlan(fail=options.fail, latency=options.latency, seed=options.seed)

    def receive(self, visit: Visit) -> Reply | None:
        """Let the request take effect, unless it is refused or a fault keeps it from that.

        None if it is not answered.
        """
        try:
            return self._receive(visit)
        except Refusal as refusal:
            return _refused(refusal)

    def apply_late(self, now: float) -> int:
        """Let the requests that were kept back take effect; returns how many."""
        late, self._late = self._late, []
        for take_effect in late:
            take_effect(now)
        return len(late)

    def _receive(self, visit: Visit) -> Reply | None:
        endpoint, places = find_endpoint(visit.arrival.method, visit.arrival.path)
        visit.key = key = self.gate.identify(visit.arrival.api_key)
        self.gate.admit(key, visit.now)
        request = _Request(visit=visit, endpoint=endpoint, places=places, key=key)
        visit.fault = fault = self.plan.next_for(endpoint.path, visit.external_id)
        if fault is None:
            return self._carry_out(request, visit.now)
        if fault.kind == "late":
            self._late.append(partial(self._try_out, request))
        true = self._try_out(request, visit.now) if fault.applies else None
        return None if fault.silent else spoil(fault, true)

    def _carry_out(self, request: _Request, now: float) -> Reply:
        endpoint, arrival = request.endpoint, request.visit.arrival
        require_scope(request.key, endpoint.scope)
        query = check_query(endpoint.query, arrival.query)
        fields: Mapping[str, object] = {}
        if endpoint.body is not None:
            fields = check_body(endpoint.body, arrival.content_type, request.visit.document)
        call = Call(now=now, key=request.key, fields=fields, query=query, places=request.places)
        reply = endpoint.respond(self._records, call)
        # As in Meisa, where they work beside the API: the answer does not wait for automations.
        react(self._records, now)
        return reply

    def _try_out(self, request: _Request, now: float) -> Reply:
        try:
            return self._carry_out(request, now)
        except Refusal as refusal:
            return _refused(refusal)


def _refused(refusal: Refusal) -> Reply:
    return json_reply(refusal.status, refusal.document(), refusal.headers)
