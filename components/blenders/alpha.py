"""Cross-fading by the mask, as Eq. 3 does."""

from __future__ import annotations

import torch
from torch import Tensor

from chunkygan.interfaces import Blender
from chunkygan.shapes import check_shape


class Alpha(Blender):
    """The mean of drawn picture and photo, weighted by the mask: soft masks hide small seams, not shifts of colour."""

    def blend(self, drawn: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
        sizes = check_shape(drawn, "n 3 h w", name="drawn")
        check_shape(photo, "n 3 h w", name="photo", **sizes)
        check_shape(mask, "n h w", name="mask", **sizes)
        share = mask.unsqueeze(1).to(drawn)
        return torch.where(share > 0, share * drawn + (1 - share) * photo, photo)
