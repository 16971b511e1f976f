"""The check of a key: is it good, and what may it do."""

from meisa_cdc.sandbox.api import schemas
from meisa_cdc.sandbox.api.endpoint import Answer, Call, Endpoint
from meisa_cdc.sandbox.exchange import Reply, json_reply
from meisa_cdc.sandbox.options import SandboxOptions
from meisa_cdc.sandbox.records import Records


def _ping(records: Records, call: Call) -> Reply:
    options = records.options
    described: dict[str, object] = {
        "name": call.key.name,
        "environment": call.key.environment,
        "scopes": list(call.key.scopes),
    }
    reported = {"rate_limit_per_minute": 60.0}
    if options.report_hour:
        reported["rate_limit_per_hour"] = 3600.0
    for name, period in reported.items():
        count = _limit_of(options, period)
        if count is not None:
            described[name] = count
    product = {"id": options.product_id, "name": options.product_name}
    return json_reply(200, {"status": "ok", "api_key": described, "product": product})


def _limit_of(options: SandboxOptions, period: float) -> int | None:
    return min((window.count for window in options.limits if window.period == period), default=None)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/ping/",
        summary="Whether the key is good, and what it may do",
        scope=None,
        answers={200: Answer(meaning="The key and its product", schema=schemas.PING)},
        respond=_ping,
    ),
)
