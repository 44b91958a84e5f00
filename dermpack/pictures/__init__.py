"""Generated skin-like pictures, for demonstrations and tests; they mean nothing medically."""

from dermpack.pictures.folder import Rendered, render_demo
from dermpack.pictures.scene import render

__all__ = ["Rendered", "render", "render_demo"]
