"""Annotation folders as DatasetGAN and EditGAN publish them: label arrays, and the latents beside them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.errors import ImageError


def is_peers(folder: Path) -> bool:
    """Whether a folder has label arrays ``image_mask<i>.npy``."""
    return any(folder.glob("image_mask*.npy"))


def read_peers(folder: Path, size: tuple[int, int] | None) -> tuple[list[str], Tensor, Tensor]:
    """Names, codes (n, num_ws, w_dim) and labels (n, h, w) of a folder.

    Args:
        size: (height, width) to which labels are resized, by the nearest pixel; None: that of the first.

    Raises:
        ImageError: a label array or a latent that is missing, or is none.
    """
    files = sorted(folder.glob("image_mask*.npy"), key=_number)
    names: list[str] = []
    codes: list[Tensor] = []
    maps: list[Tensor] = []
    for file in files:
        latent = folder / f"latents_image_{_number(file)}.npy"
        if not latent.is_file():
            raise ImageError(f"{latent}: is missing; it holds the W+ code of the picture that {file.name} belongs to")
        code = _numbers(latent)
        if code.ndim < 2 or not np.isfinite(code).all():
            raise ImageError(f"{latent}: must hold a W+ code, (num_ws, w_dim), of finite numbers; got {code.shape}")
        codes.append(torch.from_numpy(code.reshape(-1, code.shape[-1])).float())
        values = _numbers(file)
        if values.ndim != 2 or not values.size or not np.array_equal(values, np.abs(np.rint(values))):
            raise ImageError(f"{file}: must hold labels, (h, w), whole numbers from 0; got {values.shape}")
        labels = torch.from_numpy(values.astype(np.int64))
        wanted = size or tuple(maps[0].shape if maps else labels.shape)
        maps.append(F.interpolate(labels[None, None].double(), size=wanted, mode="nearest")[0, 0].long())
        names.append(file.stem)
    if len({tuple(code.shape) for code in codes}) > 1:
        raise ImageError(f"{folder}: latents must be of one shape; got {sorted({tuple(c.shape) for c in codes})}")
    return names, torch.stack(codes), torch.stack(maps)


def _number(file: Path) -> int:
    return int(re.findall(r"\d+", file.stem)[-1]) if re.search(r"\d", file.stem) else -1


def _numbers(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except Exception as problem:
        raise ImageError(f"{path}: is no numpy array of plain numbers, or is cut short ({problem})") from problem
