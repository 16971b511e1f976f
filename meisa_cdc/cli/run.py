"""`meisa-cdc run`: the daemon."""

from typing import TYPE_CHECKING

from meisa_cdc.cli.command import command
from meisa_cdc.cli.interrupts import Interrupts
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.wiring import Wiring


@command("meisa-cdc run", results=False)
def run(session: Session) -> int:
    """Keep Meisa in step: schedules, delivery, suppression list, health.

    Several may run on one state: one leads, the others stand by and take over. SIGTERM and
    Ctrl-C let requests under way end within eight seconds.
    """
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    wiring.settings.require_api_key()
    with Interrupts(wiring.clock.stop, terminated=0) as interrupts, interrupts.graceful():
        _serve(wiring)
    return interrupts.code


def _serve(wiring: "Wiring") -> None:
    from meisa_cdc.daemon.health import Health
    from meisa_cdc.daemon.running import Daemon
    from meisa_cdc.logs import logger
    from meisa_cdc.web import WebServer
    from meisa_cdc.wiring.leading import lead

    health = Health()
    log = logger("meisa_cdc")
    bind = wiring.settings.web.bind
    # Mapping files that cannot be used are told at once; later the set in force stays.
    wiring.mappings()
    with WebServer(bind.host, bind.port, health.document) as web:
        log.info("started", health=f"http://{bind.host}:{web.port}/readyz")
        Daemon(
            state=wiring.state_to_write,
            lease=wiring.lease,
            lead=lambda state: lead(wiring, state, log, health),
            clock=wiring.clock,
            stopping=wiring.clock.stop.is_set,
            log=log,
            health=health,
        ).run()
        log.info("ended")
