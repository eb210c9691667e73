"""Contract checks that a component's author calls in a test of their own: one function a kind of component.

    from chunkygan.testing import check_latent_space

    def test_my_space_keeps_the_contract():
        check_latent_space(MySpace(generator))

Each returns None, or raises `ComponentError` with the rule that was broken and what came instead. They run on any
device, draw their random numbers from seeds of their own, and are quick on a small generator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from chunkygan._testing_blender import check_blender
from chunkygan._testing_generator import check_generator
from chunkygan._testing_rules import agree, finite_gradient, require, shaped
from chunkygan.errors import ShapeError
from chunkygan.interfaces import (
    Classifier,
    Discriminator,
    Encoder,
    Generator,
    Identity,
    LatentSpace,
    MaskGenerator,
    Parser,
    Perceptual,
)
from chunkygan.masks import check_masks, check_range
from chunkygan.types import Styles

__all__ = [
    "check_blender",
    "check_classifier",
    "check_discriminator",
    "check_encoder",
    "check_generator",
    "check_identity",
    "check_latent_space",
    "check_mask_generator",
    "check_parser",
    "check_perceptual",
]


def check_latent_space(space: LatentSpace, *, tolerance: float = 1e-3) -> None:
    """Shapes, seeds, gradients, and that styles of codes lead back to codes with the same styles.

    Args:
        space: on a generator, small for speed.
        tolerance: largest difference of styles after a round trip, relative to the largest style.

    Raises:
        ComponentError: the space breaks its contract.
    """
    shape = space.code_shape
    require(
        isinstance(shape, tuple) and all(isinstance(size, int) and size > 0 for size in shape),
        space,
        f"code_shape must be a tuple of positive integers; got {shape!r}",
    )
    shaped(space.mean(), shape, space, "mean()")
    codes = _samples(space)
    _check_styles(space, codes)
    _check_round_trip(space, codes, tolerance)
    _check_moves(space, codes)


def _samples(space: LatentSpace) -> Tensor:
    """(3, *code_shape) codes of a seed, after checking that seeds decide them."""
    first, again, other = (space.sample(3, rng=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    shaped(first, (3, *space.code_shape), space, "sample(3)")
    require(torch.equal(first, again), space, "sample must be the same for the same rng; it differed")
    require(not torch.equal(first, other), space, "sample must differ for another rng; it was the same")
    return first.detach()


def _check_styles(space: LatentSpace, codes: Tensor) -> None:
    dims = space.generator.style_dims
    codes = codes.clone().requires_grad_()
    styles = space.to_styles(codes)
    require(len(styles) == len(dims), space, f"to_styles must give {len(dims)} layers; got {len(styles)}")
    for k, (style, dim) in enumerate(zip(styles, dims)):
        shaped(style, (3, dim), space, f"layer {k} of to_styles")
    alone = space.to_styles(codes[1:2])
    agree(torch.cat(alone, 1), torch.cat(styles, 1)[1:2], space, "styles of a code must not depend on its neighbours")
    finite_gradient(torch.cat(styles, 1).square().sum(), codes, space, "to_styles must pass gradients to the codes")


@torch.no_grad()
def _check_round_trip(space: LatentSpace, codes: Tensor, tolerance: float) -> None:
    styles = space.to_styles(codes)
    back = space.from_styles(styles)
    shaped(back, codes.shape, space, "from_styles")
    _same_styles(space.to_styles(back), styles, space, tolerance)
    generator = space.generator
    z = torch.randn(2, generator.z_dim, generator=torch.Generator().manual_seed(3)).to(generator.w_avg)
    c = torch.zeros(2, generator.c_dim).to(z) if generator.c_dim else None
    near = space.from_ws(generator.mapping(z, c))
    shaped(near, (2, *space.code_shape), space, "from_ws")
    _same_styles(space.to_styles(space.from_styles(space.to_styles(near))), space.to_styles(near), space, tolerance)


def _same_styles(found: Styles, expected: Styles, space: LatentSpace, tolerance: float) -> None:
    largest = float(torch.cat(expected, 1).abs().max())
    rule = "from_styles of a code's own styles must lead to a code with these styles"
    agree(torch.cat(found, 1), torch.cat(expected, 1), space, rule, tolerance * max(largest, 1.0))


@torch.no_grad()
def _check_moves(space: LatentSpace, codes: Tensor) -> None:
    scale = space.scale()
    try:
        fits = torch.broadcast_shapes(scale.shape, space.code_shape) == torch.Size(space.code_shape)
    except RuntimeError:
        fits = False
    require(fits, space, f"scale() must broadcast to code_shape {space.code_shape}; got {tuple(scale.shape)}")
    require(bool((scale > 0).all() and scale.isfinite().all()), space, "scale() must be positive and finite everywhere")
    generator = space.generator
    direction = space.direction(torch.ones(generator.num_ws, generator.w_dim))
    shaped(direction, space.code_shape, space, "direction()")
    require(torch.equal(space.move(codes, direction, 0.0), codes), space, "move by strength 0 must change no bit")
    shaped(space.move(codes, direction, 1.0), codes.shape, space, "move()")


def check_mask_generator(masks: MaskGenerator, *, tolerance: float = 1e-4) -> None:
    """Shape, names, range, sum of 1, repeatability, and gradients to whatever it exposes to the optimiser.

    Args:
        tolerance: largest deviation of the sum from 1.

    Raises:
        ComponentError: the mask generator breaks its contract.
    """
    drawn = masks()
    require(drawn.ndim == 4, masks, f"masks must be (n_images, n_chunks, h, w); got {tuple(drawn.shape)}")
    _check_names(masks, drawn.shape[1])
    _keeps(lambda: check_masks(drawn, names=masks.names, tolerance=tolerance), masks)
    require(torch.equal(drawn, masks()), masks, "masks must be the same when drawn twice; they differed")
    _check_static(masks, drawn)
    weights = torch.rand(drawn.shape, generator=torch.Generator().manual_seed(0)).to(drawn)
    for name, parameter in masks.named_parameters():
        if parameter.requires_grad:
            finite_gradient((masks() * weights).sum(), parameter, masks, f"masks must pass gradients to {name}")


def _check_names(masks: MaskGenerator, n_chunks: int) -> None:
    names = masks.names
    require(
        len(names) == n_chunks and all(isinstance(name, str) and name for name in names),
        masks,
        f"names must be one word a chunk, {n_chunks} in all; got {tuple(names)}",
    )
    require(len(set(names)) == len(names), masks, f"names must differ from each other; got {tuple(names)}")


def _check_static(masks: MaskGenerator, drawn: Tensor) -> None:
    static = masks.static()
    if static is None:
        return
    n_images, _, height, width = drawn.shape
    shaped(static, (n_images, height, width), masks, "static()")
    _keeps(lambda: check_range(static.unsqueeze(1), names=["static"]), masks)


def _keeps(check: Callable[[], None], component: object) -> None:
    """Turns what a check of tensors raises into a broken contract of the component."""
    try:
        check()
    except ShapeError as error:
        require(False, component, str(error))


def check_perceptual(perceptual: Perceptual, *, size: int | tuple[int, int] = 64, tolerance: float = 1e-5) -> None:
    """Name, frozen network, and a distance: zero for equal images, else positive, symmetric, differentiable.

    Args:
        size: side, or (height, width), of the pictures it is tried on.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the perceptual distance breaks its contract.
    """
    _check_name(perceptual, perceptual.name)
    _check_frozen(perceptual)
    x, y = _pictures(0, size, perceptual), _pictures(1, size, perceptual)
    features = perceptual.features(x)
    require(
        isinstance(features, list) and all(isinstance(tap, Tensor) and len(tap) == len(x) for tap in features),
        perceptual,
        "features must be a list of tensors with one row an image",
    )
    distance = _check_distance(perceptual, perceptual, x, y, tolerance)
    kept = perceptual.distance(features, perceptual.features(y))
    agree(kept, distance, perceptual, "distance of features must be what forward gives", tolerance)
    one = perceptual.distance(features, perceptual.features(y[:1]))[:1]
    agree(one, distance[:1], perceptual, "features of one target must serve a batch of images", tolerance)


def check_discriminator(discriminator: Discriminator) -> None:
    """Shapes, refusals, any batch size, gradients to pictures and parameters, and a gradient penalty's.

    Raises:
        ComponentError: the discriminator breaks its contract.
    """
    images = _pictures(0, discriminator.resolution, discriminator).repeat(2, 1, 1, 1)[:3].requires_grad_()
    c = torch.eye(3, discriminator.c_dim).to(images.device) if discriminator.c_dim else None
    logits = discriminator(images, c)
    shaped(logits, (3,), discriminator, "logits")
    shaped(discriminator(images[:1], c if c is None else c[:1]), (1,), discriminator, "logits of one picture")
    agree(discriminator(images, c), logits, discriminator, "logits must be the same when asked twice", 0.0)
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    finite_gradient(discriminator(images, c).sum(), images, discriminator, "logits must pass gradients to the images")
    free = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
    grown = torch.autograd.grad(slope.square().sum(), free, allow_unused=True)
    known = [gradient for gradient in grown if gradient is not None]
    require(
        bool(known) and all(bool(gradient.isfinite().all()) for gradient in known),
        discriminator,
        "gradients of the images must have finite gradients to the parameters (second derivatives)",
    )
    wrong = torch.eye(3).to(images.device) if c is None else None
    _refuses(lambda: discriminator(images[..., :-1], c), discriminator, "images of another size")
    _refuses(lambda: discriminator(images, wrong), discriminator, "a class vector where it takes none, or none")


def _refuses(call: Callable[[], object], component: object, what: str) -> None:
    try:
        call()
    except ShapeError:
        return
    require(False, component, f"must raise ShapeError for {what}")


def check_identity(identity: Identity, *, size: int | tuple[int, int] = 128, tolerance: float = 1e-4) -> None:
    """Name, frozen network, unit embeddings, and a distance: zero for equal images, symmetric, differentiable.

    Args:
        size: side, or (height, width), of the pictures it is tried on.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the identity measure breaks its contract.
    """
    _check_name(identity, identity.name)
    _check_frozen(identity)
    x, y = _pictures(0, size, identity), _pictures(1, size, identity)
    embedded = identity.embed(x)
    require(
        embedded.ndim == 2 and len(embedded) == len(x),
        identity,
        f"embed must give (n, d); got {tuple(embedded.shape)} for {len(x)} images",
    )
    lengths = embedded.norm(dim=1)
    agree(lengths, torch.ones_like(lengths), identity, "embed must give unit vectors", tolerance)
    _check_distance(identity, identity, x, y, tolerance)


def check_classifier(classifier: Classifier, *, size: int | tuple[int, int] = 64, tolerance: float = 1e-4) -> None:
    """Names, frozen network, one row of attributes a picture whatever its neighbours, and gradients to the pictures.

    Args:
        size: side, or (height, width), of the pictures it is tried on.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the classifier breaks its contract.
    """
    _check_words(classifier, "names", classifier.names)
    _check_frozen(classifier)
    _check_rows(classifier, (len(classifier.names),), size, tolerance)


def check_parser(parser: Parser, *, size: int | tuple[int, int] = 64, tolerance: float = 1e-4) -> None:
    """Classes, frozen network, logits at the pictures' size whatever their neighbours, and gradients to the pictures.

    Args:
        size: side, or (height, width), of the pictures it is tried on.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the parser breaks its contract.
    """
    _check_words(parser, "classes", parser.classes)
    _check_frozen(parser)
    pictures = _pictures(0, size, parser)
    _check_rows(parser, (len(parser.classes), *pictures.shape[-2:]), size, tolerance)
    labels = parser.labels(pictures)
    require(torch.equal(labels, parser(pictures).argmax(1)), parser, "labels must be the classes of the largest logits")


def _check_words(component: object, what: str, words: Sequence[str]) -> None:
    ok = len(words) > 0 and all(isinstance(word, str) and word for word in words) and len(set(words)) == len(words)
    require(ok, component, f"{what} must be words that differ from each other; got {tuple(words)}")


def _check_rows(network: nn.Module, shape: tuple[int, ...], size: int | tuple[int, int], tolerance: float) -> None:
    """What a network tells of two pictures: its shape, the same twice and alone, differentiable."""
    x = _pictures(0, size, network)
    found = network(x)
    shaped(found, (len(x), *shape), network, "what is told of two pictures")
    agree(network(x), found, network, "the same picture must be told the same twice", 0.0)
    alone = torch.cat([network(x[i : i + 1]) for i in range(len(x))])
    agree(alone, found, network, "what is told of a picture must not depend on its neighbours", tolerance)
    moving = x.clone().requires_grad_()
    finite_gradient(network(moving).square().sum(), moving, network, "gradients must reach the pictures")


def check_encoder(encoder: Encoder, generator: Generator, *, tolerance: float = 1e-4) -> None:
    """Codes of the generator's shape, finite, the same when asked twice, none depending on its neighbours.

    Args:
        generator: whose codes it predicts; its resolution is that of the pictures.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the encoder breaks its contract.
    """
    _check_frozen(encoder)
    images = _pictures(0, generator.resolution, generator)
    codes = encoder(images)
    shaped(codes, (len(images), generator.num_ws, generator.w_dim), encoder, "the codes of two pictures")
    require(bool(codes.isfinite().all()), encoder, "codes must be finite")
    require(not torch.equal(codes[0], codes[1]), encoder, "different pictures must get different codes")
    require(torch.equal(encoder(images), codes), encoder, "codes must be the same when asked twice; they differed")
    alone = torch.cat([encoder(image[None]) for image in images])
    agree(alone, codes, encoder, "the code of a picture must not depend on its neighbours", tolerance)
    same = encoder(images.repeat_interleave(2, -1).repeat_interleave(2, -2))
    shaped(same, codes.shape, encoder, "the codes of pictures of twice the size")


def _check_name(component: object, name: object) -> None:
    ok = isinstance(name, str) and re.fullmatch(r"[a-z0-9]+_[a-z0-9_]+", name)
    require(bool(ok), component, f"name must be '<measure>_<network>' in lower case, like lpips_vgg; got {name!r}")


def _check_frozen(network: nn.Module) -> None:
    free = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    require(not free, network, f"parameters must be frozen (requires_grad False); free: {', '.join(free[:3])}")
    network.train()
    awake = [name or "itself" for name, module in network.named_modules() if module.training]
    changes = any(isinstance(module, (nn.Dropout, nn.modules.batchnorm._BatchNorm)) for module in network.modules())
    network.eval()
    require(not (awake and changes), network, f"train() must leave it in evaluation mode; not so: {awake[:3]}")


def _check_distance(
    component: object, distance: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, tolerance: float
) -> Tensor:
    """(n,) distances of x and y, after checking the rules of a distance."""
    found = distance(x, y)
    shaped(found, (len(x),), component, "the distance of two batches")
    require(bool((found > tolerance).all()), component, f"different images must be apart; got {found.tolist()}")
    agree(distance(y, x), found, component, "the distance must be symmetric", tolerance)
    agree(distance(x, x), torch.zeros_like(found), component, "equal images must be at distance 0", tolerance)
    agree(distance(x, y), found, component, "the distance must be the same when asked twice", 0.0)
    alone = torch.cat([distance(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    agree(alone, found, component, "the distance of a pair must not depend on its neighbours", tolerance)
    moving = x.clone().requires_grad_()
    finite_gradient(distance(moving, y).sum(), moving, component, "the distance must pass gradients to the images")
    same = x.clone().requires_grad_()
    finite_gradient(distance(same, x).sum(), same, component, "gradients at equal images must be finite", zero=True)
    return found.detach()


def _pictures(seed: int, size: int | Sequence[int], network: nn.Module) -> Tensor:
    """(2, 3, h, w) smooth random pictures in [-1, 1], where the network's parameters are."""
    height, width = (size, size) if isinstance(size, int) else size
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    like = next(iter(network.state_dict().values()), coarse)
    return nn.functional.interpolate(coarse, (height, width), mode="bilinear").to(like.device)
