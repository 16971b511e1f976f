"""The pages: whether the process lives, and whether it does its work."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def build_app(ready: Callable[[], dict[str, Any]]) -> Starlette:
    """Return the application; `ready` returns the readiness document with its key `ready`."""

    async def livez(_: Request) -> JSONResponse:
        return JSONResponse({"alive": True})

    async def readyz(_: Request) -> JSONResponse:
        document = ready()
        return JSONResponse(document, status_code=200 if document["ready"] else 503)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz)])
