"""The layouts of pictures as people download them, one small file each."""

from trainer.datasets.layouts.read_source import read_source
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest

__all__ = ["SourceFormat", "SourceRequest", "read_source"]
