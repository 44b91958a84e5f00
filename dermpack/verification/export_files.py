"""Write the three files of an export: the model, its contract, and what was checked by then."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from dermpack import contract as contracts
from dermpack.dataset.manifest import Split
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.foreign_model import ForeignModel
from dermpack.inference.model_files import ModelSettings
from dermpack.storage.files import format_json, sha256_of, write_bytes, write_text
from dermpack.verification.file_description import ORIGINAL
from dermpack.verification.interpreter_runs import open_sample_pictures
from dermpack.verification.runtime_trials import try_runtimes

MODEL_FILE, PROOF_FILE = "model.tflite", "verification.json"
SCHEMA = 1  # of verification.json
GENERATED_PICTURES = 8  # on which the runtimes are compared
VERSION_CHARACTERS, NAME_CHARACTERS = 12, 60
UNKNOWN = ".tflite of unknown origin, kept as it is"
INTENDED_USE = (
    "Research on pictures like those it was trained on. Research software, not a medical device: "
    "nothing it says is a diagnosis."
)


def write_export_files(
    folder: Path, data: bytes, contract: contracts.Contract, *, notes: Sequence[str] = ()
) -> None:
    """Write model.tflite, model.json and verification.json into an empty folder."""
    text, recipe = contracts.format_contract(contract), contract.recipe
    proof = {
        "schema": SCHEMA,
        "sha256": {MODEL_FILE: contract.sha256, contracts.CONTRACT_FILE: sha256_of(text.encode())},
        "promise": {
            "recipe": recipe.name,
            "method": recipe.method,
            "input": contract.picture.dtype.value,
            "output": contract.probabilities.dtype.value,
            "float_layers": list(recipe.float_layers),
            "kept": True,
        },
        "runtimes": [
            {
                "runtime": f"{result.runtime} {result.version}",
                "delegate": result.delegate,
                "works": result.works,
                "result": result.result,
            }
            for result in contract.runtimes.tried
        ],
        "notes": list(notes),
    }
    write_bytes(folder / MODEL_FILE, data)
    write_text(folder / contracts.CONTRACT_FILE, text)
    write_text(folder / PROOF_FILE, format_json(proof))


def describe_kept_file(
    model: ForeignModel, *, dataset_sha256: str | None = None, licence: str = ""
) -> contracts.Contract:
    """Run a file as it is on every runtime, and return a contract that states no accuracy."""
    interface, sha256 = model.interface(), sha256_of(model.data)
    with open_sample_pictures(pictures=GENERATED_PICTURES, dataset=None, split=Split.TEST) as samples:
        pixels = samples.pixels(model.size, Policy(interface.picture.policy))
    settings = ModelSettings(labels=model.labels, interface=interface)
    tried = try_runtimes(model.data, where=model.path, settings=settings, pixels=pixels, expected=None)
    name = model.path.stem[:NAME_CHARACTERS]
    return contracts.Contract(
        name=name if name.isprintable() else "model",
        version=sha256[:VERSION_CHARACTERS],
        source=UNKNOWN,
        labels=model.labels,
        inputs=interface.inputs,
        outputs=interface.outputs,
        thresholds=(),
        abstention=None,
        recipe=contracts.QuantizationRecord(
            name=ORIGINAL, method="none", versions={"dermpack": version("dermpack")}
        ),
        calibration=None,
        operators=tuple(
            contracts.RequiredOperator(name=operator.name, version=operator.version)
            for operator in model.file.operators
        ),
        runtimes=contracts.summarize_runtimes(tried),
        accuracy=(),
        size_bytes=len(model.data),
        sha256=sha256,
        parents=contracts.Parents(kind=contracts.SourceKind.TFLITE, file=sha256, dataset=dataset_sha256),
        license=model.licence or licence,
        intended_use=INTENDED_USE,
    )
