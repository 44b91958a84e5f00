"""dermpack package: package an export into one file for an app."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli import options
from dermpack.cli.console import Printer
from dermpack.cli.convert.foreign_input import declared_input, list_given, read_declared_input
from dermpack.cli.convert.tflite_file import is_tflite, read_foreign_model

if TYPE_CHECKING:
    from dermpack.bundle.build_bundle import BuiltBundle
    from dermpack.bundle.variants import Variant

FORMATS = ("module", "assets", "aar", "web")
GOLDEN_PLACES = ("debug", "main", "none")
SITE_FOLDER = "web"
SCHEMA = 1  # of the JSON


@click.command("package")
@click.argument("export", type=options.PATH, metavar="EXPORT|MODEL.tflite")
@options.output("BUNDLE", "The file to write.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="module", show_default=True,
    help="Write a Gradle library module, the plain files, an Android archive (requires a JDK), or a web site "
    "that runs the model in the browser.",
)  # fmt: skip
@click.option(
    "--variant", "variants", multiple=True, metavar="NAME",
    help="Package this export of a folder of exports; can be repeated, with the main one first.",
)  # fmt: skip
@click.option("--name", default="", help="Name of module, package and class.  [default: that of the model]")
@click.option("--version", default="", help="Version of the bundle.  [default: that of the model]")
@click.option(
    "--golden", multiple=True, type=options.PATH, metavar="PICTURE",
    help="Test the app with this PNG or JPEG, which becomes part of the app; can be repeated.  [default: "
    "generated pictures]",
)  # fmt: skip
@options.flag(
    "--keep-metadata",
    "With --golden: keep the metadata of the pictures (EXIF with place and camera, texts, previews).",
)
@click.option(
    "--golden-in", type=click.Choice(GOLDEN_PLACES), default="debug", show_default=True,
    help="Add the golden vectors to debug builds of the app, to all builds, or to none.",
)  # fmt: skip
@click.option(
    "--scores", multiple=True, type=options.PATH, metavar="REPORT",
    help="Add the scores of a variant, a report of dermpack evaluate, to the model card; can be repeated.",
)  # fmt: skip
@click.option(
    "--benchmark", "times", multiple=True, type=options.PATH, metavar="REPORT",
    help="Add the latency of a variant, a report of dermpack benchmark, to the model card; can be repeated.",
)  # fmt: skip
@click.option(
    "--describe", "described", multiple=True, metavar="LABEL=WORDS",
    help="Explain a label in the README and the model card; can be repeated.",
)  # fmt: skip
@options.path(
    "--litert", "FOLDER|TARBALL",
    "With --format web: the packages of LiteRT.js that npm downloaded.  [default: those in the cache folder]",
)  # fmt: skip
@options.labels("The labels of a MODEL.tflite of another program.  [default: those in the file]")
@declared_input
@options.path("--card", "FILE.md", "Also write the model card into this file.")
@options.path("--sign", "KEY", "Sign the bundle with this Ed25519 key (PEM) and write BUNDLE.sig.")
@options.flag("--overwrite", "Replace an existing bundle and model card.")
@options.printer
def command(
    export: Path,
    output: Path,
    form: str,
    variants: tuple[str, ...],
    name: str,
    version: str,
    golden: tuple[Path, ...],
    keep_metadata: bool,
    golden_in: str,
    scores: tuple[Path, ...],
    times: tuple[Path, ...],
    described: tuple[str, ...],
    litert: Path | None,
    labels: str | None,
    card: Path | None,
    sign: Path | None,
    overwrite: bool,
    printer: Printer,
    **others: Any,
) -> None:
    """Package EXPORT into BUNDLE: a zip that unpacks into a Gradle module for any Android app, or a web site.

    The bundle contains the model, its contract and labels, Java code that prepares pictures bit for bit as in
    training, golden vectors that test this on the phone, a README, a model card, checksums and a bill of
    materials. The same export gives the same bytes; dermpack verify BUNDLE checks them. A MODEL.tflite of
    another program is packaged as it is; the contract says that its accuracy was not measured.

    A web site contains the runtime LiteRT.js, which npm downloads once: without it, the error message has the
    command. The page works offline, and no picture leaves the device.

    \b
    Examples:
      dermpack package export -o skin.zip --name skin
      dermpack package export -o skin.zip --scores evaluation --benchmark report --card CARD.md
      dermpack package model.tflite -o skin.zip --labels labels.txt --input-range 0..1
      dermpack package exports -o skin.aar --format aar --variant int8 --variant float16 --sign key.pem
      dermpack package export -o skin-web.zip --format web
    """
    from dermpack.bundle.build_bundle import BundleRequest, build_bundle
    from dermpack.bundle.bundle_record import BundleFormat, GoldenPlace
    from dermpack.bundle.documents import read_meanings
    from dermpack.bundle.reports import read_scores, read_times
    from dermpack.bundle.signing import read_private_key, write_with_signature
    from dermpack.bundle.web.runtime import read_runtime
    from dermpack.imaging.metadata_removal import MetadataPolicy
    from dermpack.storage.files import check_output_file, write_bytes

    if keep_metadata and not golden:
        raise click.UsageError("--keep-metadata requires --golden. Add --golden, or omit --keep-metadata.")
    if golden and golden_in == "none":
        raise click.UsageError("--golden requires --golden-in debug or main. Omit --golden or --golden-in.")
    if litert is not None and form != "web":
        raise click.UsageError("--litert requires --format web. Add --format web, or omit --litert.")
    _check_output(output, overwrite=overwrite)
    if card is not None:
        check_output_file(card, overwrite=overwrite)
    # Read before the bundle is built, so that an invalid key costs no time.
    key = read_private_key(sign) if sign else None
    runtime = read_runtime(litert) if form == "web" else None
    chosen = _read_variants(export, variants, labels, others, printer)
    request = BundleRequest(
        format=BundleFormat(form),
        name=name,
        version=version,
        golden=golden,
        golden_in=GoldenPlace(golden_in),
        metadata=MetadataPolicy.KEEP if keep_metadata else MetadataPolicy.REMOVE,
        scores=read_scores(scores, chosen),
        times=read_times(times, chosen),
        meanings=read_meanings(described, chosen[0].contract.labels),
        runtime=runtime,
    )
    if times and not request.times:
        printer.note("the benchmark measured no time: the model card states no latency")
    built = build_bundle(chosen, request)
    if card is not None:
        write_bytes(card, built.card)
    signature = write_with_signature(output, built.data, key.sign(built.data) if key else None)
    _report(output, built, signature, golden, printer)


def _report(
    output: Path, built: BuiltBundle, signature: Path | None, golden: tuple[Path, ...], printer: Printer
) -> None:
    """Print the notes about the bundle, and its record."""
    from dermpack.storage.files import sha256_of

    bundle, form = built.bundle, built.bundle.format.value
    if built.metadata_removed:
        counted = f"{built.metadata_removed} of {len(golden)} golden pictures"
        printer.note(f"metadata removed from {counted}; the pixels and the orientation are unchanged")
    if built.near_ties:
        device = "a browser" if form == "web" else "a phone"
        what = f"near ties, for which {device} may answer another label: {', '.join(built.near_ties)}"
        printer.note(f"{what}. verify and the self-check accept it")
    suffix = "aar" if form == "aar" else "zip"
    if output.suffix.lower() != f".{suffix}":
        printer.note(f"{output} is a {suffix} file, although its name does not end in .{suffix}")
    class_name = f"{bundle.package}.{bundle.class_name}" if bundle.package else None
    # A name in the app can differ from the chosen one, which the user must know.
    if bundle.slug != bundle.name:
        used = f"module and folder are named {bundle.slug}, the class {class_name}"
        used = used if class_name else f"the folder is named {bundle.slug}"
        printer.note(f"{bundle.name} is not an identifier: {used}")
    if form == "web":
        printer.note(f"to open it: {command_to_open(output, bundle.slug)}, then http://localhost:8000/")
    record = {
        "schema": SCHEMA,
        "bundle": str(output),
        "signature": str(signature) if signature else None,
        "sha256": sha256_of(built.data),
        "size_bytes": len(built.data),
        "format": form,
        "module": bundle.slug,
        "class": class_name,
        "variants": [variant.name for variant in bundle.variants],
        "near_ties": list(built.near_ties),
        "metadata_removed": built.metadata_removed,
    }
    printer.result(record, str(output))


def command_to_open(output: Path, slug: str) -> str:
    """Return the shell command that unpacks a web site and serves it on this computer.

    It unpacks into a folder of its own, because the site's folder, named `slug`, is often named like the
    output of a build: files of the build would be replaced, and served.
    """
    unpack = f"unzip -d {SITE_FOLDER} {shlex.quote(str(output))}"
    return f"{unpack} && python3 -m http.server --bind 127.0.0.1 --directory {SITE_FOLDER}/{slug}"


def _read_variants(
    export: Path, names: tuple[str, ...], labels: str | None, others: dict[str, Any], printer: Printer
) -> tuple[Variant, ...]:
    """Return the variants of an export, or the only one of a file without a contract, which is run now."""
    from dermpack.bundle.variants import MODEL_FILE, read_variants
    from dermpack.contract import CONTRACT_FILE
    from dermpack.errors import InputError
    from dermpack.inference.model_formats import format_error, recognize_format
    from dermpack.storage.files import is_directory, is_regular_file
    from dermpack.verification.export_files import describe_kept_file, write_export_files

    # The model in an export has a contract next to it, with what was measured.
    if export.name == MODEL_FILE and labels is None and export.with_name(CONTRACT_FILE).is_file():
        export = export.parent
    if not is_tflite(export):
        # A file without the first bytes of a .tflite, or the folder of another program.
        if is_regular_file(export) or (is_directory(export) and recognize_format(export)):
            raise format_error(export)
        if given := [*list_given(others), *(["--labels"] if labels else [])]:
            what, hint = "applies to a .tflite without a contract only", "Omit the option."
            raise InputError(given[0], what, hint, code="option-not-applicable")
        return read_variants(export, names)
    model = read_foreign_model(export, labels, read_declared_input(others))
    contract = describe_kept_file(model)
    printer.note("accuracy: not measured. Measure it with dermpack convert --data, which makes an export")
    if not contract.runtimes.oldest:
        printer.note("the file works on no interpreter that is installed here")
    with TemporaryDirectory(prefix="dermpack-package-") as folder:
        write_export_files(Path(folder), model.data, contract)
        return read_variants(Path(folder), names)


def _check_output(output: Path, *, overwrite: bool) -> None:
    """Check before the work that the bundle can be written."""
    from dermpack.bundle.read_bundle import is_bundle
    from dermpack.bundle.signing import signature_path
    from dermpack.errors import OutputError
    from dermpack.storage.files import EXISTS_HINT

    # A link that leads nowhere exists, too: it would be replaced.
    if os.path.lexists(output) and (output.is_dir() or not is_bundle(output)):
        what = "already exists and is not a bundle"
        raise OutputError(output, what, "Choose another output.", code="output-exists")
    for path in (output, signature_path(output)):  # an old signature would belong to another bundle
        if os.path.lexists(path) and not overwrite:
            raise OutputError(path, "already exists", EXISTS_HINT, code="output-exists")
