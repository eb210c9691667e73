"""Eq. 1 and Eq. 3: the pictures of the chunks become one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from chunkygan.errors import ShapeError
from chunkygan.shapes import check_shape
from chunkygan.types import Window


def blend(images: Tensor, masks: Tensor) -> Tensor:
    """The chunks' pictures, each weighted by its mask and added up (Eq. 1, ``O = sum_i S_i * G(X_i)``).

    Args:
        images: (n_chunks, 3, h, w), one picture a chunk; or (b, n_chunks, 3, h, w) for b images.
        masks: (n_chunks, h, w) for all images, or (b, n_chunks, h, w); they sum to 1 at every pixel, which is not
            checked here (`chunkygan.masks.check_masks` does).

    Returns:
        (1, 3, h, w), or (b, 3, h, w).

    Raises:
        ShapeError: numbers of chunks, heights or widths do not agree.

    Source: ChunkyGAN, section 3, Eq. 1.
    """
    if images.ndim == 4:
        images = images.unsqueeze(0)
    if masks.ndim == 3:
        masks = masks.unsqueeze(0)
    sizes = check_shape(images, "b n_chunks 3 h w", name="images")
    sizes.pop("b")
    masks_b = check_shape(masks, "b n_chunks h w", name="masks", **sizes)["b"]
    if masks_b not in (1, images.shape[0]):
        raise ShapeError(f"masks must be for 1 or {images.shape[0]} images, as many as there are; got {masks_b}")
    return (images * masks.unsqueeze(2)).sum(1)  # einsum makes a batch of tiny products of it: 3.6 times the time


def blend_windows(
    crops: Sequence[Tensor | None],
    masks: Tensor,
    windows: Sequence[Window | None],
    owners: Sequence[int] | None = None,
) -> Tensor:
    """Eq. 1 from pictures that are drawn only inside a rectangle each.

    Equals `blend` of the full pictures where every mask is 0 outside its window; what a mask has outside its window
    is lost. Time and memory follow the windows' areas.

    Args:
        crops: one (1, 3, wh, ww) or (3, wh, ww) a chunk; what stands beside a window of None is not looked at.
        masks: (n_chunks, h, w) of the full picture.
        windows: one a crop; None for a chunk that is drawn nowhere (see `chunkygan.windows.windows_of`).
        owners: the chunk of each crop, where a chunk has several, which must not overlap; None: one crop a chunk.

    Returns:
        (1, 3, h, w); differentiable in crops and masks.

    Raises:
        ShapeError: another number of crops, masks or windows, or a crop of another size than its window.

    Source: ChunkyGAN, section 3, Eq. 1.
    """
    check_shape(masks, "n_chunks h w", name="masks")
    owners = range(len(masks)) if owners is None else owners
    if not len(crops) == len(windows) == len(owners):
        raise ShapeError(
            "crops, masks and windows must be as many; "
            f"got {len(crops)} crops, {len(owners)} masks, {len(windows)} windows"
        )
    like = next((crop for crop in crops if crop is not None), masks)
    kind = torch.promote_types(like.dtype, masks.dtype)
    # unbind first: a slice of the stack would give a gradient of the stack's size for every chunk
    layers, parts, placed = masks.unbind(0), [], []
    for i, (crop, owner, window) in enumerate(zip(crops, owners, windows)):
        if window is None:
            continue
        if crop is None or crop.shape[-3:] != (3, *window.size):
            got = None if crop is None else tuple(crop.shape)
            raise ShapeError(f"crops[{i}] must have shape (1, 3, {window.size[0]}, {window.size[1]}); got {got}")
        rows, columns = window.slices
        parts.append((layers[owner][rows, columns] * crop).to(kind))
        placed.append(window)
    if not parts:
        return torch.zeros(1, 3, *masks.shape[1:], dtype=kind, device=like.device)
    return cast(Tensor, _Placed.apply(masks.shape[1:], placed, *parts))


class _Placed(torch.autograd.Function):
    """Pictures added up, each in its window of an empty one.

    The gradient of each is its window of the picture's; adding in place would copy that for every window.
    """

    @staticmethod
    def forward(ctx: Any, size: Sequence[int], windows: Sequence[Window], *parts: Tensor) -> Tensor:
        """(1, 3, h, w) of the size of the whole."""
        ctx.windows, ctx.shapes = windows, [part.shape for part in parts]
        whole = parts[0].new_zeros(1, 3, *size)
        for window, part in zip(windows, parts):
            rows, columns = window.slices
            whole[..., rows, columns] += part
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """One gradient a picture."""
        slices = [window.slices for window in ctx.windows]
        parts = [gradients[0][..., rows, columns] for rows, columns in slices]
        return None, None, *(part.reshape(shape) for part, shape in zip(parts, ctx.shapes))


def keep_static(composite: Tensor, image: Tensor, static: Tensor | None) -> Tensor:
    """The composite with the image itself kept where the static mask is (Eq. 3, ``S_X * I + (1 - S_X) * O``).

    Equal to image, bit for bit, where static is 1, and to composite where it is 0.

    Args:
        composite: (b, 3, h, w).
        image: (b, 3, h, w) or (1, 3, h, w).
        static: (h, w), (1, h, w) or (b, h, w) in [0, 1]; None for nowhere.

    Returns:
        (b, 3, h, w).

    Raises:
        ShapeError: sizes do not agree.

    Source: ChunkyGAN, section 3, Eq. 3.
    """
    if static is None:
        return composite
    sizes = check_shape(composite, "b 3 h w", name="composite")
    b = sizes.pop("b")
    check_shape(image, "* 3 h w", name="image", **sizes)
    if static.ndim == 2:
        static = static.unsqueeze(0)
    check_shape(static, "* h w", name="static", **sizes)
    if image.shape[0] not in (1, b) or static.shape[0] not in (1, b):
        raise ShapeError(f"image and static must be for 1 or {b} pictures; got {image.shape[0]} and {static.shape[0]}")
    static = static.unsqueeze(1)  # (b, 1, h, w)
    return static * image + (1 - static) * composite


def effective_masks(masks: Tensor, static: Tensor | None) -> Tensor:
    """What each chunk contributes to the final picture: ``(1 - S_X) * S_i``, the weights of Eq. 1 inside Eq. 3.

    A chunk has to be drawn only where this is not 0, so windows are taken from it.

    Args:
        masks: (n_chunks, h, w) or (b, n_chunks, h, w).
        static: (h, w), (1, h, w) or (b, h, w); None for nowhere.

    Returns:
        As masks.

    Raises:
        ShapeError: sizes do not agree.

    Source: ChunkyGAN, section 3, Eq. 3.
    """
    if static is None:
        return masks
    if masks.ndim == 3 and static.ndim == 3:
        check_shape(static, "1 h w", name="static", h=masks.shape[-2], w=masks.shape[-1])
        static = static[0]
    batched = "b n_chunks h w" if masks.ndim == 4 else "n_chunks h w"
    sizes = check_shape(masks, batched, name="masks")
    check_shape(static, "* h w" if static.ndim == 3 else "h w", name="static", h=sizes["h"], w=sizes["w"])
    return (1 - static).unsqueeze(-3) * masks
