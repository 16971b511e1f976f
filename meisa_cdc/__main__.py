"""`python -m meisa_cdc` is the same as `meisa-cdc`."""

import sys

from meisa_cdc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
