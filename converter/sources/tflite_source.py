"""Open a float .tflite of unknown origin as the source of a conversion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converter.pixel_scale import PixelScale
from converter.sources.source import Source, SourcePicture, read_split
from dermpack.contract import InputEvidence, Parents, SourceKind
from dermpack.dataset.manifest import Dataset, Split
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.classifier import load_classifier
from dermpack.inference.foreign_model import ForeignModel
from dermpack.inference.interpreter_host import first_installed_runtime, open_host
from dermpack.inference.model_files import ModelSettings
from dermpack.metrics.predictions import Predictions
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_of
from trainer.api import Examples

VERSION_CHARACTERS = 12
DESCRIPTION = "float .tflite of unknown origin"


def open_tflite(
    model: ForeignModel,
    dataset: Dataset,
    *,
    input_evidence: InputEvidence | None = None,
    threads: int = 2,
    track: Track = silent,
) -> Source:
    """Read the validation pictures and predict them with the float file, in a child process."""
    interface = model.interface()
    picture = interface.picture
    policy = Policy(picture.policy)
    prepared = SourcePicture(
        size=model.size,
        policy=policy,
        pixels=PixelScale(mean=picture.mean, std=picture.std, color=picture.color, layout=picture.layout),
    )
    validation = read_split(
        dataset,
        Split.VALIDATION,
        labels=model.labels,
        picture=prepared,
        where=model.path,
        threads=threads,
        track=track,
    )
    rows = np.asarray(validation.copies[0])
    sha256 = sha256_of(model.data)
    return Source(
        description=DESCRIPTION,
        where=model.path,
        name=model.path.stem,
        version=sha256[:VERSION_CHARACTERS],
        labels=model.labels,
        picture=prepared,
        file=model.data,
        dataset=dataset,
        validation=validation,
        float_predictions=predict_rows(model, validation, rows, threads=threads, track=track),
        parents=Parents(kind=SourceKind.TFLITE, file=sha256, dataset=dataset.sha256),
        licence=model.licence or dataset.licence,
        activation=model.activation,
        applied=model.applied,
        input_evidence=input_evidence,
    )


def predict_rows(
    model: ForeignModel,
    examples: Examples,
    rows: NDArray[np.uint8],
    *,
    threads: int,
    track: Track = silent,
) -> Predictions:
    """Run the file on prepared pictures, uint8 [n, size, size, 3], in a child process."""
    settings = ModelSettings(labels=model.labels, interface=model.interface())
    with open_host(first_installed_runtime()) as host:
        classifier = load_classifier(host, model.data, where=model.path, sidecar=settings, threads=threads)
        outputs = classifier.run_all(rows, track=track)
    return examples.predictions(outputs.probabilities)
