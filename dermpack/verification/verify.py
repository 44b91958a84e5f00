"""Find exports and verify them: run every check again, from the files alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dermpack.contract import CONTRACT_FILE, MAX_MODEL_BYTES, Contract, read_contract
from dermpack.dataset.manifest import Dataset, Split
from dermpack.dataset.views import match_labels
from dermpack.errors import DermpackError, InputError, PictureError
from dermpack.imaging.preprocessing import Policy
from dermpack.inference import interpreter_host
from dermpack.inference.classifier import MAX_SIDE, load_classifier
from dermpack.inference.model_files import ModelSettings, find_sidecar, read_sidecar
from dermpack.inference.model_formats import check_format
from dermpack.progress import Track, silent
from dermpack.storage.files import read_bytes, read_error, sha256_of
from dermpack.storage.regular_files import open_regular
from dermpack.tflite.model_file import ModelFile
from dermpack.tflite.reading import read_model
from dermpack.verification.check_result import Check, CheckOutcome, Verification
from dermpack.verification.evidence import check_evidence, check_plain_labels
from dermpack.verification.familiarity import check_acceptance, check_distances
from dermpack.verification.file_description import check_bytes, check_description, check_recipe
from dermpack.verification.interpreter_runs import SamplePictures, open_sample_pictures, run_everywhere
from dermpack.verification.output_agreement import (
    FloatNetwork,
    check_network,
    check_outputs,
    check_runs,
    is_stated_to_work,
    order_runs,
)
from dermpack.verification.scores import check_decisions, check_scores, list_splits, score_split

MODEL_FILE = "model.tflite"
IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every .tflite, whatever its name
HINT = f"Give an export folder, or a .tflite file with its {CONTRACT_FILE} in the same folder."
Hosts = Mapping[interpreter_host.Runtime, interpreter_host.InterpreterHost]


# --- Exports ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The files of an export; either may be missing or broken."""

    name: str
    model: Path
    contract: Path


def find_exports(path: Path) -> tuple[Export, ...]:
    """Return the export that is a .tflite file or a folder, or the exports in a folder, sorted by name."""
    try:
        if not path.exists():
            raise InputError(path, "no such file or directory", HINT, code="model-not-found")
        if not path.is_dir():
            return (_export_of_file(path),)
        folders = [path] if _is_export(path) else sorted(filter(_is_export, path.iterdir()))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", HINT, code="cannot-read") from error
    if not folders:
        what = f"{MODEL_FILE} not found in this folder or its subfolders"
        raise InputError(path, what, HINT, code="model-not-found")
    return tuple(
        Export(name=folder.resolve().name, model=folder / MODEL_FILE, contract=folder / CONTRACT_FILE)
        for folder in folders
    )


def _is_export(folder: Path) -> bool:
    return (folder / MODEL_FILE).is_file() or (folder / CONTRACT_FILE).is_file()


def _export_of_file(path: Path) -> Export:
    if path.suffix.lower() != ".tflite":
        try:
            with open_regular(path) as file:
                beginning = file.read(8)
        except OSError as error:
            raise read_error(path, error) from error
        if beginning[4:] != IDENTIFIER:
            check_format(path)
            raise InputError(path, "neither a .tflite file nor a bundle", HINT, code="invalid-model")
    contract = find_sidecar(path)
    if contract is None:
        what = f"{CONTRACT_FILE} not found in the same folder"
        raise InputError(path, what, HINT, code="contract-not-found")
    return Export(name=path.stem, model=path, contract=contract)


# --- Verification ---


@contextmanager
def open_hosts(*, patience_seconds: float | None = None) -> Iterator[Hosts]:
    """Yield a child process for each installed interpreter; all exports use the same ones."""
    interpreter_host.first_installed_runtime()  # raises an error with the command that installs one
    with ExitStack() as stack:
        yield {
            engine: stack.enter_context(interpreter_host.open_host(engine, patience_seconds=patience_seconds))
            for engine in interpreter_host.installed_runtimes()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationTools:
    """The interpreters and pictures to verify with, and the trained network if it is available."""

    hosts: Hosts
    samples: SamplePictures
    network: FloatNetwork | None = None
    plain: Export | None = None  # of the same run, to compare the labels with
    threads: int = 1
    track: Track = silent


@contextmanager
def open_tools(
    *,
    pictures: int,
    dataset: Dataset | None = None,
    split: Split = Split.VALIDATION,
    network: FloatNetwork | None = None,
    plain: Export | None = None,
    threads: int = 1,
    track: Track = silent,
) -> Iterator[VerificationTools]:
    """Yield the tools with generated pictures, and with pictures of the split if there is a dataset."""
    with (
        open_sample_pictures(pictures=pictures, dataset=dataset, split=split) as samples,
        open_hosts() as hosts,
    ):
        yield VerificationTools(
            hosts=hosts, samples=samples, network=network, plain=plain, threads=threads, track=track
        )


def verify_export(export: Export, tools: VerificationTools) -> Verification:
    """Run all checks that can be run; a broken file ends in a failed check, never in an exception."""
    data, model, contract = b"", None, None
    checks = []
    try:
        data = read_bytes(export.model, most=MAX_MODEL_BYTES, hint="Give a smaller model.")
        model = read_model(data, where=export.model)
    except InputError as error:
        checks.append(_failed("flatbuffer", error))
    try:
        contract = read_contract(export.contract)
    except InputError as error:
        checks.append(_failed("contract", error))
    if contract is not None:
        checks.append(check_bytes(data, contract))
    if contract is not None and model is not None:
        checks += [*check_description(model, contract), check_recipe(model, contract)]
        # A file with another input or output than the contract states cannot be fed.
        failed = {check.name for check in checks if check.outcome is CheckOutcome.FAILS}
        policy = {policy.value: policy for policy in Policy}.get(contract.picture.policy)
        is_described = not any(name.startswith(("input", "output")) for name in failed)
        if policy is None or not is_described or contract.picture.width > MAX_SIDE:
            why = "the contract does not describe the input and output of this file"
            checks.append(Check(name="runs", outcome=CheckOutcome.UNTRIED, detail=why))
        else:
            checks += _run_checks(export, data, model, contract, policy, tools)
    return Verification(name=export.name, sha256=sha256_of(data), checks=tuple(checks))


def _run_checks(
    export: Export,
    data: bytes,
    model: ModelFile,
    contract: Contract,
    policy: Policy,
    tools: VerificationTools,
) -> Iterator[Check]:
    """Yield the checks that run the file."""
    settings = ModelSettings(
        labels=contract.labels, policy=policy, interface=contract
    )  # no temperature: raw outputs
    # 1. Outputs on the sample pictures: between interpreters, and with the float network.
    pixels = tools.samples.pixels(contract.picture.width, policy)
    runs = run_everywhere(
        tools.hosts, data, where=export.model, sidecar=settings, pixels=pixels, threads=tools.threads
    )
    yield from check_runs(runs, contract)
    yield from check_outputs(runs, contract)
    # The other outputs are checked where the file works. If it works nowhere, they are checked everywhere.
    ordered = order_runs(runs, contract)
    working = [run for run in ordered if is_stated_to_work(run, contract.runtimes) is not False] or ordered
    yield from check_distances(working, contract)
    yield from check_evidence(working, contract, model.logits)
    reference = ordered[0] if ordered else None
    if tools.network is not None:
        yield from check_network(tools.network, contract, tools.samples, reference)
    if tools.samples.dataset is None or reference is None:
        return
    dataset = match_labels(tools.samples.dataset, contract.parents.dataset or "")
    # 2. Scores and decisions on the dataset, computed as in an app: by the first interpreter, with its
    # default kernels.
    try:
        host = next(iter(tools.hosts.values()))
        classifier = load_classifier(host, data, where=export.model, sidecar=settings, threads=tools.threads)
        network = tools.network.predictor if tools.network and tools.network.fits(contract) else None
        for split in list_splits(contract, dataset, tools.samples.split):
            scored = score_split(classifier, network, dataset, split, track=tools.track)
            yield from check_scores(scored, contract, dataset)
            yield from check_decisions(scored, contract, dataset)
        yield from check_acceptance(classifier, contract, dataset, track=tools.track)
        if tools.plain is not None:
            yield _compare_with_plain(export, tools.plain, host, dataset, tools)
    except PictureError:
        raise  # an error of the dataset, not of the export
    except InputError as error:
        yield _failed("figures", error)


def _compare_with_plain(
    export: Export,
    plain: Export,
    host: interpreter_host.InterpreterHost,
    dataset: Dataset,
    tools: VerificationTools,
) -> Check:
    """Compare the labels of two exports on the validation pictures, one export after the other."""
    files = [dataset.file(picture) for picture in dataset.manifest.of(Split.VALIDATION)]
    probabilities = []
    for one in (export, plain):
        data = read_bytes(one.model, most=MAX_MODEL_BYTES, hint="Give a smaller model.")
        settings = read_sidecar(one.contract, of=one.model)
        classifier = load_classifier(host, data, where=one.model, sidecar=settings, threads=tools.threads)
        probabilities.append(classifier(files, track=tools.track))
    return check_plain_labels(*probabilities)


def _failed(name: str, error: DermpackError) -> Check:
    detail = f"{error.what}. {error.hint}"
    return Check(name=name, outcome=CheckOutcome.FAILS, detail=detail, code=error.code)
