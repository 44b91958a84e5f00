"""dermpack verify: check an export, a bundle or an app from its files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermpack.cli import FailedWithResultError, options
from dermpack.cli.console import Printer, silenced_stderr
from dermpack.errors import InputError

if TYPE_CHECKING:
    from dermpack.verification.check_result import Verification
    from dermpack.verification.output_agreement import FloatNetwork

SCHEMA = 1  # of the JSON
SHOWN_FAILURES = 3
HEADER = ("check", "result", "detail")


@click.command("verify")
@click.argument("path", type=options.PATH, metavar="EXPORT|MODEL.tflite|BUNDLE|APP.apk|FILE.aar")
@click.argument("dataset", type=options.PATH, required=False)
@click.option(
    "--run", "run_folder", type=options.PATH,
    help="The run that the export was made from: compare the outputs and scores with its network.",
)  # fmt: skip
@click.option(
    "--plain", type=options.PATH, metavar="EXPORT",
    help="An export of the same run with the probabilities alone: its labels must be the same on 99 % of "
    "the validation pictures.",
)  # fmt: skip
@click.option("--key", type=options.PATH, help="The public key (PEM) with which a bundle must be signed.")
@options.split("score")
@click.option(
    "--pictures", type=click.IntRange(1, 1000), default=16, show_default=True,
    help="Number of generated pictures to run on each interpreter, and of pictures from DATASET.",
)  # fmt: skip
@options.threads
@options.printer
def command(
    path: Path,
    dataset: Path | None,
    run_folder: Path | None,
    plain: Path | None,
    key: Path | None,
    split: str,
    pictures: int,
    threads: int,
    printer: Printer,
) -> None:
    """Check an export folder, a folder of exports, a .tflite with its model.json, a bundle, or an app.

    The checks compare hash and size, the contract with the file, and the outputs of each installed
    interpreter, in a child process, with and without XNNPACK. With DATASET, they also compare the scores on
    the split and on those splits for which the contract has figures; with --run, the outputs and scores of
    the trained network. A bundle, packed or unpacked, is checked byte by byte, and its golden vectors are
    run. Of an app, the checks are technical rules of Google Play: 16 KB pages, uncompressed models,
    permissions, duplicates, target SDK. The exit code is 1 if a check fails.

    \b
    Examples:
      dermpack verify export
      dermpack verify export dataset --run run
      dermpack verify skin.zip --key public.pem
      dermpack verify app-release.apk
    """
    from dermpack.bundle.apps.verify_app import is_app, verify_app
    from dermpack.bundle.read_bundle import is_bundle, read_bundle
    from dermpack.bundle.verify_bundle import verify_bundle
    from dermpack.dataset.manifest import Split, read_dataset
    from dermpack.inference.model_formats import KERAS, TORCH, format_error, recognize_format
    from dermpack.verification.verify import find_exports, open_tools, verify_export

    if is_app(path):
        if dataset or run_folder or plain or key:
            what, hint = (
                "an app is checked from its file alone",
                "Omit the dataset, --run, --plain and --key.",
            )
            raise InputError(path, what, hint, code="option-not-applicable")
        _report(printer, path, [verify_app(path)], author=None, dataset=None, split=None)
        return
    if path.is_file() and recognize_format(path) in (KERAS, TORCH):  # zips, too
        raise format_error(path)
    bundle = read_bundle(path, key=key) if is_bundle(path) else None
    if bundle is None and key is not None:
        what = "not a bundle, and only bundles have signatures"
        raise InputError(path, what, "Omit --key.", code="option-not-applicable")
    exports = () if bundle else find_exports(path)
    if plain is not None and (bundle is not None or dataset is None):
        what, hint = "needs an export and a DATASET to compare on", "Give DATASET, or omit --plain."
        raise InputError(f"--plain {plain}", what, hint, code="option-not-applicable")
    other = find_exports(plain)[0] if plain else None
    data, part, show = (read_dataset(dataset) if dataset else None), Split(split), printer.track
    network = _read_network(run_folder) if run_folder else None
    with open_tools(
        pictures=pictures,
        dataset=data,
        split=part,
        network=network,
        plain=other,
        threads=threads,
        track=show,
    ) as tools:
        if bundle is not None:
            verified = list(verify_bundle(bundle, tools))
        else:
            # With a dataset, each split has its own progress bar.
            shown = exports if data else show(exports, total=len(exports), what="Verifying")
            verified = [verify_export(export, tools) for export in shown]
    if bundle is not None and not bundle.is_signed:
        printer.note("author unknown: without --key, verify shows that a bundle is whole, not who made it")
    author = None if bundle is None else "owner of the key" if bundle.is_signed else "unknown"
    data_sha256 = data.sha256 if data else None
    _report(printer, path, verified, author=author, dataset=data_sha256, split=split if data else None)


def _report(
    printer: Printer,
    path: Path,
    verified: Sequence[Verification],
    *,
    author: str | None,
    dataset: str | None,
    split: str | None,
) -> None:
    """Print the checks, and raise the error that names the failed ones."""
    for verification in verified:
        rows = [(check.name, check.outcome.value, check.detail) for check in verification.checks]
        printer.table(verification.name, HEADER, rows, words=HEADER)
    if any(check.outcome.value == "noted" for verification in verified for check in verification.checks):
        printer.note("noted: unexpected, but not a fault of the file; see the detail")
    record = {
        "schema": SCHEMA,
        "author": author,
        "dataset": dataset,
        "split": split,
        "exports": [verification.record() for verification in verified],
        "holds": not any(verification.failed for verification in verified),
    }
    printer.result(record, *map(_summary, verified))
    if not record["holds"]:  # after the tables and the result
        raise FailedWithResultError(_failed_error(path, verified))


def _read_network(folder: Path) -> FloatNetwork:
    """Return the network of the run; without its temperature, as the outputs of the file are compared too."""
    from dataclasses import replace

    from dermpack.storage.files import sha256_file
    from dermpack.verification.output_agreement import CachedPredictor, FloatNetwork
    from trainer.runs import RUN_FILE
    from trainer.runs.run_folder import load_predictor, read_run

    run = read_run(folder)  # before TensorFlow is loaded, so that an error comes at once
    with silenced_stderr():
        predictor = load_predictor(folder)
    # The comparison is before any temperature: both sides are compared as the networks give them.
    plain = replace(run, temperature=replace(run.temperature, value=1.0))
    return FloatNetwork(
        predictor=CachedPredictor(replace(predictor, run=plain)),
        run_sha256=sha256_file(folder / RUN_FILE),
        weights_sha256=run.weights_sha256,
    )


def _summary(verification: Verification) -> str:
    from dermpack.verification.check_result import CheckOutcome

    counts = [(verification.count(outcome), outcome.value) for outcome in CheckOutcome]
    counted = ", ".join(f"{count} {name}" for count, name in counts if count)
    return f"{verification.name}: {'fails' if verification.failed else 'holds'} ({counted})"


def _failed_error(path: Path, verified: Sequence[Verification]) -> InputError:
    """Return the error that names the first failed checks."""
    from dermpack.bundle.apps.verify_app import is_app

    failed = [
        (f"{verification.name}: " if len(verified) > 1 else "", check)
        for verification in verified
        for check in verification.failed
    ]
    names = ", ".join(f"{where}{check.name}" for where, check in failed[:SHOWN_FAILURES])
    more = f" and {len(failed) - SHOWN_FAILURES} more" if len(failed) > SHOWN_FAILURES else ""
    what = f"verification failed: {names}{more} (first: {failed[0][1].detail})"
    way = "correct the build of the app" if is_app(path) else "export or download it again"
    hint = failed[0][1].hint or f"Do not ship it: {way}."
    return InputError(path, what, hint, code="verification-failed")
