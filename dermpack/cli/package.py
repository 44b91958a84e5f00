"""dermpack package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli.console import note, output_options, result

if TYPE_CHECKING:
    from dermpack.bundle.build_bundle import BuiltBundle

FORMATS = ("module", "assets", "aar")
SCHEMA = 1  # of the JSON
PASSES = "verify and the self-check pass either label"
FILE = click.Path(path_type=Path)


@click.command("package", short_help="Make one file of an export that an Android app embeds.")
@click.argument("export", type=FILE)
@click.option("-o", "--output", metavar="BUNDLE", required=True, type=FILE, help="A new file.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="module",
    show_default=True,
    help="A Gradle library module, the bare files, or an Android archive (needs a JDK).",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME",
    help="Of a folder of exports, bundle this one; several side by side, the main one first.",
)
@click.option("--name", default="", help="Of module, package and class; the model's own when not given.")
@click.option("--version", default="", help="Of the bundle; the model's own when not given.")
@click.option(
    "--golden",
    multiple=True,
    type=FILE,
    metavar="PICTURE",
    help="Test the app with this PNG or JPEG of yours; it goes into the app. Else with generated ones.",
)
@click.option(
    "--scores",
    multiple=True,
    type=FILE,
    metavar="REPORT",
    help="What dermpack evaluate found of a variant, slices too: into the model card.",
)
@click.option(
    "--benchmark",
    "times",
    multiple=True,
    type=FILE,
    metavar="REPORT",
    help="How fast dermpack benchmark found a variant: into the model card.",
)
@click.option(
    "--describe",
    "described",
    multiple=True,
    metavar="LABEL=WORDS",
    help="What a label means, for README and model card.",
)
@click.option("--card", "card_file", type=FILE, metavar="FILE.md", help="Write the model card here, too.")
@click.option("--sign", "key", type=FILE, metavar="KEY", help="An Ed25519 key in PEM: signs into BUNDLE.sig.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@output_options
def command(
    export: Path,
    output: Path,
    form: str,
    variants: tuple[str, ...],
    name: str,
    version: str,
    golden: tuple[Path, ...],
    scores: tuple[Path, ...],
    times: tuple[Path, ...],
    described: tuple[str, ...],
    card_file: Path | None,
    key: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make BUNDLE of EXPORT: a zip that unpacks into a Gradle module which drops into any app.

    Model, contract, labels, Java that prepares pictures bit for bit as in training, golden vectors that show
    it on the phone, README, model card, checksums, bill of materials. The same export gives the same bytes;
    dermpack verify BUNDLE proves it again.

    \b
    Examples:
      dermpack package export -o skin.zip --name skin
      dermpack package export -o skin.zip --scores evaluation --benchmark report --card CARD.md
      dermpack package exports -o skin.aar --format aar --variant int8 --variant float16 --sign key.pem
    """
    from dermpack.bundle.build_bundle import BundleRequest, make_bundle
    from dermpack.bundle.bundle_record import BundleFormat
    from dermpack.bundle.label_meanings import read_meanings
    from dermpack.bundle.signing import read_private_key
    from dermpack.bundle.texts.benchmark_times import read_times
    from dermpack.bundle.texts.evaluation_scores import read_scores
    from dermpack.bundle.variants import read_variants
    from dermpack.storage.files import refuse_file, write_bytes

    _check_output(output, overwrite=overwrite)
    if card_file is not None:
        refuse_file(card_file, overwrite=overwrite)
    private = read_private_key(key) if key else None
    chosen = read_variants(export, variants)
    request = BundleRequest(
        format=BundleFormat(form),
        name=name,
        version=version,
        golden=golden,
        scores=read_scores(scores, chosen),
        times=read_times(times, chosen),
        meanings=read_meanings(described, chosen[0].contract.labels),
    )
    made = make_bundle(chosen, request)
    if card_file:
        write_bytes(card_file, made.card)
    signature = _write(output, made.data, private.sign(made.data) if private else None)
    if made.close:
        near = ", ".join(made.close)
        note(
            f"near ties, where a phone may answer the second label: {near}; nothing to do, {PASSES}",
            quiet=quiet,
        )
    _tell_names(made, output, quiet=quiet)
    record = {**_record(made), "bundle": str(output), "signature": signature}
    result(record, str(output), as_json=as_json)


def _tell_names(made: BuiltBundle, output: Path, *, quiet: bool) -> None:
    """What to write in a build, and what the file is, where neither name says it."""
    of = made.bundle
    suffix = ".aar" if of.format.value == "aar" else ".zip"
    if output.suffix.lower() != suffix:
        note(f"{output} is a {suffix[1:]}, though its name does not end in {suffix}", quiet=quiet)
    if of.slug != of.name:
        told = f"module and folder are called {of.slug}, the class {of.package}.{of.class_name}"
        note(f"a program cannot say {of.name}: {told}", quiet=quiet)


def _record(made: BuiltBundle) -> dict[str, Any]:
    from dermpack.storage.files import sha256_of

    bundle = made.bundle
    return {
        "schema": SCHEMA,
        "sha256": sha256_of(made.data),
        "size_bytes": len(made.data),
        "format": bundle.format.value,
        "module": bundle.slug,
        "class": f"{bundle.package}.{bundle.class_name}",
        "variants": [of.name for of in bundle.variants],
        "near_ties": list(made.close),
    }


def _check_output(output: Path, *, overwrite: bool) -> None:
    """Say before the work that there will be no bundle."""
    from dermpack.bundle.read_bundle import is_bundle
    from dermpack.bundle.signing import signature_path
    from dermpack.errors import OutputError

    if output.is_dir() or (output.exists() and not is_bundle(output)):
        what = "already exists and is not a bundle"
        raise OutputError(output, what, "Choose another output.", code="output-exists")
    for path in (output, signature_path(output)):  # an old signature would be another bundle's
        if path.exists() and not overwrite:
            hint = "Choose another output, or add --overwrite."
            raise OutputError(path, "already exists", hint, code="output-exists")


def _write(output: Path, data: bytes, signature: bytes | None) -> str | None:
    """The bundle, and its signature or none: an old one would be another bundle's."""
    from dermpack.bundle.signing import signature_path
    from dermpack.storage.files import cannot_write, write_bytes

    beside = signature_path(output)
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(output, error) from error
    write_bytes(output, data)
    if signature is not None:
        write_bytes(beside, signature)
    return str(beside) if signature is not None else None
