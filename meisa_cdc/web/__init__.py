"""What the daemon tells over HTTP."""

from meisa_cdc.web.server import WebServer

__all__ = ["WebServer"]
