"""Classes of a generator's pixels from all of its feature maps, by an ensemble of small classifiers (DatasetGAN)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.errors import ComponentError, WeightsError
from chunkygan.interfaces import Generator, SegHead
from chunkygan.network_file import fill_network, read_network
from chunkygan.tensor_files import read_state_dict

KIND = "seg_head"
KEYS = ("classes", "widths", "hidden", "models")
LARGE = 32
"""From so many classes on, the layers are twice and four times as wide."""


class PixelClassifier(nn.Module):
    """Three linear layers, the first two followed by ReLU and then batch norm; the peers' parameter names.

    Args:
        dim: channels of all feature maps together.
        classes: how many.
        hidden: widths of the first two layers.
    """

    def __init__(self, dim: int, classes: int, hidden: Sequence[int]) -> None:
        super().__init__()
        first, second = hidden
        self.layers = nn.Sequential(
            nn.Linear(dim, first), nn.ReLU(), nn.BatchNorm1d(first),
            nn.Linear(first, second), nn.ReLU(), nn.BatchNorm1d(second),
            nn.Linear(second, classes),
        )  # fmt: skip
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """(p, classes) logits of pixels (p, dim)."""
        return self.layers(pixels)

    def on_maps(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """(n, classes, h, w) logits, without ever stacking the maps at full size.

        The first layer is linear, as is upsampling, so it is applied to every map at the map's own size; results of
        one size are added before they are upsampled.
        """
        first, *others = self.layers
        assert isinstance(first, nn.Linear)
        sums: dict[tuple[int, int], Tensor] = {}
        for part, weight in zip(maps, first.weight.split([m.shape[1] for m in maps], 1)):
            drawn = F.conv2d(part.to(weight), weight[:, :, None, None])
            own = (drawn.shape[2], drawn.shape[3])
            sums[own] = sums[own] + drawn if own in sums else drawn
        x = first.bias[:, None, None] + sum(upsampled(drawn, size) for drawn in sums.values())
        x = x.flatten(2)  # (n, c, h * w): batch norm of pixels takes no four dimensions
        for layer in others:
            x = F.conv1d(x, layer.weight[..., None], layer.bias) if isinstance(layer, nn.Linear) else layer(x)
        return x.unflatten(2, size)


class DatasetGanMlp(SegHead):
    """An ensemble of `PixelClassifier`. Untrained where no weights are named.

    Args:
        generator: whose pixels are classified; with weights, it is checked that they fit it.
        classes: names; with weights of this project, the file's own.
        weights: a file that `train_seghead` wrote; or a folder of ``model_<n>.pth``, as DatasetGAN and EditGAN
            publish them.
        models: how many classifiers; of a file with more, the first ones are used. None: 10, or all of the file's.
        hidden: widths of the two hidden layers; None: 128 and 32 below 32 classes, 256 and 128 from there on.

    Attributes:
        classifiers: the ensemble.
        config: settings from which it is made again.

    Raises:
        ComponentError: fewer than two classes, an empty ensemble, or feature maps of another generator.
        WeightsError: weights that are missing, damaged or of another network.

    Source: Zhang et al. 2021, DatasetGAN; feature list after EditGAN.
    """

    def __init__(
        self,
        generator: Generator | None = None,
        classes: Sequence[str] | None = None,
        *,
        weights: str | Path | None = None,
        models: int | None = None,
        hidden: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        widths = None if generator is None else generator.feature_widths()
        state: dict[str, Tensor] | None = None
        if weights is not None and Path(weights).is_dir():
            config, state = _published(Path(weights), widths, classes)
        elif weights is not None:
            config, state = read_network(weights, KIND, KEYS)
        else:
            if widths is None or classes is None:
                raise ComponentError("seg_head 'datasetgan_mlp': without weights it needs a generator and classes")
            config = {"classes": list(classes), "widths": list(widths), "models": 10 if models is None else models}
            config["hidden"] = list(hidden or ([128, 32] if len(classes) < LARGE else [256, 128]))
        if state is not None and models is not None:
            config = config | {"models": min(models, config["models"])}
        _check(config)
        self.config = {"kind": KIND, **config}
        self.classes, self.widths = tuple(config["classes"]), tuple(config["widths"])
        self.classifiers = nn.ModuleList(
            PixelClassifier(sum(self.widths), len(self.classes), config["hidden"]) for _ in range(config["models"])
        )
        if widths is not None:
            self.check_widths(widths)
        if state is not None:
            used = tuple(f"classifiers.{k}." for k in range(config["models"]))
            fill_network(self, {k: v for k, v in state.items() if k.startswith(used)}, weights or "")
            self.requires_grad_(False).eval()

    def forward(self, features: Sequence[Tensor], *, size: tuple[int, int], models: int | None = None) -> Tensor:
        self.check_widths([m.shape[1] for m in features])
        used = list(self.classifiers)[:models]
        return torch.stack([one.on_maps(features, size) for one in used])  # type: ignore[operator]

    def of_pixels(self, features: Sequence[Tensor], where: Tensor) -> Tensor:
        self.check_widths([m.shape[1] for m in features])
        pixels = torch.cat([sampled(m, where) for m in features], 1).transpose(1, 2)  # (n, p, all channels)
        logits = torch.stack([one(pixels.flatten(0, 1)) for one in self.classifiers])
        return logits.unflatten(1, pixels.shape[:2]).transpose(2, 3)

    @torch.no_grad()
    def absorb(self, mean: Tensor, scale: Tensor) -> None:
        for one in self.classifiers:
            first = one.layers[0]  # type: ignore[index]
            assert isinstance(first, nn.Linear)
            first.weight.div_(scale.to(first.weight))
            first.bias.sub_(first.weight @ mean.to(first.weight))


def upsampled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps at another size, as the peers resize them: bilinear, between the pixels' centres."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def sampled(maps: Tensor, where: Tensor) -> Tensor:
    """(n, c, p): what `upsampled` to the size of where, (h, w), gives at its true pixels, and nothing else of it."""
    rows, columns = where.nonzero(as_tuple=True)
    if tuple(maps.shape[-2:]) == tuple(where.shape):
        return maps[..., rows, columns]
    places = [(2 * at.to(maps) + 1) / n - 1 for at, n in ((columns, where.shape[1]), (rows, where.shape[0]))]
    grid = torch.stack(places, -1).expand(len(maps), 1, -1, -1)  # (n, 1, p, 2), x before y
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)[:, :, 0]


def _check(config: Mapping[str, Any]) -> None:
    if len(config["classes"]) < 2:
        raise ComponentError(f"seg_head 'datasetgan_mlp': needs two classes or more; got {list(config['classes'])}")
    if config["models"] < 1:
        raise ComponentError(f"seg_head 'datasetgan_mlp': models must be 1 or more; got {config['models']}")
    if len(config["hidden"]) != 2:
        raise ComponentError(f"seg_head 'datasetgan_mlp': hidden must be two widths; got {config['hidden']}")


def _published(
    folder: Path, widths: Sequence[int] | None, classes: Sequence[str] | None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and tensors of a folder of ``model_<n>.pth``."""
    files = sorted(folder.glob("*model*.pth"), key=_number)
    if not files:
        raise WeightsError(f"{folder}: has no model_<n>.pth")
    if widths is None:
        raise WeightsError(f"{folder}: published heads do not say which maps they read; they need a generator")
    state: dict[str, Tensor] = {}
    for k, file in enumerate(files):
        for name, value in read_state_dict(file).items():
            state[f"classifiers.{k}.{name.removeprefix('model_state_dict.').removeprefix('module.')}"] = value
    try:
        first, second, last = (state[f"classifiers.0.layers.{i}.weight"] for i in (0, 3, 6))
    except KeyError as missing:
        raise WeightsError(f"{files[0]}: is no pixel classifier of DatasetGAN or EditGAN: lacks {missing}") from missing
    if first.shape[1] != sum(widths):
        raise WeightsError(
            f"{files[0]}: reads {first.shape[1]} channels, but the generator's feature maps have {sum(widths)}; "
            "it was trained for another generator"
        )
    names = list(classes or [f"class_{i}" for i in range(len(last))])
    if len(names) != len(last):
        raise WeightsError(f"{files[0]}: tells {len(last)} classes apart; {len(names)} names were given")
    hidden = [len(first), len(second)]
    return {"classes": names, "widths": list(widths), "hidden": hidden, "models": len(files)}, state


def _number(file: Path) -> tuple[int, str]:
    """The last number in a file's name, so that 10 comes after 9."""
    found = re.findall(r"\d+", file.stem)
    return int(found[-1]) if found else -1, file.name
