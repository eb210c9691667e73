"""From a picture and a recipe to a projection."""

from __future__ import annotations

import copy
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from chunkygan import recipe as recipes
from chunkygan.build import create
from chunkygan.domain import load_domain
from chunkygan.errors import RecipeError
from chunkygan.images import MAX_PIXELS, fit_to, from_pil, read_image
from chunkygan.interfaces import FitRequest, Generator, Identity, Inverter, MaskGenerator, Perceptual
from chunkygan.lightning.trainer import of_one_device, trainer_options
from chunkygan.loading import frozen
from chunkygan.metrics import measure
from chunkygan.photos.photo_alignment import PhotoOptions, PlacedPhoto, place_photo
from chunkygan.projection import Projection
from chunkygan.recipe import Recipe
from chunkygan.shapes import check_shape
from chunkygan.types import Fit, Listener, Spec
from chunkygan.weights import find, sha256
from chunkygan.wording import did_you_mean, known

Picture = str | os.PathLike[str] | Image.Image | Tensor


@dataclass(frozen=True)
class OutputOptions:
    """What `chunkygan invert` writes beside the projection.

    Args:
        baseline: fit one global W+ code with the same inverter too, and compare.
        report: write report.png.
        gif_frames: pictures in progress.gif; 0: none.
        evolution: steps after which composite and masks are shown in evolution.png, beside the last; empty: no such
            picture.
        max_pixels: a picture with more is refused before it is decoded.
    """

    baseline: bool = False
    report: bool = True
    gif_frames: int = 24
    evolution: Sequence[int] = ()
    max_pixels: int = MAX_PIXELS


class Inversion:
    """A recipe's objects, made once and used for any number of pictures.

    Args:
        recipe: a checked recipe for the job `invert`.
        trainer: options of Lightning's Trainer for every fit; None: the recipe's, on the first of its devices.

    Raises:
        WeightsError: weights that the recipe names are missing.
    """

    def __init__(self, recipe: Recipe, *, trainer: Mapping[str, Any] | None = None) -> None:
        data = recipe.data
        self._trainer = of_one_device(trainer_options(**data["trainer"])) if trainer is None else dict(trainer)
        self.recipe = recipe
        self.seed: int = data["seed"]
        self.output = OutputOptions(**data["output"])
        self.photo = PhotoOptions(**data["photo"])
        self.generator: Generator = frozen(create("generator", data["generator"]))
        self.perceptual: Perceptual = create("perceptual", data["perceptual"])
        self.identity: Identity | None = create("identity", data["identity"]) if data["identity"] else None
        self.inverter: Inverter = self._inverter()
        self._asked_batch: int = data.get("batch", 1)
        if self._asked_batch < 1:
            raise RecipeError(f"batch: must be 1 or more, how many pictures are fitted at once; got {data['batch']}")

    def varied(self, **changes: Any) -> Inversion:
        """The same networks with other recipe keys, such as ``inverter`` or ``latent_space``."""
        other = copy.copy(self)
        other.recipe = replace(self.recipe, data={**self.recipe.data, **changes})
        other.inverter = other._inverter()
        return other

    def read(self, picture: Picture) -> Tensor:
        """(1, 3, h, w) at the generator's resolution: a file, PIL image or tensor in [-1, 1], cut and resized."""
        size = self.generator.resolution
        if isinstance(picture, Tensor):
            picture = picture[None] if picture.ndim == 3 else picture
            check_shape(picture, "1 3 h w", name="image")
            return fit_to(picture, size)
        if isinstance(picture, Image.Image):
            return fit_to(from_pil(picture), size)
        return read_image(picture, size=size, max_pixels=self.output.max_pixels)

    def place(self, file: str | os.PathLike[str]) -> tuple[Tensor, PlacedPhoto]:
        """A file as `read` gives it, aligned first where the domain and the recipe's ``photo`` ask for it, and where it
        lies in the photo."""
        name = self.recipe.data["domain"]
        placed = place_photo(
            file, self.generator.resolution, self.photo, template=load_domain(name).alignment if name else None,
            max_pixels=self.output.max_pixels,
        )  # fmt: skip
        return fit_to(from_pil(placed.picture, name=str(file)), self.generator.resolution), placed

    def masks_for(self, target: Tensor, *, stem: str = "image", masks: Any = None) -> MaskGenerator:
        """The mask generator for one picture.

        Args:
            stem: the picture's file name without suffix; ``{stem}`` in the recipe's values is replaced by it.
            masks: painted masks (array or path) instead of the recipe's mask generator.
        """
        spec = {key: _with_stem(value, stem) for key, value in self.recipe.data["mask_generator"].items()}
        if masks is not None:
            source = "path" if isinstance(masks, (str, os.PathLike)) else "array"
            spec = {"name": "painted", source: masks}
        return create(
            "mask_generator", spec, generator=self.generator, size=self.generator.resolution, image=target,
            perceptual=self.perceptual, seed=self.seed,
        )  # fmt: skip

    @property
    def batch(self) -> int:
        """How many pictures are worth giving to `project_all` at once."""
        return self._asked_batch if self.inverter.fits_together else 1

    def request(
        self,
        target: Tensor,
        mask_generator: MaskGenerator,
        *,
        start: Fit | None = None,
        listeners: Sequence[Listener] = (),
        state: Path | None = None,
    ) -> FitRequest:
        """What to ask `project_all` for: a fit of target, (1, 3, h, w), in the recipe's spaces.

        Raises:
            RecipeError: ``chunk_spaces`` names chunks that are not there.
        """
        specs = self._space_specs(mask_generator.names)
        return FitRequest(target, specs, mask_generator, start, listeners, state)

    def baseline_request(
        self, target: Tensor, *, listeners: Sequence[Listener] = (), state: Path | None = None
    ) -> FitRequest:
        """The same fit with one global W+ code, to compare with."""
        whole = create("mask_generator", "single", size=self.generator.resolution)
        return FitRequest(target, [{"name": "w_plus"}], whole, None, listeners, state)

    def project(
        self,
        target: Tensor,
        mask_generator: MaskGenerator,
        *,
        start: Fit | None = None,
        listeners: Sequence[Listener] = (),
        state: Path | None = None,
    ) -> Projection:
        """The projection of target, (1, 3, h, w), measured."""
        request = self.request(target, mask_generator, start=start, listeners=listeners, state=state)
        return self._one(request)

    def baseline(self, target: Tensor, *, listeners: Sequence[Listener] = (), state: Path | None = None) -> Projection:
        """The projection with one global W+ code."""
        return self._one(self.baseline_request(target, listeners=listeners, state=state))

    def project_all(self, requests: Sequence[FitRequest]) -> Iterator[tuple[int, Projection | Exception]]:
        """The projections of several pictures, measured, as their fits end: place among the requests, and the
        projection or what went wrong.

        Pictures that the inverter fits together are, all of them at once; each goes its way as if it were alone, to
        rounding. In their metrics, the time that several take together is shared evenly.
        """
        if len(requests) > 1 and not self.inverter.fits_together:
            for place, request in enumerate(requests):
                yield from ((place, found) for _, found in self.project_all([request]))
            return
        share, fitting, began = 0.0, len(requests), time.monotonic()
        fits = self.inverter.project_all(
            requests, generator=self.generator, perceptual=self.perceptual, seed=self.seed
        )  # fmt: skip
        for place, fit in fits:
            share += (time.monotonic() - began) / fitting
            yield place, self._projection(requests[place].target, fit, share)
            fitting, began = fitting - 1, time.monotonic()

    def _one(self, request: FitRequest) -> Projection:
        ((_, found),) = self.project_all([request])
        if isinstance(found, Exception):
            raise found
        return found

    def _inverter(self) -> Inverter:
        data = self.recipe.data
        return create("inverter", data["inverter"], generator=self.generator, seed=self.seed, trainer=self._trainer)

    def _projection(self, target: Tensor, fit: Fit | Exception, seconds: float) -> Projection | Exception:
        """What a fit has found, measured; or what went wrong, then or now."""
        if isinstance(fit, Exception):
            return fit
        try:
            return self._measured(target, fit, seconds)
        except Exception as error:
            return error

    def _measured(self, target: Tensor, fit: Fit, seconds: float) -> Projection:
        spec = self.recipe.data["generator"]
        projection = Projection(
            target=target.cpu(), codes=fit.codes, segments=fit.segments, generator=self.generator,
            generator_spec=spec, generator_sha256=sha256(find(spec["weights"])) if spec.get("weights") else None,
            noise=fit.noise, mask_state=fit.mask_state, recipe=self.recipe.data,
            weight_changes=fit.weight_changes,
        )  # fmt: skip
        return replace(projection, metrics=self._metrics(projection, fit, seconds))

    def _metrics(self, projection: Projection, fit: Fit, seconds: float) -> dict[str, float]:
        self.perceptual.cpu()
        return {
            **measure(projection.render(), projection.target, self.perceptual, self.identity),
            "steps": fit.steps,
            "seconds": round(seconds, 2),
            "chunks": len(fit.segments.names),
            **({} if (apart := projection.mean_disagreement()) is None else {"disagreement": apart}),
            "peak_memory_bytes": _peak_memory(),
            **{f"area_{name}": round(last, 5) for name, (_, last) in fit.areas.items()},
            **{f"area_start_{name}": round(first, 5) for name, (first, _) in fit.areas.items()},
        }

    def _space_specs(self, chunks: Sequence[str]) -> list[Spec]:
        own = self.recipe.data["chunk_spaces"]
        unknown = [name for name in own if name not in chunks]
        if unknown:
            raise RecipeError(
                [
                    f"chunk_spaces.{name}: no such chunk; {known(chunks)}{did_you_mean(name, chunks)}"
                    for name in unknown
                ],
                self.recipe.source,
            )
        return [own.get(name, self.recipe.data["latent_space"]) for name in chunks]


def invert(
    image: Picture,
    recipe: str | os.PathLike[str] = "invert",
    *,
    masks: Any = None,
    listeners: Sequence[Callable[..., None]] = (),
    **overrides: Any,
) -> Projection:
    """The projection of a picture, as a recipe says.

    Args:
        image: path, PIL image, or tensor (1, 3, h, w) in [-1, 1]; cut and resized to the generator's size.
        recipe: name or file.
        masks: painted masks: a path, an integer array (h, w), or soft masks (n_chunks, h, w) in [0, 1].
        listeners: called with a `chunkygan.types.Step` after every step.
        overrides: recipe keys, nested dicts for nested ones: ``domain="ffhq_1024", inverter={"steps": 200}``.

    Raises:
        RecipeError, ImageError, WeightsError: all of them `chunkygan.errors.ChunkyGANError`.
    """
    inversion = Inversion(recipes.load(recipe, list(_dotted(overrides)), job="invert"))
    if not isinstance(image, (str, os.PathLike)):
        target = inversion.read(image)
        return inversion.project(target, inversion.masks_for(target, masks=masks), listeners=listeners)
    target, placed = inversion.place(image)
    for note in placed.notes:
        warnings.warn(note, stacklevel=2)
    mask_generator = inversion.masks_for(target, stem=Path(image).stem, masks=masks)
    return replace(inversion.project(target, mask_generator, listeners=listeners), alignment=placed.alignment)


def _dotted(overrides: Mapping[str, Any], prefix: str = "") -> Sequence[str]:
    """Nested overrides as ``key.path=value`` with JSON values, which are YAML."""
    lines: list[str] = []
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            lines += _dotted(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key}={json.dumps(value)}")
    return lines


def _with_stem(value: Any, stem: str) -> Any:
    return value.replace("{stem}", stem) if isinstance(value, str) else value


def _peak_memory() -> int:
    """Bytes: of the CUDA device where one was used, of this process otherwise; 0 where the system does not tell."""
    if torch.cuda.is_available() and (used := torch.cuda.max_memory_allocated()):
        return used
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
