"""Prove again, from the files alone, what an export promises."""

from dermpack.verification.checks import Check, CheckOutcome, Verification
from dermpack.verification.exports import Export, find_exports
from dermpack.verification.network_agreement import CachedPredictor, FloatNetwork
from dermpack.verification.sample_pictures import SamplePictures, gather
from dermpack.verification.verify import VerificationTools, open_hosts, verify_export

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
    "gather",
    "open_hosts",
    "verify_export",
]
