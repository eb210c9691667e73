"""A plugin file, as a recipe names one under ``plugins:``: the latent space ``mean_row``, W with a scale of its own."""

from __future__ import annotations

import chunkygan
from chunkygan.components.latent_spaces.w import W


class MeanRow(W):
    """W under another name."""


chunkygan.register("latent_space", "mean_row", MeanRow)
