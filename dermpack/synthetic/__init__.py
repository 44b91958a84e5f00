"""Generated skin-like pictures for demonstrations and tests; they have no medical meaning."""

from dermpack.synthetic.demo_folder import Rendered, render_demo
from dermpack.synthetic.scenes import render

__all__ = ["Rendered", "render", "render_demo"]
