"""The canvas: layers laid front to back, each with the class it belongs to."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .procfaces_window import Window, pooled, whole

# CelebAMask-HQ's classes in its order. Left and right are the picture's.
CLASSES = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip


class Canvas:
    """Sums layers from the front to the back, so that each pixel's shares add up to 1.

    Attributes:
        light: (n, 3, h, w) linear light so far.
        masks: (n, 19, h / per_pixel, w / per_pixel) shares of `CLASSES` so far, by pixel.
        left: (n, h, w) share of each sample that still shows what lies behind.
        per_pixel: samples per pixel and side.
    """

    def __init__(self, light: Tensor, masks: Tensor, left: Tensor, per_pixel: int) -> None:
        self.light, self.masks, self.left, self.per_pixel = light, masks, left, per_pixel

    @classmethod
    def blank(cls, like: Tensor, per_pixel: int) -> Canvas:
        """A canvas of the size of like, (n, h, w)."""
        n, h, w = like.shape
        masks = like.new_zeros(n, len(CLASSES), h // per_pixel, w // per_pixel)
        return cls(like.new_zeros(n, 3, h, w), masks, torch.ones_like(like), per_pixel)

    def window(self, cut: Window) -> Canvas:
        """A part of a whole canvas: what is laid there is laid here."""
        view, k = whole(self.left), self.per_pixel
        pixels = Window(cut.top // k, cut.bottom // k, cut.left // k, cut.right // k)
        masks = pixels.of(self.masks, whole(self.masks))
        return Canvas(cut.of(self.light, view), masks, cut.of(self.left, view), k)

    def open_halves(self, around: Window) -> list[Window]:
        """What is not yet covered of the left and the right half of a window of this whole canvas."""
        middle = (around.left + around.right) // (2 * self.per_pixel) * self.per_pixel
        halves = (replace(around, right=middle), replace(around, left=middle))
        open_ = (Window.around(half.of(self.left, whole(self.left)) > 1e-3, self.per_pixel) for half in halves)
        return [found.moved(half.top, half.left) & half for found, half in zip(open_, halves)]

    def averaged(self) -> Canvas:
        """The canvas with one sample a pixel."""
        k = self.per_pixel
        return Canvas(pooled(self.light, k), self.masks, pooled(self.left, k), 1)

    def lay(self, cover: Tensor, light: Tensor, name: str) -> None:
        """Adds a layer of one class behind all that is there; cover (n, h, w), light (n, 3, h, w)."""
        share = self.left * cover
        self.light.addcmul_(share[:, None], light)
        self.masks[:, CLASSES.index(name)] += pooled(share, self.per_pixel)
        self.left -= share

    def lay_pair(self, cover: Tensor, light: Tensor, name: str, on_left: Tensor) -> None:
        """Like `lay`, for a mirrored pair: `l_<name>` where on_left (n, h, w) is 1, `r_<name>` where it is 0."""
        share = self.left * cover
        self.light.addcmul_(share[:, None], light)
        on_left = share * on_left
        self.masks[:, CLASSES.index("l_" + name)] += pooled(on_left, self.per_pixel)
        self.masks[:, CLASSES.index("r_" + name)] += pooled(share - on_left, self.per_pixel)
        self.left -= share
