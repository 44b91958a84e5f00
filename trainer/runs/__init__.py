"""Run folders: preflight checks, training phases, report, resuming."""

RUN_FILE, WEIGHTS_FILE = "training.json", "weights.npz"  # in every run folder
