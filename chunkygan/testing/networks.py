"""What the contract checks of networks share."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from chunkygan.testing.rules import agree, finite_gradient, require, shaped


def check_words(component: object, what: str, words: Sequence[str]) -> None:
    ok = len(words) > 0 and all(isinstance(word, str) and word for word in words) and len(set(words)) == len(words)
    require(ok, component, f"{what} must be words that differ from each other; got {tuple(words)}")


def check_rows(network: nn.Module, shape: tuple[int, ...], size: int | tuple[int, int], tolerance: float) -> None:
    """What a network tells of two pictures: its shape, the same twice and alone, differentiable."""
    x = two_pictures(0, size, network)
    found = network(x)
    shaped(found, (len(x), *shape), network, "what is told of two pictures")
    agree(network(x), found, network, "the same picture must be told the same twice", 0.0)
    alone = torch.cat([network(x[i : i + 1]) for i in range(len(x))])
    agree(alone, found, network, "what is told of a picture must not depend on its neighbours", tolerance)
    moving = x.clone().requires_grad_()
    finite_gradient(network(moving).square().sum(), moving, network, "gradients must reach the pictures")


def check_name(component: object, name: object) -> None:
    ok = isinstance(name, str) and re.fullmatch(r"[a-z0-9]+_[a-z0-9_]+", name)
    require(bool(ok), component, f"name must be '<measure>_<network>' in lower case, like lpips_vgg; got {name!r}")


def check_frozen(network: nn.Module) -> None:
    free = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    require(not free, network, f"parameters must be frozen (requires_grad False); free: {', '.join(free[:3])}")
    network.train()
    awake = [name or "itself" for name, module in network.named_modules() if module.training]
    changes = any(isinstance(module, (nn.Dropout, nn.modules.batchnorm._BatchNorm)) for module in network.modules())
    network.eval()
    require(not (awake and changes), network, f"train() must leave it in evaluation mode; not so: {awake[:3]}")


def two_pictures(seed: int, size: int | Sequence[int], network: nn.Module) -> Tensor:
    """(2, 3, h, w) smooth random pictures in [-1, 1], where the network's parameters are."""
    height, width = (size, size) if isinstance(size, int) else size
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    like = next(iter(network.state_dict().values()), coarse)
    return nn.functional.interpolate(coarse, (height, width), mode="bilinear").to(like.device)
