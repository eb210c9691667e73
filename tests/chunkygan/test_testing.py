"""Every contract check passes a small honest component, and fails for each rule that one breaks."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chunkygan.errors import ComponentError
from chunkygan.interfaces import Generator, Identity, LatentSpace, MaskGenerator, Perceptual
from chunkygan.testing import (
    check_generator,
    check_identity,
    check_latent_space,
    check_mask_generator,
    check_perceptual,
)
from chunkygan.types import Feature, Noise, Styles, Window


def fixed(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers of a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class ToyGenerator(Generator):
    """Two layers of three channels at 4 x 6 and 8 x 12 pixels; the features are the picture."""

    resolution = (8, 12)
    z_dim, w_dim, c_dim, num_ws = 4, 5, 0, 2
    style_dims, style_rows = (3, 3), (0, 1)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w_avg", fixed(5, seed=1))
        self.register_buffer("map", fixed(4, 5, seed=2))
        self.register_buffer("affine", fixed(2, 5, 3, seed=3))
        self.patterns = [fixed(3, 4, 6, seed=4), fixed(3, 8, 12, seed=5)]
        self.noise = [fixed(4, 6, seed=6), fixed(8, 12, seed=7)]

    def mapping(self, z: Tensor, c: Tensor | None = None, *, truncation: float = 1.0) -> Tensor:
        w = self.w_avg + truncation * (z @ self.map)
        return w[:, None].repeat(1, 2, 1)

    def styles(self, ws: Tensor) -> Styles:
        return [ws[:, row] @ self.affine[row] for row in self.style_rows]

    def synthesis(
        self,
        styles: Styles,
        *,
        noise: Noise = "const",
        size: int | None = None,
        window: Window | None = None,
        feature: Feature | None = None,
    ) -> Tensor:
        maps = self._maps(styles, noise, feature)
        picture = maps[0] if size == 6 else maps[1]
        if window is None:
            return picture
        rows, columns = window.slices
        return picture[..., rows, columns]

    def features(self, styles: Styles, *, noise: Noise = "const") -> list[Tensor]:
        return self._maps(styles, noise, None)

    def noise_maps(self) -> list[Tensor]:
        return [m.clone() for m in self.noise]

    def _maps(self, styles: Styles, noise: Noise, feature: Feature | None) -> list[Tensor]:
        noises = {"const": self.noise, "none": [0, 0], "random": [torch.randn_like(m) for m in self.noise]}
        given = noises[noise] if isinstance(noise, str) else noise
        x: Any = 0
        maps = []
        for k, (style, pattern, added) in enumerate(zip(styles, self.patterns, given)):
            x = x if k == 0 else F.interpolate(x, scale_factor=2)
            x = x + style[:, :, None, None] * pattern + added
            if feature is not None and feature.layer == k:
                x = feature.value if feature.mode == "replace" else x + feature.value
            maps.append(x)
        return maps


class ToySpace(LatentSpace):
    """All styles in a row."""

    @property
    def code_shape(self) -> tuple[int, ...]:
        return (6,)

    def to_styles(self, codes: Tensor) -> Styles:
        return list(codes.split([3, 3], 1))

    def from_ws(self, ws: Tensor) -> Tensor:
        return torch.cat(self.generator.styles(ws), 1)

    def from_styles(self, styles: Styles) -> Tensor:
        return torch.cat(styles, 1)

    def scale(self) -> Tensor:
        return torch.ones(6)


class ToyMasks(MaskGenerator):
    """Softmax of parameters."""

    names: tuple[str, ...] = ("left", "right")

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(fixed(1, 2, 4, 4))

    def forward(self) -> Tensor:
        return self.logits.softmax(1)

    def static(self) -> Tensor | None:
        return torch.full((1, 4, 4), 0.5)


class ToyPerceptual(Perceptual):
    """Squared difference of small pictures."""

    name = "lpips_toy"

    def features(self, images: Tensor) -> list[Tensor]:
        return [F.adaptive_avg_pool2d(images, 4)]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return (a[0] - b[0]).square().mean((1, 2, 3))


class ToyIdentity(Identity):
    """Direction of a small picture."""

    name = "identity_toy"

    def embed(self, images: Tensor) -> Tensor:
        return F.normalize(F.adaptive_avg_pool2d(images, 4).flatten(1))


def test_honest_components_pass() -> None:
    check_generator(ToyGenerator())
    check_latent_space(ToySpace(ToyGenerator()))
    check_mask_generator(ToyMasks())
    check_perceptual(ToyPerceptual())
    check_identity(ToyIdentity())


def test_a_message_names_the_component_and_the_rule() -> None:
    space = ToySpace(ToyGenerator())
    space.scale = lambda: torch.zeros(6)  # type: ignore[method-assign]
    with pytest.raises(ComponentError, match=r"^ToySpace: scale\(\) must be positive"):
        check_latent_space(space)


def wrapped(component: Any, method: str, change: Any) -> Any:
    """The component with a method's results changed; `change` gets the result and the arguments."""
    honest = getattr(component, method)

    def dishonest(*args: Any, **options: Any) -> Any:
        return change(honest(*args, **options), *args, **options)

    object.__setattr__(component, method, dishonest)
    return component


def jitter(value: Any, *args: Any, **options: Any) -> Any:
    return value + torch.randn(1)


def batch_mean(value: Any, *args: Any, **options: Any) -> Any:
    return value + 0.1 * value.mean(0, keepdim=True)


def shifted_window(picture: Tensor, styles: Styles, **options: Any) -> Tensor:
    return picture.roll(1, -1) if options.get("window") and not options.get("size") else picture


def shifted_partial_window(picture: Tensor, styles: Styles, **options: Any) -> Tensor:
    return picture.roll(1, -1) if options.get("window") and options.get("size") else picture


def ignored_size(generator: ToyGenerator) -> ToyGenerator:
    honest = generator.synthesis
    generator.synthesis = lambda styles, size=None, **options: honest(styles, **options)  # type: ignore[method-assign]
    return generator


def ignored_feature(generator: ToyGenerator) -> ToyGenerator:
    honest = generator.synthesis
    generator.synthesis = lambda styles, feature=None, **options: honest(styles, **options)  # type: ignore[method-assign]
    return generator


def ignored_noise(generator: ToyGenerator) -> ToyGenerator:
    honest = generator.synthesis

    def synthesis(styles: Styles, noise: Noise = "const", **options: Any) -> Tensor:
        return honest(styles, noise="none" if isinstance(noise, str) else noise, **options)

    generator.synthesis = synthesis  # type: ignore[method-assign]
    return generator


def leaked_noise(generator: ToyGenerator) -> ToyGenerator:
    generator.noise_maps = lambda: generator.noise  # type: ignore[method-assign]
    return generator


def with_attribute(component: Any, name: str, value: Any) -> Any:
    setattr(component, name, value)
    return component


BROKEN_GENERATORS = {
    "num_ws must be a positive": lambda g: with_attribute(g, "num_ws", 0),
    "resolution must be": lambda g: with_attribute(g, "resolution", (8,)),
    "style_rows must name": lambda g: with_attribute(g, "style_rows", (0, 2)),
    "w_avg must be": lambda g: with_attribute(g, "w_avg", torch.zeros(4)),
    "mapping must give the same": lambda g: wrapped(g, "mapping", jitter),
    "mapping must give different": lambda g: wrapped(g, "mapping", lambda ws, *a, **o: ws[:1].expand_as(ws)),
    "truncation 0 must": lambda g: wrapped(g, "mapping", lambda ws, z, c, truncation=1.0: ws + 1 - truncation),
    "layer 0 of styles must be": lambda g: wrapped(g, "styles", lambda s, *a: [s[0][:, :2], s[1]]),
    "styles must give 2 layers": lambda g: wrapped(g, "styles", lambda s, *a: s[:1]),
    "row 0 of": lambda g: wrapped(g, "styles", lambda s, *a: s[::-1]),
    r"synthesis\(\) must be": lambda g: with_attribute(g, "resolution", (8, 8)),
    r"synthesis\(\) must be finite": lambda g: wrapped(g, "synthesis", lambda x, *a, **o: x / 0),
    "synthesis must repeat": lambda g: wrapped(g, "synthesis", jitter),
    "synthesis must differ": lambda g: wrapped(g, "synthesis", lambda x, *a, **o: x[:1].expand_as(x)),
    "neighbours": lambda g: wrapped(g, "synthesis", batch_mean),
    "the partial sum at half": ignored_size,
    "must equal the crop": lambda g: wrapped(g, "synthesis", shifted_window),
    "of a partial sum must equal its crop": lambda g: wrapped(g, "synthesis", shifted_partial_window),
    "noise_maps given as noise": ignored_noise,
    "copies of the stored": leaked_noise,
    "features must be one map": lambda g: wrapped(g, "features", lambda maps, *a: maps[:1]),
    "must change the picture": ignored_feature,
    "replaced by its own": lambda g: wrapped(g, "features", lambda maps, *a: [m + 1 for m in maps]),
    "pass gradients": lambda g: wrapped(g, "styles", lambda s, *a: [x.detach() for x in s]),
}


@pytest.mark.parametrize("rule", BROKEN_GENERATORS)
def test_a_broken_generator_fails(rule) -> None:
    with pytest.raises(ComponentError, match=rule):
        check_generator(BROKEN_GENERATORS[rule](ToyGenerator()))


def with_code_shape(shape: Any) -> LatentSpace:
    return type("Broken", (ToySpace,), {"code_shape": shape})(ToyGenerator())


BROKEN_SPACES = {
    "code_shape must be": lambda s: with_code_shape([6]),
    r"mean\(\) must be": lambda s: with_code_shape((2, 3)),
    "the same for the same rng": lambda s: wrapped(s, "sample", jitter),
    "differ for another rng": lambda s: wrapped(s, "sample", lambda codes, *a, **o: torch.zeros_like(codes)),
    "to_styles must give 2": lambda s: wrapped(s, "to_styles", lambda styles, *a: styles[:1]),
    "layer 1 of to_styles": lambda s: wrapped(s, "to_styles", lambda styles, *a: [styles[0], styles[1][:, :1]]),
    "neighbours": lambda s: wrapped(s, "to_styles", lambda styles, *a: [batch_mean(x) for x in styles]),
    "pass gradients": lambda s: wrapped(s, "to_styles", lambda styles, *a: [x.detach() for x in styles]),
    "lead to a code": lambda s: wrapped(s, "from_styles", lambda codes, *a: codes * 0.9),
    "from_styles must be": lambda s: wrapped(s, "from_styles", lambda codes, *a: codes[0]),
    "broadcast": lambda s: wrapped(s, "scale", lambda scale: torch.ones(5)),
    "positive": lambda s: wrapped(s, "scale", lambda scale: -scale),
    r"direction\(\) must be": lambda s: wrapped(s, "direction", lambda d, *a: d[:2]),
    "change no bit": lambda s: wrapped(s, "move", lambda moved, *a: moved + 1e-6),
}


@pytest.mark.parametrize("rule", BROKEN_SPACES)
def test_a_broken_latent_space_fails(rule) -> None:
    with pytest.raises(ComponentError, match=rule):
        check_latent_space(BROKEN_SPACES[rule](ToySpace(ToyGenerator())))


def turning() -> Any:
    """A change of masks that is another at every call."""
    calls = itertools.count()
    return lambda masks: masks.roll(next(calls) % 4, -1)


BROKEN_MASKS = {
    "n_images, n_chunks": lambda m: wrapped(m, "forward", lambda masks: masks[0]),
    "one word a chunk": lambda m: with_attribute(m, "names", ("left",)),
    "differ from each other": lambda m: with_attribute(m, "names", ("left", "left")),
    "sum to 1": lambda m: wrapped(m, "forward", lambda masks: masks * 0.9),
    "lie in": lambda m: wrapped(m, "forward", lambda masks: masks * 3 - 1),
    "drawn twice": lambda m: wrapped(m, "forward", turning()),
    "gradients to logits": lambda m: wrapped(m, "forward", lambda masks: masks.detach()),
    r"static\(\) must be": lambda m: wrapped(m, "static", lambda static: static[0]),
    "chunk 'static' has 2": lambda m: wrapped(m, "static", lambda static: static * 4),
}


@pytest.mark.parametrize("rule", BROKEN_MASKS)
def test_a_broken_mask_generator_fails(rule) -> None:
    with pytest.raises(ComponentError, match=rule):
        check_mask_generator(BROKEN_MASKS[rule](ToyMasks()))


def with_free_parameter(component: nn.Module) -> nn.Module:
    component.weight = nn.Parameter(torch.ones(1))
    return component


def with_dropout(component: nn.Module) -> nn.Module:
    component.dropout = nn.Dropout()
    return component


def unsafe_root(value: Tensor, *args: Any) -> Tensor:
    return value.sqrt()


BROKEN_DISTANCES = {
    "name must be": lambda d: with_attribute(d, "name", "toy"),
    "must be frozen": with_free_parameter,
    "stay in|leave it in evaluation mode": with_dropout,
    "distance of two batches must be": lambda d: wrapped(d, "forward", lambda value, *a: value[:, None]),
    "must be apart": lambda d: wrapped(d, "forward", lambda value, *a: value * 0),
    "symmetric": lambda d: wrapped(d, "forward", lambda value, x, y: value + x.mean((1, 2, 3)) + 5),
    "at distance 0": lambda d: wrapped(d, "forward", lambda value, *a: value + 1),
    "neighbours": lambda d: wrapped(d, "forward", lambda value, *a: value * value.mean() + value),
    "pass gradients": lambda d: wrapped(d, "forward", lambda value, *a: value.detach()),
}


@pytest.mark.parametrize("rule", BROKEN_DISTANCES)
@pytest.mark.parametrize(("check", "honest"), [(check_perceptual, ToyPerceptual), (check_identity, ToyIdentity)])
def test_a_broken_distance_fails(rule, check, honest) -> None:
    with pytest.raises(ComponentError, match=rule):
        check(BROKEN_DISTANCES[rule](honest()))


BROKEN_PERCEPTUALS = {
    "list of tensors": lambda p: wrapped(p, "features", lambda taps, *a: taps[0]),
    "what forward gives": lambda p: wrapped(p, "forward", lambda value, *a: value * 2),
    "gradients at equal images": lambda p: wrapped(p, "distance", unsafe_root),
    "asked twice": lambda p: wrapped(p, "distance", lambda value, *a: value * (1 + torch.rand(1) * 1e-5)),
}


@pytest.mark.parametrize("rule", BROKEN_PERCEPTUALS)
def test_a_broken_perceptual_fails(rule) -> None:
    with pytest.raises(ComponentError, match=rule):
        check_perceptual(BROKEN_PERCEPTUALS[rule](ToyPerceptual()))


BROKEN_IDENTITIES = {
    "unit vectors": lambda i: wrapped(i, "embed", lambda vectors, *a: vectors * 1.1),
    r"embed must give \(n, d\)": lambda i: wrapped(i, "embed", lambda vectors, *a: vectors[0]),
}


@pytest.mark.parametrize("rule", BROKEN_IDENTITIES)
def test_a_broken_identity_fails(rule) -> None:
    with pytest.raises(ComponentError, match=rule):
        check_identity(BROKEN_IDENTITIES[rule](ToyIdentity()))
