"""The example pictures that ship: held-out faces with label maps as someone would paint them."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from chunkygan.images import write_image
from chunkygan.labels import SIDECAR, colour_labels, distinct_colours

from .procfaces import ProcFaces
from .procfaces_canvas import CLASSES

CHUNKS: dict[str, tuple[str, ...]] = {
    "background": ("background",),
    "skin": ("skin", "l_ear", "r_ear", "ear_r"),
    "eyes": ("l_eye", "r_eye", "l_brow", "r_brow", "eye_g"),
    "nose": ("nose",),
    "mouth": ("mouth", "u_lip", "l_lip"),
    "hair": ("hair", "hat"),
    "clothes": ("neck", "neck_l", "cloth"),
}
"""Chunk -> the classes that are merged into it."""

PAINTED_WIDER = {"eyes": 5, "mouth": 5, "nose": 3}
"""Chunk -> side, in pixels at 128, of the brush that widens it: nobody paints along the lashes."""

SHOWN = {"face": ("test", (112, 100, 104, 117)), "hard": ("hard", (56, 39, 30, 27))}
"""Beginning of the file names -> split, and which of its items ship: mask, hand, odd glasses, face paint."""


def painted_labels(labels: Tensor) -> Tensor:
    """(n, h, w) indices of `CHUNKS` from (n, h, w) indices of `CLASSES`; eyes, nose and mouth a little wider."""
    merged = torch.zeros_like(labels)
    for chunk, names in enumerate(CHUNKS.values()):
        merged[torch.isin(labels, torch.tensor([CLASSES.index(name) for name in names]))] = chunk
    skin = list(CHUNKS).index("skin")
    for name, brush in PAINTED_WIDER.items():
        chunk = list(CHUNKS).index(name)
        brush = max(1, brush * labels.shape[-1] // 128) | 1
        near = F.max_pool2d((merged == chunk).float()[:, None], brush, 1, brush // 2)[:, 0] > 0
        merged = torch.where(near & (merged == skin), chunk, merged)
    return merged


def write_examples(folder: Path, *, resolution: int = 128) -> list[Path]:
    """Writes ``face_01.png``, ``face_01_masks.png`` (indexed by `CHUNKS`) and so on, and ``hard_01.png`` ... likewise.

    Returns:
        The pictures' paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIDECAR).write_text(yaml.safe_dump(dict(enumerate(CHUNKS)), sort_keys=False), encoding="utf-8")
    colours, paths = distinct_colours(len(CHUNKS)), []
    for name, (split, items) in SHOWN.items():
        drawn = ProcFaces(resolution, count=max(items) + 1, split=split).rendering(items)
        for i, labels in enumerate(painted_labels(drawn.labels)):
            paths.append(write_image(folder / f"{name}_{i + 1:02d}.png", drawn.image[i : i + 1]))
            write_image(folder / f"{name}_{i + 1:02d}_masks.png", colour_labels(labels, colours))
    return paths
