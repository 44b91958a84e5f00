"""What reads each kind of input: the functions that the commands call, on one file in an empty folder."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.fuzz.corpus import CORPUS

if TYPE_CHECKING:
    from dermpack.imaging.picture_decoder import PictureDecoder

Reader: TypeAlias = Callable[[Path], None]
TARGET_BYTES = 8 << 20  # what one command of adb may print


@dataclass(frozen=True, slots=True, kw_only=True)
class InputClass:
    """Inputs of one kind: their readers by the pattern of the name, and the limits of one case."""

    readers: Mapping[str, Reader]
    peak_bytes: int = 768 << 20  # of the process that reads, which has imported all of the readers' libraries
    seconds: float = 20.0  # generous: a machine that tests is busy
    needs: str = ""  # a library without which the class is left out

    def reader_of(self, name: str) -> Reader:
        return next(reader for pattern, reader in self.readers.items() if fnmatchcase(name, pattern))


# Pictures


def read_picture(path: Path) -> None:
    """Prepare the picture as `predict` does, and remove its metadata as `data import` does."""
    from dermpack.errors import PictureError
    from dermpack.imaging.metadata_removal import strip_metadata
    from dermpack.imaging.preprocessing import Policy

    (prepared,) = _decoder().prepare_each([path], 32, policy=Policy.CENTRE_SQUARE)
    if isinstance(prepared, PictureError):
        raise prepared
    if path.suffix == ".heic":  # its metadata cannot be removed
        return
    stripped = strip_metadata(path.read_bytes())
    if stripped.had_metadata:
        (again,) = _decoder().prepare_each([stripped.data], 32, policy=Policy.CENTRE_SQUARE)
        assert not isinstance(again, PictureError), f"without its metadata it is rejected: {again}"
        assert (again == prepared).all(), "without its metadata it has other pixels"


@cache
def _decoder() -> PictureDecoder:
    from dermpack.imaging.picture_decoder import PictureDecoder

    return PictureDecoder()


# Models


def read_tflite(path: Path) -> None:
    """Describe, lint and compare the file as `inspect` does, without running it."""
    from dermpack.inference.model_files import read_model as read_model_file
    from dermpack.tflite.lint import find_mismatches, lint_model
    from dermpack.tflite.metadata_reading import read_associated_file
    from dermpack.tflite.reading import read_model

    data = read_model_file(path)
    model = read_model(data, where=path)
    lint_model(model, runtimes=("ai-edge-litert==2.3.0",))
    find_mismatches(_contract(), model, sha256="0" * 64)
    if model.metadata is not None:
        read_associated_file(data, "labels.txt")


@cache
def _contract() -> Any:
    from tests.support.contracts import contract_for

    return contract_for()


# Records


def read_contract(path: Path) -> None:
    from dermpack.contract import format_contract, read_contract

    format_contract(read_contract(path))


def read_sidecar(path: Path) -> None:
    from dermpack.inference.model_files import read_sidecar

    read_sidecar(path)


def read_labels(path: Path) -> None:
    from dermpack.inference.label_list import read_label_file

    read_label_file(path)


def read_dataset(path: Path) -> None:
    """Read the dataset whose other file is the one in the corpus."""
    from dermpack.dataset.manifest import DATASET_FILE, MANIFEST_FILE, read_dataset

    other = MANIFEST_FILE if path.name == DATASET_FILE else DATASET_FILE
    companion = "tables" if other == MANIFEST_FILE else "records"
    shutil.copyfile(CORPUS / companion / other, path.with_name(other))
    dataset = read_dataset(path.parent)
    assert dataset.counts() is not None


def read_run(path: Path) -> None:
    from trainer.runs.run_folder import fitting_recipe, read_run

    path.with_name("weights.npz").write_bytes(b"weights")
    fitting_recipe(read_run(path.parent))


def read_benchmark(path: Path) -> None:
    """Read a report, write it again, compare it with itself, and take times from it for a bundle."""
    from benchmarks.compare.compare import RegressionLimits, compare_reports
    from benchmarks.report.record_file import read_record, record_text
    from dermpack.bundle.reports import read_times
    from dermpack.bundle.variants import Variant

    record = read_record(path)
    again = path.with_name("again.json")
    again.write_text(record_text(record), encoding="utf-8")
    assert read_record(again) == record
    compare_reports(record, record, limits=RegressionLimits(max_slowdown=0.05, max_drop=0.5))
    contract = replace(_contract(), sha256=record.models[0].sha256)
    read_times([path], [Variant(where=path, model=b"", contract=contract, contract_bytes=b"")])


def read_evaluation(path: Path) -> None:
    import json

    from dermpack.bundle.reports import read_scores
    from dermpack.bundle.variants import Variant

    known = json.loads((CORPUS / "records" / "evaluation.json").read_bytes())["model"]["sha256"]
    contract = replace(_contract(), sha256=known)
    read_scores([path], [Variant(where=path, model=b"", contract=contract, contract_bytes=b"")])


def read_build(path: Path) -> None:
    from dermpack.cli.build.run_steps import read_state

    read_state(path)


# Tables and settings


def read_toml_file(path: Path) -> None:
    from dermpack.cli.build.steps import read_step_options
    from trainer.experiments.search.space import read_space
    from trainer.experiments.study_file import read_study
    from trainer.recipe.recipe import Recipe, read_recipe

    if path.name.startswith("space"):
        read_space(path, base=Recipe())
    else:
        readers: dict[str, Callable[[Path], Any]] = {
            "recipe": read_recipe,
            "study": read_study,
            "build": read_step_options,
        }
        readers[path.stem](path)


def read_source_table(path: Path) -> None:
    """Read a dataset with this table; the pictures that the valid table names exist."""
    from trainer.datasets.layouts.listing import SourceRequest
    from trainer.datasets.layouts.read_source import read_source

    source, pictures = path.parent / "source", path.parent / "pictures"
    shutil.copytree(made_source(path.name), source)
    pictures.mkdir()
    (table,) = source.rglob(path.name)
    shutil.copyfile(path, table)
    read_source(source, SourceRequest(), pictures=pictures)


def read_map(path: Path) -> None:
    from trainer.datasets.layouts.listing import SourceRequest
    from trainer.datasets.layouts.read_source import read_source

    pictures = path.parent / "pictures"
    pictures.mkdir()
    read_source(made_source("pictures.csv"), SourceRequest(map_file=path), pictures=pictures)


@cache
def made_source(table: str) -> Path:
    """Return a folder with the valid table of this name and its pictures; it lives as long as the process."""
    from tests.support import picture_sources as sources

    writers: dict[str, Callable[[Path], Path]] = {
        "pictures.csv": sources.write_csv,
        "HAM10000_metadata.csv": sources.write_ham10000,
        "hmnist_28_28_L.csv": partial(sources.write_hmnist, numbers=range(2), pixels=28 * 28),
        "scin_cases.csv": sources.write_scin,
        "scin_labels.csv": sources.write_scin,
        "metadata.csv": sources.write_pad_ufes,
    }
    folder = tempfile.mkdtemp(prefix="fuzz-source-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return writers[table](Path(folder) / "source")


# Archives and binary tables


def read_bundle(path: Path) -> None:
    from dermpack.bundle.read_bundle import is_bundle, read_bundle

    is_bundle(path)
    opened = read_bundle(path)
    opened.asset("labels.txt")


def read_app(path: Path) -> None:
    from dermpack.bundle.apps.verify_app import is_app, verify_app

    is_app(path)
    verify_app(path)


def read_hdf5(path: Path) -> None:
    from trainer.model.keras_file import read_layers

    read_layers(path)


def read_npz(path: Path) -> None:
    from trainer.data.array_file import read_arrays

    read_arrays(path)


def read_checkpoint(path: Path) -> None:
    from trainer.fitting.checkpoint import read_history

    read_history(path)


def read_cifar(path: Path) -> None:
    """Read a folder of one batch, or of one list of names with a batch beside it."""
    from trainer.datasets.layouts.listing import SourceRequest
    from trainer.datasets.layouts.read_source import read_source

    source, pictures = path.parent / "source", path.parent / "pictures"
    source.mkdir()
    pictures.mkdir()
    for name in ("batches.meta", "data_batch_1"):
        given = path if path.stem == name else CORPUS / "pickles" / f"{name}.pickle"
        shutil.copyfile(given, source / name)
    read_source(source, SourceRequest(), pictures=pictures)


# What the machine at the other end of ssh or adb sends


def read_reply(path: Path) -> None:
    """Let a worker answer every job with this text; what it can be used for becomes a report."""
    from benchmarks.protocol import jobs, replies
    from benchmarks.protocol.plan import Setting
    from benchmarks.report.build_record import build_record
    from benchmarks.report.record_file import read_record, record_text
    from dermpack.inference.interpreter_host import Kernels
    from tests.support.measured_examples import a_plan

    data = path.read_bytes()
    plan = replace(a_plan("float32"), seed=1)
    setting = Setting(runtime="ai-edge-litert", kernels=Kernels.XNNPACK, threads=1)
    models = [{"name": "float32", "file": "m", "table": "t", "pixels": "p", "policy": "centre-square-1"}]

    def answer(_: Mapping[str, Any]) -> Mapping[str, Any]:
        return replies.parse_answer(data)

    machine = jobs.describe_target(answer, where="ssh:pi", hint="")
    collected = jobs.run_jobs(plan, models, answer, settings=[setting], kinds=tuple(jobs.JobKind))
    collected.counted.clear()  # only an emulated processor has them
    measured = collected.measurement("ssh:pi", machine, notes=())
    report = path.with_name("report.json")
    report.write_text(record_text(build_record([measured], plan)), encoding="utf-8")
    read_record(report)


def read_tool_output(path: Path) -> None:
    from benchmarks.targets.adb.adb_target import read_error, read_profile, read_timing
    from dermpack.inference.interpreter_host import Kernels

    text = path.read_bytes()[:TARGET_BYTES].decode("utf-8", "replace")
    read_timing(text, kernels=Kernels.XNNPACK)
    read_profile(text)
    read_error(text)


def read_emulator_counts(path: Path) -> None:
    from contextlib import suppress

    from benchmarks.targets.emulated.emulator import InvalidCountsError, read_counts

    with suppress(InvalidCountsError):  # becomes the reason why a model has no counts
        read_counts(path)


INPUT_CLASSES: Mapping[str, InputClass] = {
    "pictures": InputClass(readers={"*": read_picture}, peak_bytes=2 << 30),
    "models": InputClass(readers={"*": read_tflite}, needs="ai_edge_litert"),
    "records": InputClass(
        readers={
            "model.json": read_contract,
            "sidecar.json": read_sidecar,
            "dataset.json": read_dataset,
            "training.json": read_run,
            "benchmark.json": read_benchmark,
            "evaluation.json": read_evaluation,
            "build.json": read_build,
        },
        needs="sklearn",
    ),
    "settings": InputClass(readers={"*": read_toml_file}, needs="tomllib"),
    "tables": InputClass(
        readers={
            "manifest.csv": read_dataset,
            "map.csv": read_map,
            "labels.txt": read_labels,
            "*": read_source_table,
        },
        needs="sklearn",
    ),
    "bundles": InputClass(readers={"*": read_bundle}, needs="ai_edge_litert"),
    "apps": InputClass(readers={"*": read_app}),
    "weights": InputClass(
        readers={"*.h5": read_hdf5, "checkpoint.npz": read_checkpoint, "*.npz": read_npz},
        peak_bytes=2 << 30,
        seconds=45.0,  # longer than what the reader gives libhdf5, which can loop forever
        needs="h5py",
    ),
    # Its reader may use 1 GiB: a few bytes can make Python allocate a table of any size.
    "pickles": InputClass(readers={"*": read_cifar}, needs="sklearn", peak_bytes=1 << 30),
    "replies": InputClass(
        readers={"*.json": read_reply, "tool*.txt": read_tool_output, "counts.txt": read_emulator_counts},
        needs="sklearn",
    ),
}
