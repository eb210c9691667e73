"""AlexNet, VGG-16 and SqueezeNet as LPIPS uses them: the `lpips` package's slices and heads, weights from a file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from chunkygan._torchvision import ensure_importable
from chunkygan.errors import WeightsError
from chunkygan.weights import find, read_state_dict, search_path

MODELS_PAGE = "https://download.pytorch.org/models/"
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class Published:
    """Facts about one published network.

    Args:
        builder: function of ``lpips.pretrained_networks``.
        entry: name of its weights in the manifest.
        files: names torchvision has given to its weights, newest first.
        min_size: the smallest side, in pixels, that reaches the last tap.
    """

    builder: str
    entry: str
    files: tuple[str, ...]
    min_size: int


PUBLISHED = {
    "alex": Published("alexnet", "lpips_alexnet", ("alexnet-owt-7be5be79.pth", "alexnet-owt-4df8aa71.pth"), 31),
    "vgg": Published("vgg16", "lpips_vgg16", ("vgg16-397923af.pth",), 16),
    "squeeze": Published(
        "squeezenet", "lpips_squeezenet1_1", ("squeezenet1_1-b8a52dc0.pth", "squeezenet1_1-f364aa15.pth"), 17
    ),
}


class PublishedBackbone(nn.Module):
    """One of the three networks of the `lpips` package; ``taps`` and ``heads`` as in `DomainBackbone`.

    Args:
        net: ``alex``, ``vgg`` or ``squeeze``.
        weights: file or manifest name of torchvision's own state dict, in any float type; None looks for
            torchvision's file names in the search path and in torch's hub cache.

    Raises:
        WeightsError: no such file, or a file of another network. Nothing is ever downloaded.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str, weights: str | Path | None = None) -> None:
        super().__init__()
        facts = PUBLISHED[net]
        path = find(weights) if weights is not None else _find_published(net)
        self.min_size = facts.min_size
        self.network = _build(facts.builder)
        _load(self.network, read_state_dict(path), net=net, path=path)
        self.heads = nn.ParameterList([nn.Parameter(head) for head in _read_heads(net)])
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).reshape(3, 1, 1))

    def taps(self, x: Tensor) -> list[Tensor]:
        """Activations (n, C_k, h_k, w_k) after the network's tapped ReLUs, of pictures (n, 3, h, w) in [-1, 1]."""
        return list(self.network((x - self.shift) / self.scale))


def _build(builder: str) -> nn.Module:
    """The package's network without values: drawing random ones would cost seconds and the user's random state."""
    ensure_importable()
    from lpips import pretrained_networks

    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")  # torchvision's own deprecation of the argument that lpips passes
        return getattr(pretrained_networks, builder)(pretrained=False)


def _load(network: nn.Module, state: Mapping[str, Tensor], *, net: str, path: Path) -> None:
    """Fills the network from torchvision's names: ``features.3.weight`` there is ``slice2.3.weight`` here."""
    wanted = {name: name.split(".", 1)[1] for name in network.state_dict()}
    found = {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}
    shapes = network.state_dict()
    wrong = [key for name, key in wanted.items() if key not in found or found[key].shape != shapes[name].shape]
    if wrong:
        raise WeightsError(
            f"{path}: not torchvision's {PUBLISHED[net].builder} weights: {len(wrong)} of {len(wanted)} tensors are "
            f"missing or of another shape, features.{wrong[0]} first; get {MODELS_PAGE}{PUBLISHED[net].files[0]}"
        )
    network.load_state_dict({name: found[key].float() for name, key in wanted.items()}, assign=True)


def _read_heads(net: str) -> list[Tensor]:
    """The weights (C_k,) of each tap's channels, from the file that the `lpips` package brings (all >= 0)."""
    spec = find_spec("lpips")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("the package lpips is missing; install it: pip install lpips==0.1.4")
    path = Path(spec.submodule_search_locations[0]) / "weights" / "v0.1" / f"{net}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)  # saved from CUDA
    return [state[f"lin{k}.model.1.weight"].flatten() for k in range(len(state))]


def _find_published(net: str) -> Path:
    """Where torchvision's weights of a network are.

    Raises:
        WeightsError: nowhere.
    """
    folders = [*search_path(), Path(torch.hub.get_dir()) / "checkpoints"]
    files = PUBLISHED[net].files
    for folder in folders:
        for name in files:
            if (folder / name).is_file():
                return folder / name
    raise WeightsError(
        f"lpips_{net} needs torchvision's ImageNet weights, {' or '.join(files)}: in none of "
        f"{', '.join(map(str, folders))}. `chunkygan fetch {PUBLISHED[net].entry}` gets {MODELS_PAGE}{files[0]}; or "
        f"put it into {folders[0]}, or name the file: weights: PATH"
    )
