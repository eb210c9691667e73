"""ChunkyGAN: real image inversion via segments.

A picture is cut into chunks by soft masks, each chunk gets a latent code of its own, and the blend of what the codes
draw reconstructs the picture.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Editor": "chunkygan.editing.editor",
    "Projection": "chunkygan.projection",
    "invert": "chunkygan.inversion",
    "load_domain": "chunkygan.domain",
    "load_generator": "chunkygan.loading",
    "load_projection": "chunkygan.projection_file",
    "register": "chunkygan.registry",
}
"""The public names and their modules, imported at first use: `import chunkygan` costs next to nothing."""

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'chunkygan' has no attribute '{name}'")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


# In a checkout, `components/`, `recipes/` and `checkpoints/` lie beside this package and are importable as
# `chunkygan.components` and so on; an installed package has them inside.
_root = Path(__file__).resolve().parent.parent
if (_root / "setup.cfg").is_file() and (_root / "components").is_dir():
    __path__.append(str(_root))
