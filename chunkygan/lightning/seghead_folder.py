"""Folders of annotations as a training of a certain generator takes them."""

from __future__ import annotations

from dataclasses import replace

from chunkygan.annotating.folder import Annotations, read_annotations
from chunkygan.annotating.peers import mapped_latents
from chunkygan.errors import RecipeError
from chunkygan.interfaces import Generator


def annotations_for(generator: Generator, folder: str, key: str, *, only: str | int | None = None) -> Annotations:
    """What was painted in a folder that was written for this generator; `ws` are codes of W+ in any case.

    Args:
        key: of the recipe, which messages name.
        only: one picture, see `read_annotations`.

    Raises:
        RecipeError: codes of another generator.
        ImageError: what is wrong with the folder.
    """
    found = read_annotations(folder, size=generator.resolution, only=only)
    if found.ws.ndim == 2 and found.ws.shape[1] == generator.z_dim:
        return replace(found, ws=mapped_latents(generator, found.ws))
    if found.ws.shape[1:] != (generator.num_ws, generator.w_dim):
        raise RecipeError(
            f"{key}: {folder} has codes of {tuple(found.ws.shape[1:])}, and this generator takes "
            f"{(generator.num_ws, generator.w_dim)}; it was written for another generator"
        )
    return found
