"""Annotation folders as DatasetGAN and EditGAN publish them: label arrays, and the latents beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.errors import ImageError
from chunkygan.interfaces import Generator


def is_peers(folder: Path) -> bool:
    """Whether a folder has label arrays ``image_mask<i>.npy``."""
    return any(folder.glob("image_mask*.npy"))


def read_peers(folder: Path, size: tuple[int, int] | None) -> tuple[list[str], Tensor, Tensor]:
    """Names, codes and labels (n, h, w) of a folder.

    Codes are (n, num_ws, w_dim) where every label array has a ``latents_image_<i>.npy`` beside it (EditGAN), and what
    ``latent_stylegan<k>.npy`` has in the row of each array's number where that is there (DatasetGAN): (n, z_dim), still
    to be mapped by `mapped_latents`, or codes of W+.

    Args:
        size: (height, width) to which labels are resized, by the nearest pixel; None: that of the first.

    Raises:
        ImageError: a label array or a latent that is missing, or is none.
    """
    files = sorted(folder.glob("image_mask*.npy"), key=_number)
    joint = sorted(folder.glob("latent_stylegan*.npy"))
    codes = _rows(joint[0], files) if joint else [_code(folder, file) for file in files]
    maps: list[Tensor] = []
    for file in files:
        values = _numbers(file)
        if values.ndim != 2 or not values.size or not np.array_equal(values, np.abs(np.rint(values))):
            raise ImageError(f"{file}: must hold labels, (h, w), whole numbers from 0; got {values.shape}")
        labels = torch.from_numpy(values.astype(np.int64))
        wanted = size or tuple(maps[0].shape if maps else labels.shape)
        maps.append(F.interpolate(labels[None, None].double(), size=wanted, mode="nearest")[0, 0].long())
    if len({tuple(code.shape) for code in codes}) > 1:
        raise ImageError(f"{folder}: latents must be of one shape; got {sorted({tuple(c.shape) for c in codes})}")
    return [file.stem for file in files], torch.stack(codes), torch.stack(maps)


@torch.no_grad()
def mapped_latents(generator: Generator, z: Tensor, *, truncation: float = 0.7, rows: int = 8) -> Tensor:
    """(n, num_ws, w_dim) of DatasetGAN's latents (n, z_dim), whose first rows are pulled towards the mean.

    Source: DatasetGAN's published settings; its 256-pixel generators use 7 rows.
    """
    ws = generator.mapping(z.to(generator.w_avg)).clone()
    ws[:, :rows] = generator.w_avg + truncation * (ws[:, :rows] - generator.w_avg)
    return ws


def _code(folder: Path, file: Path) -> Tensor:
    """The W+ code that lies beside a label array."""
    latent = folder / f"latents_image_{_number(file)}.npy"
    if not latent.is_file():
        raise ImageError(
            f"{latent}: is missing; it holds the W+ code of the picture that {file.name} belongs to. Or put "
            "latent_stylegan1.npy (or 2), one latent a picture, into the folder"
        )
    code = _numbers(latent)
    if code.ndim < 2 or not np.isfinite(code).all():
        raise ImageError(f"{latent}: must hold a W+ code, (num_ws, w_dim), of finite numbers; got {code.shape}")
    return torch.from_numpy(code.reshape(-1, code.shape[-1])).float()


def _rows(path: Path, files: Sequence[Path]) -> list[Tensor]:
    """The latents of label arrays in a file that has those of all pictures."""
    latents = _numbers(path)
    most = max(_number(file) for file in files)
    if latents.ndim not in (2, 3) or most >= len(latents) or not np.isfinite(latents).all():
        raise ImageError(f"{path}: must hold {most + 1} latents or more, finite numbers; got {latents.shape}")
    return [torch.from_numpy(latents[_number(file)]).float() for file in files]


def _number(file: Path) -> int:
    return int(re.findall(r"\d+", file.stem)[-1]) if re.search(r"\d", file.stem) else -1


def _numbers(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except Exception as problem:
        raise ImageError(f"{path}: is no numpy array of plain numbers, or is cut short ({problem})") from problem
