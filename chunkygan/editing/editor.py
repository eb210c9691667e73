"""The layered way of working: paint a region, project only that, edit it, freeze what is seen, and go on from there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from chunkygan import recipe as recipes
from chunkygan.build import create
from chunkygan.editing.edit_words import find_direction
from chunkygan.editing.hole_filling import fill_hole
from chunkygan.editing.layers import Layer, State
from chunkygan.errors import ProjectionError
from chunkygan.files import atomic_write
from chunkygan.images import open_image, read_image, to_pil
from chunkygan.inversion import Inversion
from chunkygan.masks import check_range
from chunkygan.photos.alignment import Alignment, centred
from chunkygan.photos.photo_alignment import PhotoOptions, place_photo
from chunkygan.photos.photo_pasting import like_photo, paste_back
from chunkygan.projection import Projection
from chunkygan.shapes import check_shape
from chunkygan.types import Listener
from chunkygan.wording import did_you_mean, known


class Editor:
    """One picture in work, and how it came to be.

    Every step makes a new state, so that each can be undone; states share what they have in common.

    Args:
        photo: a file, PIL image or tensor. A file is placed as `options` say, and goes along at its own resolution.
        recipe: name or file of a recipe for `invert`; its generator, inverter and latent space serve every layer.
        overrides: changes to it, ``key.path=value``.
        options: how a file is aligned; by default it is cut around its centre.

    Attributes:
        original: the photo's own file; None for a picture from memory.
        alignment: where the picture lies in it; None where the generator draws no squares.

    Raises:
        RecipeError, ImageError, WeightsError: as `chunkygan.invert`.

    Source: ChunkyGAN, Figure 9.
    """

    def __init__(
        self,
        photo: str | os.PathLike[str] | Image.Image | Tensor,
        recipe: str | os.PathLike[str] = "invert",
        overrides: Sequence[str] = (),
        *,
        options: PhotoOptions | None = None,
    ) -> None:
        inversion = Inversion(recipes.load(recipe, list(overrides), job="invert"))
        original, alignment = None, None
        if isinstance(photo, (str, os.PathLike)):
            placed = place_photo(photo, inversion.generator.resolution, options or PhotoOptions(align="never"))
            original, alignment = Path(photo), _within(open_image(photo).size, placed.alignment)
            photo = placed.picture
        self._begin(inversion, [State(inversion.read(photo))], 0, original, alignment)

    @classmethod
    def of_states(
        cls,
        inversion: Inversion,
        states: Sequence[State],
        position: int,
        original: Path | None = None,
        alignment: Alignment | None = None,
    ) -> Editor:
        """An editor as it was: with its steps, those that were undone included."""
        editor = cls.__new__(cls)
        editor._begin(inversion, list(states), position, original, alignment)
        return editor

    def _begin(
        self,
        inversion: Inversion,
        states: list[State],
        position: int,
        original: Path | None,
        alignment: Alignment | None,
    ) -> None:
        self.inversion, self.states, self.position = inversion, states, position
        self.original, self.alignment = original, alignment

    @property
    def state(self) -> State:
        """What there is now."""
        return self.states[self.position]

    @property
    def picture(self) -> Tensor:
        """(1, 3, h, w), nominally in [-1, 1], as it looks now."""
        return self.state.picture

    @property
    def steps(self) -> list[str]:
        """What was done, in words, from the opening to now."""
        return [state.label for state in self.states[: self.position + 1]]

    def paint(self, mask: Tensor | str | os.PathLike[str], name: str = "region") -> None:
        """A new layer where the mask is; until it is projected it may be painted again.

        Args:
            mask: (h, w) in [0, 1], or a grey picture, white where the layer is to be.

        Raises:
            ProjectionError: the layer in work is not frozen, or the mask has no pixels.
            ShapeError, ImageError: a mask that cannot be used.
        """
        top = self.state.top
        if top is not None and top.projection is not None:
            raise ProjectionError(f"layer '{top.name}' is in work: freeze it or undo it before painting the next")
        layers = self.state.layers if top is None else self.state.layers[:-1]
        names = [layer.name for layer in layers]
        if name in names:
            name = next(f"{name}_{i}" for i in range(2, len(names) + 3) if f"{name}_{i}" not in names)
        self._do(f"paint {name}", (*layers, Layer(name, self._mask(mask))))

    def project(
        self, *, overrides: Mapping[str, Any] | None = None, listeners: Sequence[Listener] = ()
    ) -> Projection:
        """Fits the painted layer, and only it, to the picture as it looks.

        Args:
            overrides: of the recipe's ``inverter`` and ``latent_space``, ``{"inverter": {"steps": 50}}``.

        Raises:
            ProjectionError: nothing is painted.
        """
        top = self._top("project")
        below = State(self.state.photo, self.state.layers[:-1]).picture
        inversion = self._varied(overrides or {})
        spec = {"name": "painted", "array": top.mask[None], "rest": "static", "names": [top.name]}
        painted = create("mask_generator", spec, size=inversion.generator.resolution, image=below)
        fitted = inversion.project(below, painted, listeners=listeners)
        self._replace_top(f"project {top.name}", projection=fitted)
        return fitted

    def edit(
        self,
        direction: Tensor | Mapping[str, Any] | str,
        strength: float,
        *,
        rows: tuple[int, int] | None = None,
        name: str = "",
    ) -> None:
        """Moves the layer's code; see `Projection.edit`.

        Args:
            direction: what `Projection.edit` takes; or a file, or the name of a direction of the generator's domain.

        Raises:
            ProjectionError: no layer is projected, or there is no such direction.
            ShapeError: a direction of another generator or space.
        """
        projection = self._projected("edit")
        name = name or (Path(direction).stem if isinstance(direction, str) else "edit")
        if isinstance(direction, str):
            found = find_direction(direction, projection.generator, digest=projection.generator_sha256)
            direction, rows = found.direction, rows or found.rows
        edited = projection.edit(direction, strength, rows=rows, name=name)
        self._replace_top(f"{name} {strength:+g}", projection=edited)

    def change_edit(self, index: int, **changes: Any) -> None:
        """Changes one of the layer's edits; see `Projection.change_edit`."""
        changed = self._projected("change an edit").change_edit(index, **changes)
        self._replace_top(f"change {changed.edits[index].name}", projection=changed)

    def remove_edit(self, index: int) -> None:
        """Takes one of the layer's edits back."""
        projection = self._projected("remove an edit")
        self._replace_top("remove an edit", projection=projection.remove_edit(index))

    def blend(self, blender: str) -> None:
        """How the layer joins what is below: ``"poisson"``, ``"alpha"``, or empty for a cross-fade by the mask."""
        from chunkygan import registry

        if blender and blender not in registry.names("blender"):
            names = registry.names("blender")
            raise ProjectionError(f"no blender '{blender}'; {known(names)}{did_you_mean(blender, names)}")
        self._projected("blend")
        self._replace_top(f"blend {blender or 'by the mask'}", blend=blender)

    def fill(self, outer: Tensor, inner: Tensor, *, listeners: Sequence[Listener] = ()) -> None:
        """Where the edit outgrew the layer: see `chunkygan.editing.hole_filling.fill_hole`."""
        filled = fill_hole(
            self._projected("fill"), outer, inner, perceptual=self.inversion.perceptual, seed=self.inversion.seed,
            listeners=listeners,
        )  # fmt: skip
        mask = torch.maximum(self._top("fill").mask, torch.maximum(outer, inner))
        self._replace_top("fill", projection=filled, mask=mask, blend="")

    def freeze(self) -> None:
        """Makes what is seen the picture that the next layer is painted on.

        Raises:
            ProjectionError: no layer is projected.
        """
        self._projected("freeze")
        self._replace_top(f"freeze {self._top('freeze').name}", frozen=True)

    def undo(self) -> bool:
        """Takes the last step back; False where there is none."""
        if not self.position:
            return False
        self.position -= 1
        return True

    def redo(self) -> bool:
        """Does the step again that was undone last; False where there is none."""
        if self.position + 1 >= len(self.states):
            return False
        self.position += 1
        return True

    def flattened(self) -> Image.Image:
        """The photo at its own resolution with everything that was done; elsewhere its own pixels, bit for bit.

        Of a picture from memory, what is seen.
        """
        if self.original is None or self.alignment is None:
            return to_pil(self.picture)
        photo = open_image(self.original)
        layers = [layer.share for layer in self.state.layers if layer.projection is not None]
        if not layers:
            return photo
        changed = (torch.stack(layers).amax(0) > 0).float()
        return Image.fromarray(paste_back(np.array(photo.convert("RGB")), self.picture, changed, self.alignment))

    def write_picture(self, path: str | os.PathLike[str]) -> Path:
        """Writes what `flattened` gives, with the photo's colour profile and EXIF."""
        picture = self.flattened()
        kept: dict[str, Any] = {}
        if self.original is not None:
            picture, kept = like_photo(open_image(self.original), np.array(picture.convert("RGB")))
        suffix = Path(path).suffix.lower() or ".png"
        return atomic_write(path, lambda file: picture.save(file, Image.registered_extensions()[suffix], **kept))

    def write_layers(self, path: str | os.PathLike[str]) -> Path:
        """Writes photo and layers, at the generator's resolution, as OpenRaster (.ora), which GIMP and Krita open."""
        from chunkygan.editing.openraster import raster_layers, write_openraster

        return write_openraster(path, raster_layers(self.state), to_pil(self.picture))

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Writes everything into a folder; `Editor.open` goes on from it, on any machine with the same generator."""
        from chunkygan.editing.editor_file import save_editor

        return save_editor(self, Path(folder))

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Editor:
        """The editor that was saved into a folder.

        Raises:
            ProjectionError: there is none, it is damaged, or its generator is not the one that is there.
        """
        from chunkygan.editing.editor_file import open_editor

        return open_editor(Path(folder))

    def _do(self, label: str, layers: tuple[Layer, ...]) -> None:
        self.states = [*self.states[: self.position + 1], State(self.state.photo, layers, label)]
        self.position += 1

    def _replace_top(self, label: str, **changes: Any) -> None:
        self._do(label, (*self.state.layers[:-1], replace(self.state.layers[-1], **changes)))

    def _top(self, doing: str) -> Layer:
        top = self.state.top
        if top is None:
            raise ProjectionError(f"there is no layer to {doing}: paint one first")
        return top

    def _projected(self, doing: str) -> Projection:
        top = self._top(doing)
        if top.projection is None:
            raise ProjectionError(f"layer '{top.name}' is painted only: project it before you {doing}")
        return top.projection

    def _mask(self, mask: Tensor | str | os.PathLike[str]) -> Tensor:
        height, width = self.inversion.generator.resolution
        if not isinstance(mask, Tensor):
            mask = read_image(mask, size=(height, width))[0].mean(0) / 2 + 0.5
        check_shape(mask, "h w", name="mask", h=height, w=width)
        check_range(mask[None], names=["mask"])
        if not bool((mask > 0).any()):
            raise ProjectionError("the mask has no pixels: paint where the layer is to be")
        return mask.detach().float().cpu()

    def _varied(self, overrides: Mapping[str, Any]) -> Inversion:
        unknown = set(overrides) - {"inverter", "latent_space"}
        if unknown:
            raise ProjectionError(f"a layer takes other settings for inverter and latent_space only; got {unknown}")
        data = self.inversion.recipe.data
        return self.inversion.varied(**{key: {**data[key], **value} for key, value in overrides.items()})


def _within(size: tuple[int, int], alignment: Alignment | None) -> Alignment | None:
    """Where a picture lies in its file of (width, height): all of it, where it had been aligned before it was saved."""
    if alignment is None or alignment.photo == size:
        return alignment
    return centred(size, alignment.size)
