"""Check that the folders of a conversion can be written; this needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from dermpack.contract import CONTRACT_FILE
from dermpack.storage.files import check_output_folder

SEVERAL_FILE = "exports.json"  # lists the exports in a folder of several
REJECTED = ".rejected"


def rejected_folder(output: Path) -> Path:
    """Return the folder of the candidates that were not chosen: export → export.rejected."""
    return output.with_name(output.name + REJECTED)


def output_marker(*, recipes: int) -> str:
    """Return the file by which an export, or a folder of several exports, is recognized."""
    return SEVERAL_FILE if recipes > 1 else CONTRACT_FILE


def check_outputs(output: Path, *, recipes: int, overwrite: bool) -> None:
    """Check before the work that the export and the rejected candidates can be written."""
    check_output_folder(output, marker=output_marker(recipes=recipes), overwrite=overwrite)
    check_output_folder(rejected_folder(output), marker=SEVERAL_FILE, overwrite=overwrite)
