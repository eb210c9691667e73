"""Picture files, PIL images and tensors: outside 8 or 16 bit in many forms, inside float (n, 3, h, w) in [-1, 1].

What a file may be, and what it becomes:

* grey, palette, CMYK, YCbCr and so on: RGB. Colour profiles are not applied: the numbers in the file are taken as sRGB.
* 16 bits a channel: grey keeps them (65535 is white); of colour, Pillow keeps the upper 8.
* transparency: laid over white.
* a rotation in the EXIF data: applied.
* several frames or pages: the first one, with a warning.
"""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from chunkygan.errors import ImageError, ShapeError
from chunkygan.files import atomic_write
from chunkygan.shapes import check_shape

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded unless the caller says otherwise: 1.2 GB as a float tensor."""

MIN_SIDE = 4
"""Smallest side of a picture in pixels: below it, nothing can be told about what it shows."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".avif", ".jp2")
"""What `list_images` takes for a picture in a folder."""

# By content. An allow-list, since Pillow also opens formats that start other programs (EPS).
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")
_WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".webp": ("WEBP", {"quality": 95}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
}
_open_lock = threading.Lock()


def read_image(
    path: str | os.PathLike[str], *, size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS
) -> Tensor:
    """A picture file as a tensor.

    Args:
        path: the file; its kind is told by its content.
        size: (height, width) to fit it to, see `fit_to`; None: as it is.
        max_pixels: a file with more is refused before it is decoded.

    Returns:
        (1, 3, h, w) in [-1, 1].

    Raises:
        ImageError: the file is missing, a folder, empty, no picture, damaged, cut short, too large or too small.
    """
    image = from_pil(open_image(path, max_pixels=max_pixels), name=str(path))
    return image if size is None else fit_to(image, size)


def open_image(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A picture file, decoded and turned upright, in whatever mode it is stored; the first of several frames.

    Raises:
        ImageError: as `read_image`, except that any size from 1 x 1 on will do.
    """
    path = Path(path)
    _check_file(path)
    image = _open_header(path)
    with image:
        w, h = image.size
        if w * h > max_pixels:
            raise ImageError(
                f"{path}: has {w} x {h} = {w * h:,} pixels, above the limit of {max_pixels:,}; "
                "make it smaller, or raise the limit (max_pixels)"
            )
        try:
            if getattr(image, "is_animated", False) and image.format != "MPO":  # MPO: a photo with its depth map
                warnings.warn(f"{path}: has several frames or pages; the first one is used", stacklevel=2)
            image.load()
            return _upright(image)
        except Exception as problem:  # decoders raise many kinds on damaged bytes
            raise ImageError(f"{path}: is damaged or cut short ({problem}); copy or export it again") from problem


def from_pil(image: Image.Image, *, name: str = "image") -> Tensor:
    """A PIL image of any mode as a tensor; transparency is laid over white.

    Args:
        image: decoded or not; a rotation in its EXIF data is applied.
        name: what messages call it.

    Returns:
        (1, 3, h, w) in [-1, 1].

    Raises:
        ImageError: smaller than 4 x 4, damaged, or of a mode that has no RGB form.
    """
    w, h = image.size
    if min(w, h) < MIN_SIDE:
        raise ImageError(f"{name}: is {w} x {h} pixels; a picture needs at least {MIN_SIDE} x {MIN_SIDE}")
    try:
        upright = _upright(image)
    except Exception as problem:  # decoders raise many kinds on damaged bytes
        raise ImageError(f"{name}: is damaged or cut short ({problem}); copy or export it again") from problem
    unit = torch.from_numpy(_unit_rgb(upright, name))
    return unit.mul_(2).sub_(1).permute(2, 0, 1).unsqueeze(0).contiguous()  # in place: large pictures have gigabytes


def fit_to(image: Tensor, resolution: tuple[int, int]) -> Tensor:
    """Images cut to the aspect of a resolution around their centre, then resized by an antialiased Lanczos filter.

    Not differentiable; works on the CPU and gives back the images' device and dtype.

    Args:
        image: (n, 3, h, w) in [-1, 1].
        resolution: (height, width) of the result.

    Returns:
        (n, 3, *resolution) in [-1, 1]; image itself where it has that size.

    Raises:
        ShapeError: image has another shape, or a side of resolution is below 1.
    """
    check_shape(image, "n 3 h w", name="image")
    height, width = resolution
    if min(height, width) < 1:
        raise ShapeError(f"resolution must be (height, width), 1 or more each; got {resolution}")
    h, w = image.shape[2:]
    if (h, w) == (height, width):
        return image
    cut_h, cut_w = min(h, w * height / width), min(w, h * width / height)
    box = ((w - cut_w) / 2, (h - cut_h) / 2, (w + cut_w) / 2, (h + cut_h) / 2)
    planes = image.detach().float().cpu().reshape(-1, h, w).numpy()
    resized = [Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS, box=box) for plane in planes]
    result = torch.from_numpy(np.stack([np.asarray(plane) for plane in resized]))
    return result.clamp(-1, 1).reshape(-1, 3, height, width).to(image)  # Lanczos overshoots at edges


def to_pil(image: Tensor) -> Image.Image:
    """One image as an 8-bit RGB PIL image, values beyond [-1, 1] clamped, the rest rounded to the nearest.

    Args:
        image: (1, 3, h, w) or (3, h, w) in [-1, 1].

    Raises:
        ShapeError: another shape, or a value that is not a number.
    """
    if image.ndim == 4:
        check_shape(image, "1 3 h w", name="image")
        image = image[0]
    check_shape(image, "3 h w", name="image")
    levels = (image.detach().float().cpu() + 1) * 127.5
    if bool(levels.isnan().any()):
        raise ShapeError("image holds values that are not a number (NaN); it cannot be made into a picture")
    return Image.fromarray(levels.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy())


def write_image(path: str | os.PathLike[str], image: Tensor | Image.Image, **kept: Any) -> Path:
    """The path, after a picture was written to it, whole or not at all; the suffix names the format.

    Args:
        path: ends in .png, .jpg, .webp, .tif or .bmp.
        image: what `to_pil` takes, or a PIL image.
        kept: what Pillow is told besides: ``icc_profile``, ``exif``.

    Raises:
        ImageError: another suffix, or the file cannot be written.
        ShapeError: as `to_pil`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITTEN:
        raise ImageError(f"{path}: a picture's name must end in one of {', '.join(_WRITTEN)}; got {suffix or 'none'!r}")
    picture = to_pil(image) if isinstance(image, Tensor) else image
    kind, options = _WRITTEN[suffix]
    return atomic_write(path, lambda file: picture.save(file, format=kind, **options, **kept), error=ImageError)


def list_images(path: str | os.PathLike[str]) -> list[Path]:
    """The picture files that a path means: a file is itself, a folder is the pictures in it, sorted by name.

    Sub-folders and names that begin with a dot are left out.

    Raises:
        ImageError: nothing is there, or the folder has no picture (by suffix).
    """
    path = Path(path)
    if not path.is_dir():
        _check_file(path)
        return [path]
    try:
        found = sorted(p for p in path.iterdir() if _looks_like_picture(p))
    except OSError as problem:
        raise ImageError(f"{path}: cannot be listed: {problem.strerror}") from problem
    if not found:
        raise ImageError(f"{path}: has no picture in it; looked for names ending in {', '.join(SUFFIXES)}")
    return found


def _looks_like_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _check_file(path: Path) -> None:
    """Raises where a path is no file with something in it."""
    try:
        if not path.exists():
            raise ImageError(f"{path}: no such file; looked in {path.absolute().parent}")
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, not a picture; name a file in it")
        if not path.is_file():
            raise ImageError(f"{path}: is no plain file; name a picture file")
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: is empty (0 bytes); copy or export it again")
    except OSError as problem:
        raise ImageError(f"{path}: cannot be read: {problem.strerror}") from problem


def _open_header(path: Path) -> Image.Image:
    """The file with only its header read: Pillow's own, fixed limit gives way to ours, which is checked next."""
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]
    with _open_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path, formats=formats)
        except UnidentifiedImageError as problem:
            raise ImageError(
                f"{path}: is not a picture in a format that is read here ({', '.join(formats)}), or is damaged at "
                "its beginning; export it as PNG or JPEG"
            ) from problem
        except Exception as problem:  # decoders raise many kinds on damaged bytes
            reason = getattr(problem, "strerror", None)
            text = f"cannot be read: {reason}" if reason else f"is damaged or cut short ({problem}); export it again"
            raise ImageError(f"{path}: {text}") from problem
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say; damaged EXIF data say nothing."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image.copy()


def _unit_rgb(image: Image.Image, name: str) -> np.ndarray:
    """(h, w, 3) float32 in [0, 1] of an image of any mode."""
    if image.mode.startswith("I"):
        return np.repeat(_unit_grey16(np.asarray(image), name)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ImageError(f"{name}: holds floating-point numbers, whose range is unknown; save it with 8 or 16 bits")
    try:
        if image.has_transparency_data:
            rgba = np.array(image.convert("RGBA"), dtype=np.float32)
            rgba /= 255
            alpha = rgba[..., 3:]
            return rgba[..., :3] * alpha + (1 - alpha)
        rgb = np.array(image.convert("RGB"), dtype=np.float32)
        rgb /= 255
        return rgb
    except ValueError as problem:
        raise ImageError(f"{name}: colours of kind {image.mode} have no RGB form here; save it as RGB") from problem


def _unit_grey16(levels: np.ndarray, name: str) -> np.ndarray:
    """Grey levels of 16 bits as float32 in [0, 1]."""
    if levels.size and (levels.min() < 0 or levels.max() > 65535):
        raise ImageError(
            f"{name}: has grey levels from {levels.min()} to {levels.max()}; 0 to 65535 are read: save it with 16 bits"
        )
    return levels.astype(np.float32) / 65535
