"""Write the tables of figures: `python -m tests.figures`; `--claims` shows what the sentences should say."""

from __future__ import annotations

import sys

from tests.figures.pages import claims, write_tables

if __name__ == "__main__":
    told = claims() if "--claims" in sys.argv[1:] else [f"{path} rewritten" for path in write_tables()]
    sys.stdout.write("".join(f"{line}\n" for line in told))
