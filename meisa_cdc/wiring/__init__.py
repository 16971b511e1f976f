"""The only place that knows concrete classes and the real clock."""

from meisa_cdc.wiring.building import Wiring
from meisa_cdc.wiring.recording import recorded
from meisa_cdc.wiring.remote import Remote
from meisa_cdc.wiring.system import SystemClock, Threads, shipped

__all__ = ["Remote", "SystemClock", "Threads", "Wiring", "recorded", "shipped"]
