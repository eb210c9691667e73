"""ChunkyGAN: real image inversion via segments.

A picture is cut into chunks by soft masks, each chunk gets a latent code of its own, and the blend of what the codes
draw reconstructs the picture.
"""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"

# In a checkout, `components/`, `recipes/` and `checkpoints/` lie beside this package and are importable as
# `chunkygan.components` and so on; an installed package has them inside.
_root = Path(__file__).resolve().parent.parent
if (_root / "setup.cfg").is_file() and (_root / "components").is_dir():
    __path__.append(str(_root))
