"""Makes torchvision importable where its compiled part cannot load.

The registry's torchvision beside a CPU-only torch misses its compiled library, and importing it, even through
``pytorch_lightning``, ``lpips`` or ``torchmetrics``, raises ``operator torchvision::nms does not exist``. Nothing here
needs those operators, so declaring them is enough. Import this module before any of the three; importing it does the
work, so that a plain ``import chunkygan._torchvision`` at the top of a file will do.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_library: Any = None  # torch.library.Library; what it declares lives only as long as it does


def ensure_importable() -> None:
    """Declares torchvision's missing operators; does nothing where it works, is imported already, or is absent.

    The compiled part is tried first: declaring an operator before a library that brings it aborts the process.
    """
    global _library
    if _library is not None or "torchvision" in sys.modules:
        return
    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    import torch

    _load_compiled(Path(spec.submodule_search_locations[0]))
    missing = [name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            _library.define(_SCHEMAS[name])


def _load_compiled(package: Path) -> None:
    """Loads torchvision's operators into torch, where they fit the torch that is here."""
    import torch

    for pattern in ("_C*.so", "_C*.pyd"):
        for file in sorted(package.glob(pattern)):
            try:
                torch.ops.load_library(str(file))
            except OSError:
                pass


ensure_importable()
