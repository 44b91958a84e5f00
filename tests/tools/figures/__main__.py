"""Write the tables of figures: `python -m tests.tools.figures`; `--claims` shows the figures of sentences."""

from __future__ import annotations

import sys

from tests.tools.figures.pages import claims, write_tables

if __name__ == "__main__":
    told = claims() if "--claims" in sys.argv[1:] else [f"{path} rewritten" for path in write_tables()]
    sys.stdout.write("".join(f"{line}\n" for line in told))
