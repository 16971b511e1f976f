"""Typed settings from options, environment and file; slow to import, so commands do it late."""

from meisa_cdc.settings.database import DatabaseUrl
from meisa_cdc.settings.load import DEFAULT_FILE, load_settings
from meisa_cdc.settings.model import Settings
from meisa_cdc.settings.names import ENVIRONMENT, KEYS, NOT_IN_FILE
from meisa_cdc.settings.secret import Secret
from meisa_cdc.settings.texts import Bind

__all__ = [
    "DEFAULT_FILE",
    "ENVIRONMENT",
    "KEYS",
    "NOT_IN_FILE",
    "Bind",
    "DatabaseUrl",
    "Secret",
    "Settings",
    "load_settings",
]
