"""Prove again, from the files alone, what an export promises."""

from dermpack.verification.checks import Outcome, Proof, Verified
from dermpack.verification.exports import Export, find_exports
from dermpack.verification.network_agreement import Network, Remembered
from dermpack.verification.sample_pictures import Material, gather
from dermpack.verification.verify import Means, open_hosts, verify_export

__all__ = [
    "Export",
    "Material",
    "Means",
    "Network",
    "Outcome",
    "Proof",
    "Remembered",
    "Verified",
    "find_exports",
    "gather",
    "open_hosts",
    "verify_export",
]
