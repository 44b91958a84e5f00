"""Classify arrays by MediaPipe Tasks: MODEL.tflite PIXELS.npy → JSON on stdout.

The output is, for each picture, the scores by label, the best first. The script imports nothing of
dermpack, because it runs in the environment of mediapipe.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

import numpy as np


def main() -> None:
    model, pixels = sys.argv[1:]
    mediapipe: Any = import_module("mediapipe")
    tasks: Any = import_module("mediapipe.tasks.python")
    options = tasks.vision.ImageClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=model))
    with tasks.vision.ImageClassifier.create_from_options(options) as classifier:
        scores = [_scores(classifier, mediapipe, picture) for picture in np.load(pixels, allow_pickle=False)]
    json.dump(scores, sys.stdout)


def _scores(classifier: Any, mediapipe: Any, picture: Any) -> dict[str, float]:
    """Return the scores by label, the best first."""
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
    categories = classifier.classify(image).classifications[0].categories
    return {category.category_name: category.score for category in categories}


if __name__ == "__main__":
    main()
