"""One call of the program: its global options, its output, its settings."""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from meisa_cdc.cli.output import Output

if TYPE_CHECKING:
    from meisa_cdc.settings import Settings


@dataclass(slots=True, kw_only=True)
class Session:
    """What every command is handed first."""

    #: Where to print.
    output: Output = field(default_factory=Output)
    #: Settings file named with --config.
    config: Path | None = None
    #: File of environment variables named with --env-file.
    env_file: Path | None = None
    #: Details are wanted: debug log, tracebacks.
    verbose: bool = False

    def settings(self, overrides: Mapping[str, str] | None = None) -> "Settings":
        """Load the settings, hide their secrets from every output, and start the log.

        `overrides` holds what the command's own options say, by dotted key. Raises SettingsError.
        """
        from meisa_cdc.settings import load_settings

        settings = load_settings(
            self.config,
            environ=os.environ,
            cwd=Path.cwd(),
            overrides=overrides,
            env_file=self.env_file,
            seen=self.output.redactor.add,
        )
        self.output.redactor.add(*settings.secrets())
        self.start_log(style=settings.log.format)
        return settings

    def start_log(
        self, style: Literal["text", "json"] | None = None, usual: int = logging.INFO
    ) -> None:
        """Start the log on stderr; commands that load no settings call it themselves.

        `usual` is the lowest level without --verbose or --quiet.
        """
        from meisa_cdc.logs import level_of, set_up_logs

        set_up_logs(
            redactor=self.output.redactor,
            level=level_of(verbose=self.verbose, quiet=self.output.quiet, usual=usual),
            style=style,
            colour=self.output.colour and sys.stderr.isatty(),
        )
