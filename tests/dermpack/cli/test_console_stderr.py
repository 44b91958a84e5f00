"""C++ is kept off the terminal, Python is not."""

from __future__ import annotations

import subprocess
import sys

LOGGED_LATER = """
import logging, os
from dermpack.cli.console import python_stderr_only

logger = logging.getLogger("library")
with python_stderr_only():
    logger.addHandler(logging.StreamHandler())
    logger.warning("within")
    os.write(2, b"from C++")
logger.warning("after")
with python_stderr_only():
    logger.warning("within another")
"""


def test_a_handler_that_a_library_creates_in_the_block_works_afterwards() -> None:
    """As TensorFlow's does where several commands run in one process."""
    done = subprocess.run([sys.executable, "-c", LOGGED_LATER], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["within", "after", "within another"]
