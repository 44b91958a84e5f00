"""Write the published MobileNetV2 0.35 as trainer/model/mobilenet_v2_0.35.npz: the same float32, by name.

python -m tests.tools.bundle_weights WEIGHTS.h5 OUTPUT.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

from trainer.recipe.network_spec import Arch, NetworkSpec


def bundle(weights: Path, output: Path) -> None:
    """Write the weights of the backbone, without its classes."""
    import tf_keras

    from trainer.model.backbones import build_backbone
    from trainer.model.weights import load_backbone, save_weights

    spec = NetworkSpec(arch=Arch.MOBILENET_V2, alpha=0.35, size=224, classes=2)
    pixels = tf_keras.Input((spec.size, spec.size, 3), name="pixels")
    backbone = tf_keras.Model(pixels, build_backbone(spec, pixels))
    load_backbone(backbone, weights)
    save_weights(backbone, output)


if __name__ == "__main__":
    bundle(Path(sys.argv[1]), Path(sys.argv[2]))
