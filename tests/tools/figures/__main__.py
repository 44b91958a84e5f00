"""Write the tables of figures: `python -m tests.tools.figures`; `--claims` prints the sentences instead."""

from __future__ import annotations

import sys

from tests.tools.figures.pages import fill_in_claims, write_tables

if __name__ == "__main__":
    if "--claims" in sys.argv[1:]:
        lines = fill_in_claims()
    else:
        lines = [f"{path} rewritten" for path in write_tables()]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
