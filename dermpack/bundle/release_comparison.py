"""Compare the code, build files and licences of a bundle with what dermpack writes for its record.

For the version that runs, the files are written again and must be the same bytes. For the releases in
released_files.json, their SHA-256 must be the listed one after the names of the model are replaced by
placeholders. A bundle that names another version fails, unless the signature of its author is checked.
README.md and MODEL_CARD.md are not compared: they contain texts of the bundle's author.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from dermpack import __version__
from dermpack.bundle.android_module import (
    COMPILED_CLASSES,
    TEMPLATES,
    compile_classes,
    format_java_constants,
    lay_out_files,
)
from dermpack.bundle.bundle_record import BUNDLE_FILE, Bundle, BundleFormat, BundleNames
from dermpack.bundle.documents import build_bill_of_materials, licence_name, render_notice
from dermpack.bundle.golden_vectors import GOLDEN_FILE
from dermpack.bundle.read_bundle import MAX_JSON_BYTES, OpenedBundle
from dermpack.bundle.variants import MODEL_FILE, Variant
from dermpack.bundle.web.layout import LIST_FILE, RUNTIME_FOLDER, WORKER_FILE, empty_worker, lay_out_page
from dermpack.bundle.zip_archive import SUMS_FILE
from dermpack.contract import CONTRACT_FILE
from dermpack.errors import InputError
from dermpack.reporting.page import to_one_line
from dermpack.storage.files import format_json, parse_json, read_json, sha256_of
from dermpack.verification.check_result import Check, CheckOutcome, check_from_problems

RELEASED_FILE = Path(__file__).with_name("released_files.json")
CHECK_NAME = "release files"
BILL_OF_MATERIALS, LICENCE_FILE, NOTICE_FILE = "bom.cdx.json", "LICENSE", "NOTICE"
AUTHOR_TEXTS = ("README.md", "MODEL_CARD.md")
UNKNOWN_VERSION_HINT = "update dermpack if this version exists, or give the author's --key"
MAX_NAMED = 3
MAX_VERSION_CHARACTERS = 64
MAX_FILE_BYTES = 1 << 20  # of a file that a release writes; the largest has some 12 kB
Hashes = Mapping[str, str]  # name with placeholders → SHA-256


def write_release_files(bundle: Bundle, variants: Sequence[Variant]) -> dict[str, bytes]:
    """Return the files of a bundle that follow from its record and its models alone, on every machine."""
    names = BundleNames(slug=bundle.slug)
    return {
        **(lay_out_page(bundle) if bundle.format is BundleFormat.WEB else {}),
        **lay_out_files(
            bundle.format,
            names,
            [variant.name for variant in variants],
            variants[0].columns,
            has_golden=bool(bundle.golden_folder),
        ),
        LICENCE_FILE: (TEMPLATES / "LICENSE").read_bytes(),
        NOTICE_FILE: render_notice(bundle, variants),
        BILL_OF_MATERIALS: build_bill_of_materials(bundle, variants),
    }


def compare_with_release(opened: OpenedBundle) -> Check:
    """Check the files that no author writes, and that the bundle contains no others."""
    version = _named_version(opened)
    released = read_released_files().get(version, {}).get(opened.bundle.format.value, {})
    problems = [f"contains no {name}" for name in (LICENCE_FILE, NOTICE_FILE) if name not in opened.files]
    if not version:
        problems.append(f"{BILL_OF_MATERIALS} names no version of dermpack")
    elif version != __version__ and not released and not problems:
        named = version[:MAX_VERSION_CHARACTERS]
        detail = (
            f"made by dermpack {named}, whose files are not known to {__version__}: code, "
            "build files and licences cannot be compared"
        )
        # A forger can name any version, so only the signature of a known author makes up for the comparison.
        if opened.is_signed:
            return Check(name=CHECK_NAME, outcome=CheckOutcome.NOTED, detail=detail)
        problems.append(f"{detail}; {UNKNOWN_VERSION_HINT}")
    written: dict[str, bytes] = {}
    if version == __version__:
        written = write_release_files(opened.bundle, opened.variants)
    differing = [*_find_differences(opened, written, released)] if written or released else []
    if differing:
        more = f" and {len(differing) - MAX_NAMED} more" if len(differing) > MAX_NAMED else ""
        listed = ", ".join(differing[:MAX_NAMED]) + more
        problems.append(f"differs from what dermpack {version} writes: {listed}")
    success = f"code, build files and licences are those of dermpack {version}"
    note = _compare_classes(opened)
    if note and not problems:
        return Check(name=CHECK_NAME, outcome=CheckOutcome.NOTED, detail=f"{success}; {note}")
    return check_from_problems(CHECK_NAME, problems, success=success)


def _compare_classes(opened: OpenedBundle) -> str:
    """Return why the compiled classes of an archive cannot be compared, or ""."""
    if opened.bundle.format is not BundleFormat.AAR:
        return ""
    names, columns = [variant.name for variant in opened.variants], opened.variants[0].columns
    try:
        compiled = compile_classes(opened.bundle.format, BundleNames(slug=opened.bundle.slug), names, columns)
    except InputError as error:
        return f"{COMPILED_CLASSES} cannot be compared: {error.where} {error.what}"
    if compiled[COMPILED_CLASSES] == opened.files.get(COMPILED_CLASSES):
        return ""
    return f"{COMPILED_CLASSES} cannot be compared: it differs from what the compiler of this machine makes"


def generalize_files(
    files: Mapping[str, bytes], bundle: Bundle, variants: Sequence[Variant]
) -> dict[str, bytes]:
    """Return files with placeholders instead of the names of the model, so that releases can be compared.

    Example: class SkinClassifier of the package dermpack.skin → class {class} of the package {package}.
    """
    heading = f"{to_one_line(bundle.name)} {to_one_line(bundle.version)}\n"
    models = "".join(
        f"  {to_one_line(f'{variant.contract.name} {variant.contract.version}')}: "
        f"{to_one_line(licence_name(variant.contract.license))}\n"
        for variant in variants
    )
    replacements = {
        heading: "{bundle}\n",
        models: "{models}",
        format_java_constants([variant.name for variant in variants]): "{variants}",
        f'ASSETS = "{bundle.slug}";': 'ASSETS = "{slug}";',
        f'name": {format_json(bundle.name).rstrip()},': 'name": "{name}",',  # of the manifest, twice
        bundle.class_name: "{class}",
        bundle.package.replace(".", "/"): "{folder}",
        bundle.package: "{package}",
    }

    def generalize(text: str) -> str:
        for old, new in replacements.items():
            text = text.replace(old, new) if old else text  # a web bundle names no class
        return text

    return {
        generalize(name): generalize(data.decode("utf-8", "surrogateescape")).encode(
            "utf-8", "surrogateescape"
        )
        for name, data in files.items()
    }


def _list_comparable_files(opened: OpenedBundle) -> dict[str, bytes]:
    """Return the files of a bundle; the lists and the runtime of a web bundle have checks of their own."""
    if opened.bundle.format is not BundleFormat.WEB:
        return dict(opened.files)
    checked = (LIST_FILE, f"{RUNTIME_FOLDER}/")
    files = {name: data for name, data in opened.files.items() if not name.startswith(checked)}
    if WORKER_FILE in files:
        files[WORKER_FILE] = empty_worker(files[WORKER_FILE])
    return files


@cache
def read_released_files() -> Mapping[str, Mapping[str, Hashes]]:
    """Return version → format → name → SHA-256 of the releases."""
    return read_json(RELEASED_FILE)


def _named_version(opened: OpenedBundle) -> str:
    """Return the version of dermpack in the bill of materials, or ""."""
    try:
        data = opened.files[BILL_OF_MATERIALS]
        record = parse_json(data) if len(data) <= MAX_JSON_BYTES else {}
        (tool,) = record["metadata"]["tools"]["components"]
        version = tool["version"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return ""
    return version if isinstance(version, str) else ""


def _find_differences(opened: OpenedBundle, written: Mapping[str, bytes], released: Hashes) -> Iterator[str]:
    """Yield the names of files that are changed, missing, or not part of such a bundle."""
    bundle = opened.bundle
    own = {*AUTHOR_TEXTS, BUNDLE_FILE, SUMS_FILE, bundle.path("labels.txt"), BILL_OF_MATERIALS}
    for part in bundle.variants:
        folder = f"{part.folder}/" if part.folder else ""
        own |= {bundle.path(f"{folder}{name}") for name in (MODEL_FILE, CONTRACT_FILE)}
    golden = {GOLDEN_FILE}
    for vector in opened.golden.vectors if opened.golden else ():
        golden |= {vector.picture, vector.pixels, *(each.output for each in vector.expected.values())}
        golden |= {tensor.output for each in vector.expected.values() for tensor in each.more.values()}
    own |= {f"{bundle.golden_folder}/{name}" for name in golden}
    # The bytes of compiled classes depend on the compiler: they are compared separately.
    own |= {COMPILED_CLASSES} if bundle.format is BundleFormat.AAR else set()
    files = _list_comparable_files(opened)
    others = {name: data for name, data in files.items() if name not in own}
    yield from (name for name, data in others.items() if len(data) > MAX_FILE_BYTES)
    others = {name: data for name, data in others.items() if len(data) <= MAX_FILE_BYTES}
    general = {
        name: next(iter(generalize_files({name: data}, bundle, opened.variants).items()))
        for name, data in others.items()
    }
    for name, data in sorted(others.items()):
        known_name, known = general[name]
        if data != written.get(name) and sha256_of(known) != released.get(known_name):
            yield name
    # Either all files of this version are there, or all files of the release.
    missing_written = sorted(written.keys() - others.keys() - own)
    missing_released = sorted(released.keys() - {known_name for known_name, _ in general.values()})
    if (missing_written or not written) and (missing_released or not released):
        yield from (f"{name} is missing" for name in missing_written or missing_released)
    if bundle.format is BundleFormat.AAR and COMPILED_CLASSES not in opened.files:
        yield f"{COMPILED_CLASSES} is missing"
    bill = written.get(BILL_OF_MATERIALS)
    if bill is not None and not released and opened.files.get(BILL_OF_MATERIALS) != bill:
        yield BILL_OF_MATERIALS
