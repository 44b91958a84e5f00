"""Check again, from the files alone, everything that an export or its contract states."""

from dermpack.verification.check_result import Check, CheckOutcome, Verification
from dermpack.verification.interpreter_runs import SamplePictures, open_sample_pictures
from dermpack.verification.output_agreement import CachedPredictor, FloatNetwork
from dermpack.verification.verify import (
    Export,
    VerificationTools,
    find_exports,
    open_hosts,
    verify_export,
)

__all__ = [
    "CachedPredictor",
    "Check",
    "CheckOutcome",
    "Export",
    "FloatNetwork",
    "SamplePictures",
    "Verification",
    "VerificationTools",
    "find_exports",
    "open_hosts",
    "open_sample_pictures",
    "verify_export",
]
