"""What only a sandbox has: look into the account and steer it over HTTP, without a key."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from meisa_cdc.sandbox.account import Account
from meisa_cdc.sandbox.durations import parse_duration
from meisa_cdc.sandbox.errors import OptionError, Refusal, StateError
from meisa_cdc.sandbox.exchange import Reply, json_reply, read_json
from meisa_cdc.sandbox.faults import read_fault
from meisa_cdc.sandbox.fields import FLAG, IDENTIFIERS, Body, Field, Rule, check_body


def _number(value: object) -> str | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return None if is_number else "be a number"


def _wait(value: object) -> str | None:
    is_text = isinstance(value, str)
    return None if is_text or _number(value) is None else "be seconds, or a text like 200ms"


def _list(value: object) -> str | None:
    return None if isinstance(value, list) else "be a list"


_SUPPRESS = Body(
    fields=(Field(name="add", rule=IDENTIFIERS), Field(name="remove", rule=IDENTIFIERS))
)
_FAULTS = Body(
    fields=(
        Field(name="fail", rule=Rule(check=_number, schema={"type": "number"})),
        Field(name="latency", rule=Rule(check=_wait, schema={"type": ["number", "string"]})),
        Field(name="clear", rule=FLAG),
        Field(name="script", rule=Rule(check=_list, schema={"type": "array"})),
    )
)


async def _requests(request: Request) -> Response:
    records = _account(request).requests(_since(request))
    return _json({"requests": [record.document() for record in records]})


async def _triggers(request: Request) -> Response:
    account = _account(request)
    fired = [trigger.document() for trigger in account.triggers(_since(request))]
    return _json({"triggers": fired, "counts": account.trigger_counts()})


async def _automations(request: Request) -> Response:
    runs = _account(request).automation_runs(_since(request))
    return _json({"runs": [run.stored() for run in runs]})


async def _emails(request: Request) -> Response:
    return _json({"emails": _account(request).emails()})


async def _contacts(request: Request) -> Response:
    return _json({"contacts": _account(request).contacts()})


async def _suppress(request: Request) -> Response:
    asked = await _asked(request, _SUPPRESS)
    return _json({"count": _account(request).suppress(**asked)})


async def _faults(request: Request) -> Response:
    account = _account(request)
    asked = await _asked(request, _FAULTS)
    faults = [read_fault(document) for document in asked.get("script", ())]
    latency = asked.get("latency")
    account.configure(
        fail=asked.get("fail"),
        latency=parse_duration(latency) if isinstance(latency, str) else latency,
    )
    if asked.get("clear", False):
        account.clear_script()
    account.script(*faults)
    return _json({"waiting": len(account.scripted())})


async def _late(request: Request) -> Response:
    return _json({"applied": _account(request).apply_late()})


async def _reset(request: Request) -> Response:
    _account(request).reset()
    return _json({"status": "reset"})


ROUTES = (
    Route("/_sandbox/requests", _requests, methods=["GET"]),
    Route("/_sandbox/triggers", _triggers, methods=["GET"]),
    Route("/_sandbox/automations", _automations, methods=["GET"]),
    Route("/_sandbox/emails", _emails, methods=["GET"]),
    Route("/_sandbox/contacts", _contacts, methods=["GET"]),
    Route("/_sandbox/suppress", _suppress, methods=["POST"]),
    Route("/_sandbox/faults", _faults, methods=["POST"]),
    Route("/_sandbox/late", _late, methods=["POST"]),
    Route("/_sandbox/reset", _reset, methods=["POST"]),
)


async def refuse(_request: Request, error: Exception) -> Response:
    """Answers a request that made no sense, saying why."""
    if isinstance(error, Refusal):
        return _response(json_reply(error.status, error.document()))
    return _json({"message": str(error)}, status=500 if isinstance(error, StateError) else 400)


def _account(request: Request) -> Account:
    account: Account = request.app.state.account
    return account


def _since(request: Request) -> int:
    number = request.query_params.get("since", "0")
    if not number.isdecimal():
        raise OptionError(f"since: {number!r} is not the number of an entry, like 12")
    return int(number)


async def _asked(request: Request, body: Body) -> Mapping[str, Any]:
    document = read_json(await request.body())
    return check_body(body, request.headers.get("content-type", ""), document)


def _json(document: object, status: int = 200) -> Response:
    return _response(json_reply(status, document))


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))
