"""Generated skin-like pictures, for demonstrations and tests; they mean nothing medically."""

from dermpack.synthetic.folder import Rendered, render_demo
from dermpack.synthetic.scene import render

__all__ = ["Rendered", "render", "render_demo"]
