"""Stand-ins for tests: a state and a spool in memory, a scripted Meisa, a clock set by hand."""

from meisa_cdc.testing.clock import HandClock
from meisa_cdc.testing.meisa import ScriptedMeisa, Sent
from meisa_cdc.testing.once import MemorySuppressions
from meisa_cdc.testing.spool import MemorySpool
from meisa_cdc.testing.state import MemoryState

__all__ = ["HandClock", "MemorySpool", "MemoryState", "MemorySuppressions", "ScriptedMeisa", "Sent"]
