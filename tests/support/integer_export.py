"""Run quantization-aware training on the small network, and print the hash of its file."""

from __future__ import annotations

import sys
from pathlib import Path

from dermpack.storage.files import sha256_of


def file_of(folder: Path) -> bytes:
    """Return the int8 file of an untrained network after a few steps of quantization-aware training."""
    from converter.qat.qat_training import train_aware
    from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze
    from tests.support.striped_dataset import feed, network
    from trainer.fitting.plan import FitPlan

    batches = feed(train=48, validation=16)
    plan = FitPlan(name="aware", epochs=1, rate=0.01, seed=3)
    aware = train_aware(network(), batches, plan, folder, calibration=batches.train.copies[0][:16])
    return convert(freeze(aware.model), Quantization.INT8, io=IoType.UINT8)


if __name__ == "__main__":
    print(sha256_of(file_of(Path(sys.argv[1]))))  # noqa: T201 - it is what the process is for
