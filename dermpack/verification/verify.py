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
    Engine,
    Host,
    Sidecar,
    classifier_on,
    first_installed,
    installed,
    open_host,
)
from dermpack.progress import Track, silent
from dermpack.storage.files import read_bytes, sha256_of
from dermpack.tflite import ModelFile, read_model
from dermpack.verification.checks import Outcome, Proof, Verified
from dermpack.verification.exports import Export
from dermpack.verification.file_description import check_bytes, check_description
from dermpack.verification.interpreter_runs import Task, run_everywhere
from dermpack.verification.network_agreement import Network, check_network
from dermpack.verification.output_agreement import check_outputs, check_runs, reference
from dermpack.verification.quantization import check_recipe
from dermpack.verification.sample_pictures import Material
from dermpack.verification.scores import check_scores, score_split, splits_of
from dermpack.verification.thresholds import check_decisions

MAX_MODEL_BYTES = 512 << 20
Hosts = Mapping[Engine, Host]


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
class Means:
    """What exports are tried with: interpreters, pictures, and the trained network, where it is at hand."""

    hosts: Hosts
    material: Material
    network: Network | None = None
    threads: int = 1
    track: Track = silent


def verify_export(export: Export, means: Means) -> Verified:
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
    return Verified(name=export.name, sha256=sha256_of(data), proofs=tuple(proofs))


def _described(data: bytes, model: ModelFile | None, contract: Contract | None) -> Iterator[Proof]:
    if contract is None:
        return
    yield check_bytes(data, contract)
    if model is not None:
        yield from check_description(model, contract)
        yield check_recipe(model, contract)


def _failures(proofs: Iterable[Proof]) -> set[str]:
    return {proof.name for proof in proofs if proof.outcome is Outcome.FAILS} & {"input", "output"}


def _tried(
    export: Export, data: bytes, contract: Contract, means: Means, *, is_described: bool
) -> Iterator[Proof]:
    """Everything for which the file is run."""
    policy = {of.value: of for of in Policy}.get(contract.input.policy)
    if policy is None or not is_described or contract.input.width > MAX_SIDE:
        why = "the contract does not say what this file takes and gives"
        yield Proof(name="runs", outcome=Outcome.UNTRIED, detail=why)
        return
    sidecar = Sidecar(labels=contract.labels, policy=policy)  # no temperature: outputs as they are
    task = Task(
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
    export: Export, data: bytes, contract: Contract, means: Means, sidecar: Sidecar
) -> Iterator[Proof]:
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


def _failed(name: str, error: DermpackError) -> Proof:
    detail = f"{error.what}. {error.hint}"
    return Proof(name=name, outcome=Outcome.FAILS, detail=detail, code=error.code)
