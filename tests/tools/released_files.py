"""Add the files that this version writes into bundles to dermpack/bundle/released_files.json, for a release.

    python -m tests.tools.released_files

The names of the model are replaced by placeholders, so that one hash holds for every bundle of the release.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from dermpack import __version__
from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.bundle_record import BundleFormat
from dermpack.bundle.read_bundle import read_bundle
from dermpack.bundle.release_comparison import (
    BILL_OF_MATERIALS,
    RELEASED_FILE,
    generalize_files,
    write_release_files,
)
from dermpack.bundle.variants import read_variants
from dermpack.storage.files import format_json, sha256_of
from tests.support.bundle_exports import write_export


def hash_files(form: BundleFormat, work: Path) -> dict[str, str]:
    """Return the hash of each file that follows from a bundle's record, by its name with placeholders."""
    variants = read_variants(write_export(work / form.value))
    built = build_bundle(variants, BundleRequest(format=form, name="some lesions", runtime={}))
    (work / f"{form.value}.zip").write_bytes(built.data)
    opened = read_bundle(work / f"{form.value}.zip")
    files = write_release_files(opened.bundle, opened.variants)
    general = generalize_files(files, opened.bundle, opened.variants)
    return {name: sha256_of(data) for name, data in general.items() if name != BILL_OF_MATERIALS}


def main() -> None:
    """Write the table."""
    released = json.loads(RELEASED_FILE.read_text(encoding="utf-8")) if RELEASED_FILE.exists() else {}
    if __version__ in released:  # its bundles are in use, whatever this working tree would write
        raise SystemExit(f"{__version__} is released; set the version of the next release first")
    with TemporaryDirectory() as temporary:
        released[__version__] = {form.value: hash_files(form, Path(temporary)) for form in BundleFormat}
    RELEASED_FILE.write_text(format_json(released), encoding="utf-8")


if __name__ == "__main__":
    main()
