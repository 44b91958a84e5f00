"""python -m dermpack."""

import sys

from dermpack.cli import main

sys.exit(main())
