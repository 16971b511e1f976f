"""The typed client of Meisa's API; nothing else in the package speaks HTTP to it."""

from meisa_cdc.meisa.http_meisa import HttpMeisa
from meisa_cdc.meisa.refusals import MeisaRefused

__all__ = ["HttpMeisa", "MeisaRefused"]
