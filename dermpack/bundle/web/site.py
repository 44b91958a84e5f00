"""Make the files of a web site from an export or a bundle, for a server of one's own."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.bundle_record import BundleFormat, GoldenPlace
from dermpack.bundle.read_bundle import is_bundle, read_bundle
from dermpack.bundle.variants import MODEL_FILE, read_variants
from dermpack.bundle.web.layout import RUNTIME_FOLDER, SITE_FILE, seal_site
from dermpack.bundle.web.runtime import read_runtime
from dermpack.bundle.zip_archive import SUMS_FILE
from dermpack.storage.files import format_json, parse_json


class AnsweredBy(Enum):
    """Where the model of a site runs; the value is that of `answers` in site.json."""

    BROWSER = "browser"
    SERVER = "server"


def site_files(
    path: Path, *, answered_by: AnsweredBy = AnsweredBy.BROWSER, litert: Path | None = None
) -> dict[str, bytes]:
    """Return the files of the site by their paths below its folder.

    `path` is an export, a folder with one export, or a bundle of any format, which is read without a key.
    A site that the browser answers needs the runtime (`litert`, or that in the cache); without it, InputError
    with the code missing-web-runtime is raised. The page of a site that the server answers sends pictures to
    it, and contains neither the runtime nor the model. Call `seal_site` after adding or changing files.
    """
    is_browser = answered_by is AnsweredBy.BROWSER
    name, version = "", ""
    if is_bundle(path):
        opened = read_bundle(path)
        if opened.bundle.format is BundleFormat.WEB and is_browser:
            return dict(opened.files)
        variants = opened.variants[:1]
        name, version = opened.bundle.name, opened.bundle.version
    else:
        variants = read_variants(path)
    request = BundleRequest(
        format=BundleFormat.WEB,
        name=name,
        version=version,
        golden_in=GoldenPlace.MAIN if is_browser else GoldenPlace.NONE,
        runtime=read_runtime(litert) if is_browser else {},
    )
    files = dict(build_bundle(variants, request).files)
    if is_browser:
        return files
    settings = parse_json(files[SITE_FILE]) | {"answers": answered_by.value}
    files[SITE_FILE] = format_json(settings).encode()
    removed = (f"model/{MODEL_FILE}", SUMS_FILE)
    kept = {
        name: data
        for name, data in files.items()
        if name not in removed and not name.startswith(f"{RUNTIME_FOLDER}/")
    }
    return seal_site(kept)
