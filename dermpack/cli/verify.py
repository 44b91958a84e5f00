"""dermpack verify."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermpack.cli.console import FailedWithResultError, note, output_options, result, table, track

if TYPE_CHECKING:
    from dermpack.bundle.read_bundle import OpenedBundle
    from dermpack.verification import FloatNetwork, Verification, VerificationTools

SPLITS = ("train", "validation", "test")
SCHEMA = 1  # of the JSON
SHOWN_FAILURES = 3


@click.command("verify", short_help="Prove again, from the files alone, what an export promises.")
@click.argument("path", type=click.Path(path_type=Path), metavar="EXPORT|MODEL.tflite|BUNDLE")
@click.argument("dataset", type=click.Path(path_type=Path), required=False)
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path),
    help="The run that it was made of: what its network says stands beside.",
)
@click.option("--key", type=click.Path(path_type=Path), help="Of a bundle: who must have signed it (PEM).")
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True)
@click.option(
    "--pictures",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="So many generated ones on each interpreter, and so many of DATASET.",
)
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True)
@output_options
def command(
    path: Path,
    dataset: Path | None,
    run_folder: Path | None,
    key: Path | None,
    split: str,
    pictures: int,
    threads: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Try every proof again: an export folder, a folder of them, a .tflite beside its model.json, a bundle.

    Hash and size, contract against file, each installed interpreter in a process of its own with and
    without XNNPACK, outputs against each other; with DATASET its scores, on the split and on those that
    the contract has figures of; with --run the trained network's outputs and scores beside them.
    A bundle, packed or unpacked, is refused where a byte is not as it says; its golden vectors are run.
    Exit code 1 when a proof fails.

    \b
    Examples:
      dermpack verify export
      dermpack verify export dataset --run run
      dermpack verify skin.zip --key public.pem
    """
    from dermpack.dataset.manifest import Split, read_dataset
    from dermpack.verification import VerificationTools, find_exports, gather, open_hosts, verify_export

    bundle = _bundle(path, key)
    exports = () if bundle else find_exports(path)
    data, part, show = (read_dataset(dataset) if dataset else None), Split(split), track(quiet=quiet)
    network = _network(run_folder) if run_folder else None
    with gather(pictures=pictures, dataset=data, split=part) as material, open_hosts() as hosts:
        means = VerificationTools(
            hosts=hosts, material=material, network=network, threads=threads, track=show
        )
        is_quick = data is None  # else each split has a bar of its own
        shown = show(exports, total=len(exports), what="Verifying") if is_quick and exports else exports
        verified = [verify_export(export, means) for export in shown] or _verified(bundle, means)
    _tell(verified, quiet=quiet)
    dataset_sha256 = data.sha256 if data else None
    record = {
        "schema": SCHEMA,
        "dataset": dataset_sha256,
        "split": split if data else None,
        "exports": [of.record() for of in verified],
        "holds": not any(of.failed for of in verified),
    }
    result(record, "\n".join(_sentence(of) for of in verified), as_json=as_json)
    _refuse(path, verified)


def _bundle(path: Path, key: Path | None) -> OpenedBundle | None:
    """The bundle that the path is, every byte checked; None where it is something else."""
    from dermpack.bundle.read_bundle import is_bundle, read_bundle
    from dermpack.errors import InputError

    if is_bundle(path):
        return read_bundle(path, key=key)
    if key is not None:
        what = "not a bundle, and only bundles have signatures"
        raise InputError(path, what, "Omit --key.", code="option-not-applicable")
    return None


def _verified(bundle: OpenedBundle | None, means: VerificationTools) -> list[Verification]:
    from dermpack.bundle.verify_bundle import verify_bundle

    return list(verify_bundle(bundle, means)) if bundle else []


def _network(folder: Path) -> FloatNetwork:
    """The run's network as its file is compared with it: without the temperature of either."""
    from dataclasses import replace

    from dermpack.cli.stderr_capture import hushed
    from dermpack.storage.files import sha256_file
    from dermpack.verification import CachedPredictor, FloatNetwork
    from trainer.recipe.recipe import RUN_FILE
    from trainer.runs.run_folder import load_predictor, read_run

    run = read_run(folder)  # without TensorFlow: what is wrong with the folder is said at once
    with hushed():
        predictor = load_predictor(folder)
    plain = replace(run, temperature=replace(run.temperature, value=1.0))
    return FloatNetwork(
        predictor=CachedPredictor(replace(predictor, run=plain)),
        run_sha256=sha256_file(folder / RUN_FILE),
        weights_sha256=run.weights_sha256,
    )


def _tell(verified: Sequence[Verification], *, quiet: bool) -> None:
    for of in verified:
        rows = [(proof.name, proof.outcome.value, proof.detail) for proof in of.proofs]
        table(of.name, ("proof", "result", "detail"), rows, quiet=quiet, words=("result", "detail"))
    if any(proof.outcome.value == "noted" for of in verified for proof in of.proofs):
        note("noted: not what one would expect, and no fault of the file; the detail says why", quiet=quiet)


def _sentence(of: Verification) -> str:
    from dermpack.verification import CheckOutcome

    counted = ", ".join(
        f"{of.count(outcome)} {outcome.value}" for outcome in CheckOutcome if of.count(outcome)
    )
    return f"{of.name}: {'fails' if of.failed else 'holds'} ({counted})"


def _refuse(path: Path, verified: Sequence[Verification]) -> None:
    """The one line of an error, after the tables: which proofs failed."""
    from dermpack.errors import InputError

    several = len(verified) > 1
    failed = [(f"{of.name}: " if several else "", proof) for of in verified for proof in of.failed]
    if failed:
        names = [f"{where}{proof.name}" for where, proof in failed[:SHOWN_FAILURES]]
        more = f" and {len(failed) - SHOWN_FAILURES} more" if len(failed) > SHOWN_FAILURES else ""
        what = f"verification failed: {', '.join(names)}{more} (first: {failed[0][1].detail})"
        hint = "Do not ship it; export or download it again."
        raise FailedWithResultError(InputError(path, what, hint, code="verification-failed"))
