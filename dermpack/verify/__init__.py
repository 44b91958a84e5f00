"""Prove again, from the files alone, what an export promises."""

from dermpack.verify.export import Export, find_exports
from dermpack.verify.material import Material, gather
from dermpack.verify.network import Network, Remembered
from dermpack.verify.proof import Outcome, Proof, Verified
from dermpack.verify.verify import Means, open_hosts, verify_export

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
