"""Write where each answer comes from: a PNG per picture, from the model's own map or by occlusion."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.imaging.evidence_overlay import draw_overlay
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.inference.classifier import Classifier, load_classifier
from dermpack.inference.interpreter_host import InterpreterHost
from dermpack.inference.model_files import ModelSettings, OpenedModel
from dermpack.inference.occlusion import occlusion_map
from dermpack.inference.predict.answers import Answer, Answers
from dermpack.progress import Track, silent
from dermpack.storage.files import format_json, new_folder, write_bytes, write_text

MAPS_FILE = "maps.json"
SCHEMA = 1
MAX_STEM = 60
MapMaker = Callable[[Classifier, NDArray[np.uint8], int], NDArray[np.float64]]


def refuse_missing_evidence(model: OpenedModel) -> None:
    """Raise InputError if the model returns no evidence map."""
    if model.interface is None or model.interface.evidence is None:
        what = "the model does not return an evidence map"
        hint = "Convert the run with --evidence, or use --occlusion DIR, which works with any model."
        raise InputError(model.path, what, hint, code="no-evidence")


def own_map(classifier: Classifier, pixels: NDArray[np.uint8], label: int) -> NDArray[np.float64]:
    """Return the model's own map of a label, [height, width]."""
    evidence = classifier.run(pixels[None]).evidence
    assert evidence is not None  # checked before
    return evidence[0, :, :, label]


def map_by_occlusion(classifier: Classifier, pixels: NDArray[np.uint8], label: int) -> NDArray[np.float64]:
    """Return the map of a label that is made by covering parts of the picture."""
    return occlusion_map(classifier.classify, pixels, label)


MAKERS: Mapping[str, MapMaker] = {"evidence": own_map, "occlusion": map_by_occlusion}


def write_maps(
    folder: Path,
    kind: str,
    *,
    model: OpenedModel,
    answers: Answers,
    pictures: Sequence[Path],
    host: InterpreterHost,
    decoder: PictureDecoder,
    overwrite: bool,
    track: Track = silent,
) -> None:
    """Write an overlay for each answered picture, and maps.json with the picture and label of each file.

    The kind is a key of MAKERS.
    """
    settings = ModelSettings(labels=model.labels, policy=model.policy, interface=model.interface)
    classifier = load_classifier(host, model.data, where=model.path, sidecar=settings)
    pairs = list(zip(pictures, answers.outcomes, strict=False))  # folders that failed come last
    entries = []
    with new_folder(folder, marker=MAPS_FILE, overwrite=overwrite) as place:
        for number, (picture, outcome) in enumerate(track(pairs, total=len(pairs), what="Drawing maps"), 1):
            if not isinstance(outcome, Answer):
                continue
            target = Path(os.path.realpath(picture)) if picture.is_symlink() else picture
            (pixels,) = decoder.prepare_all([target], classifier.size, policy=model.policy)
            label = outcome.first.label
            name = f"{number:04}-{re.sub(r'[^A-Za-z0-9._-]', '_', picture.stem)[:MAX_STEM]}.png"
            shown = MAKERS[kind](classifier, pixels, model.labels.index(label))
            write_bytes(place / name, draw_overlay(pixels, shown))
            entries.append({"file": name, "picture": str(picture), "label": label})
        record = {"schema": SCHEMA, "kind": kind, "model_sha256": model.sha256, "maps": entries}
        write_text(place / MAPS_FILE, format_json(record))
