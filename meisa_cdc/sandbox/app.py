"""The sandbox as an ASGI application: the API, the page, the admin paths."""

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from meisa_cdc.sandbox import admin, page
from meisa_cdc.sandbox.account import Account
from meisa_cdc.sandbox.api.openapi import describe_api
from meisa_cdc.sandbox.errors import SandboxError
from meisa_cdc.sandbox.exchange import Arrival
from meisa_cdc.sandbox.wire import Wire


class _Api:
    """Everything that is not the sandbox's own: a request to Meisa."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        outcome = self._account.answer(
            Arrival(
                method=scope["method"],
                path=scope["path"],
                query=scope["query_string"].decode("latin-1"),
                api_key=headers.get("x-api-key"),
                content_type=headers.get("content-type", ""),
                body=body,
            )
        )
        await Wire(scope, receive, send).deliver(outcome)


async def _description(request: Request) -> Response:
    account: Account = request.app.state.account
    return JSONResponse(describe_api(account.options))


def build_app(account: Account) -> Starlette:
    """The application over this account."""
    app = Starlette(
        routes=[
            Route("/", page.show, methods=["GET"]),
            Route("/openapi.json", _description, methods=["GET"]),
            *admin.ROUTES,
        ],
        exception_handlers={SandboxError: admin.refuse},
    )
    app.state.account = account
    # Not a route: no pattern matches every path, a line break in it suffices.
    app.router.default = _Api(account)
    app.router.redirect_slashes = False
    return app
