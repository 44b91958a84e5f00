"""Run the program once per list of arguments, with the CPU divided into two devices."""

from __future__ import annotations

import json
import sys


def main() -> int:
    import tensorflow as tf

    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    from dermpack.cli import main as program

    return max(program(arguments) for arguments in json.loads(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
