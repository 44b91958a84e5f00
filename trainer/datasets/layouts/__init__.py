"""The layouts of pictures as people download them, one small file each."""

from trainer.datasets.layouts.read_source import read_source
from trainer.datasets.layouts.source_request import Format, SourceRequest

__all__ = ["Format", "SourceRequest", "read_source"]
