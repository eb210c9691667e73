"""The canvas: layers laid front to back, each with the class it belongs to."""

from __future__ import annotations

import torch
from torch import Tensor

# CelebAMask-HQ's classes in its order. Left and right are the picture's.
CLASSES = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip


class Canvas:
    """Sums layers from the front to the back, so that each pixel's shares add up to 1.

    Attributes:
        light: (n, 3, h, w) linear light so far.
        masks: (n, 19, h, w) shares of `CLASSES` so far.
        left: (n, h, w) share of each pixel that still shows what lies behind.
    """

    def __init__(self, light: Tensor, masks: Tensor, left: Tensor) -> None:
        self.light, self.masks, self.left = light, masks, left

    @classmethod
    def blank(cls, like: Tensor) -> Canvas:
        """A canvas of the size of like, (n, h, w)."""
        n, h, w = like.shape
        return cls(like.new_zeros(n, 3, h, w), like.new_zeros(n, len(CLASSES), h, w), torch.ones_like(like))

    def rows(self, cut: slice) -> Canvas:
        """Some rows of the canvas: what is laid there is laid here."""
        return Canvas(self.light[..., cut, :], self.masks[..., cut, :], self.left[..., cut, :])

    def lay(self, cover: Tensor, light: Tensor, name: str) -> None:
        """Adds a layer of one class behind all that is there; cover (n, h, w), light (n, 3, h, w)."""
        share = self.left * cover
        self.light.addcmul_(share[:, None], light)
        self.masks[:, CLASSES.index(name)] += share
        self.left -= share

    def lay_pair(self, cover: Tensor, light: Tensor, name: str, on_left: Tensor) -> None:
        """Like `lay`, for a mirrored pair: `l_<name>` where on_left (n, h, w) is 1, `r_<name>` where it is 0."""
        share = self.left * cover
        self.light.addcmul_(share[:, None], light)
        self.masks[:, CLASSES.index("l_" + name)] += share * on_left
        self.masks[:, CLASSES.index("r_" + name)] += share * (1 - on_left)
        self.left -= share
