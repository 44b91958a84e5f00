"""Run folders: preflight checks, training phases, report, resuming."""
