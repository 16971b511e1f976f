"""What `send='with_others'` saves, on the demo's app database and the mappings we ship."""

import json
import shutil
from pathlib import Path
from typing import Any

from meisa_cdc.demo import appdb
from meisa_cdc.wiring import shipped
from tests.installation import Program

RIDES = ", 'send': 'with_others', 'at_least_every': '7d'"
SIGN_INS = 40


def test_last_active_that_rides_along_saves_a_request_a_sign_in(tmp_path: Path) -> None:
    """The plan counts the saving, and tells of it where it is not made use of."""
    app = tmp_path / "app.sqlite"
    appdb.build(app)
    shutil.copytree(shipped("mappings"), tmp_path / "mappings")
    settings = {
        "MEISA_CDC_APP_DATABASE__URL": f"sqlite:///{app}",
        "MEISA_CDC_STATE__URL": f"sqlite:///{tmp_path / 'state.db'}",
        "MEISA_CDC_MAPPINGS_DIR": str(tmp_path / "mappings"),
    }

    def said(*arguments: str) -> str:
        with Program(arguments, folder=tmp_path, settings=settings) as program:
            assert program.ended(within=60) in {0, 3, 4}, program.told()
            return program.output()

    def planned() -> dict[str, Any]:
        document: dict[str, Any] = json.loads(said("plan", "--format", "json", "--limit", "0"))
        return document

    said("baseline")
    assert appdb.sign_in(app, SIGN_INS) == SIGN_INS
    riding = planned()
    assert (riding["summary"]["requests"], riding["summary"]["riding"]) == (0, SIGN_INS)
    activity = tmp_path / "mappings" / "contacts" / "activity.sql"
    text = activity.read_text()
    assert RIDES in text
    activity.write_text(text.replace(RIDES, ""))
    causing = planned()
    assert causing["summary"]["requests"] == SIGN_INS
    assert causing["cost"]["sole"] == {"custom_fields.last_active": SIGN_INS}
    assert (
        f"custom_fields.last_active {SIGN_INS} (send='with_others' would save {SIGN_INS})"
        in said("plan")
    )
