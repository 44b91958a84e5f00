"""Verify an export: every proof again, from the files alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dermpack.contract import Contract, read_contract
from dermpack.errors import DermpackError, InputError, PictureError
from dermpack.imaging import Policy
from dermpack.inference import (
    MAX_SIDE,
    InterpreterHost,
    ModelSettings,
    Runtime,
    classifier_on,
    first_installed,
    installed,
    open_host,
)
from dermpack.progress import Track, silent
from dermpack.storage.files import read_bytes, sha256_of
from dermpack.tflite import ModelFile, read_model
from dermpack.verification.checks import Check, CheckOutcome, Verification
from dermpack.verification.exports import Export
from dermpack.verification.file_description import check_bytes, check_description
from dermpack.verification.interpreter_runs import InterpreterTask, run_everywhere
from dermpack.verification.network_agreement import FloatNetwork, check_network
from dermpack.verification.output_agreement import check_outputs, check_runs, reference
from dermpack.verification.quantization import check_recipe
from dermpack.verification.sample_pictures import SamplePictures
from dermpack.verification.scores import check_scores, score_split, splits_of
from dermpack.verification.thresholds import check_decisions

MAX_MODEL_BYTES = 512 << 20
Hosts = Mapping[Runtime, InterpreterHost]


@contextmanager
def open_hosts(*, patience_seconds: float | None = None) -> Iterator[Hosts]:
    """A process for each installed interpreter; all exports go through the same ones."""
    first_installed()  # an error that says how to get one
    with ExitStack() as stack:
        yield {
            engine: stack.enter_context(open_host(engine, patience_seconds=patience_seconds))
            for engine in installed()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationTools:
    """What exports are tried with: interpreters, pictures, and the trained network, where it is at hand."""

    hosts: Hosts
    material: SamplePictures
    network: FloatNetwork | None = None
    threads: int = 1
    track: Track = silent


def verify_export(export: Export, means: VerificationTools) -> Verification:
    """All proofs that can be tried; a broken file ends in a proof that fails, never in an exception."""
    data, model, contract = b"", None, None
    unread = []
    try:
        data = read_bytes(export.model, most=MAX_MODEL_BYTES, hint="Give a smaller model.")
        model = read_model(data, where=export.model)
    except InputError as error:
        unread.append(_failed("flatbuffer", error))
    try:
        contract = read_contract(export.contract)
    except InputError as error:
        unread.append(_failed("contract", error))
    proofs = [*unread, *_described(data, model, contract)]
    if contract is not None and model is not None:
        proofs += _tried(export, data, contract, means, is_described=not _failures(proofs))
    return Verification(name=export.name, sha256=sha256_of(data), proofs=tuple(proofs))


def _described(data: bytes, model: ModelFile | None, contract: Contract | None) -> Iterator[Check]:
    if contract is None:
        return
    yield check_bytes(data, contract)
    if model is not None:
        yield from check_description(model, contract)
        yield check_recipe(model, contract)


def _failures(proofs: Iterable[Check]) -> set[str]:
    return {proof.name for proof in proofs if proof.outcome is CheckOutcome.FAILS} & {"input", "output"}


def _tried(
    export: Export, data: bytes, contract: Contract, means: VerificationTools, *, is_described: bool
) -> Iterator[Check]:
    """Everything for which the file is run."""
    policy = {of.value: of for of in Policy}.get(contract.input.policy)
    if policy is None or not is_described or contract.input.width > MAX_SIDE:
        why = "the contract does not say what this file takes and gives"
        yield Check(name="runs", outcome=CheckOutcome.UNTRIED, detail=why)
        return
    sidecar = ModelSettings(labels=contract.labels, policy=policy)  # no temperature: outputs as they are
    task = InterpreterTask(
        model=data,
        where=export.model,
        sidecar=sidecar,
        pixels=means.material.pixels(contract.input.width, policy),
        threads=means.threads,
    )
    runs = run_everywhere(task, means.hosts)
    yield from check_runs(runs, contract)
    yield from check_outputs(runs, contract)
    if means.network is not None:
        yield from check_network(means.network, contract, means.material, reference(runs))
    if means.material.dataset is not None and reference(runs) is not None:
        yield from _scored(export, data, contract, means, sidecar)


def _scored(
    export: Export, data: bytes, contract: Contract, means: VerificationTools, sidecar: ModelSettings
) -> Iterator[Check]:
    """The kept interpreter as an app starts it; the labels are the contract's."""
    dataset, network = means.material.dataset, means.network
    assert dataset is not None
    host = next(iter(means.hosts.values()))
    try:
        classifier = classifier_on(host, data, where=export.model, sidecar=sidecar, threads=means.threads)
        for split in splits_of(contract, dataset, means.material.split):
            predictor = network.predictor if network and network.fits(contract) else None
            scored = score_split(classifier, predictor, dataset, split, track=means.track)
            yield from check_scores(scored, contract, dataset)
            yield from check_decisions(scored, contract, dataset)
    except PictureError:
        raise  # the dataset's fault
    except InputError as error:
        yield _failed("figures", error)


def _failed(name: str, error: DermpackError) -> Check:
    detail = f"{error.what}. {error.hint}"
    return Check(name=name, outcome=CheckOutcome.FAILS, detail=detail, code=error.code)
