"""The contract checks of networks that see attributes, classes and codes."""

from __future__ import annotations

import torch

from chunkygan.interfaces import (
    Classifier,
    Discriminator,
    Encoder,
    Generator,
    Parser,
)
from chunkygan.testing.networks import check_frozen, check_rows, check_words, two_pictures
from chunkygan.testing.rules import agree, finite_gradient, refuses, require, shaped


def check_discriminator(discriminator: Discriminator) -> None:
    """Shapes, refusals, any batch size, gradients to pictures and parameters, and a gradient penalty's.

    Args:
        discriminator: is set to evaluation mode.

    Raises:
        ComponentError: the discriminator breaks its contract.
    """
    discriminator.eval()
    images = two_pictures(0, discriminator.resolution, discriminator).repeat(2, 1, 1, 1)[:3].requires_grad_()
    c = torch.eye(3, discriminator.c_dim).to(images.device) if discriminator.c_dim else None
    logits = discriminator(images, c)
    places = tuple(logits.shape[1:2])
    shaped(logits, (3, *places), discriminator, "logits")
    shaped(discriminator(images[:1], c if c is None else c[:1]), (1, *places), discriminator, "logits of one picture")
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
    refuses(lambda: discriminator(images[..., :-1], c), discriminator, "images of another size")
    refuses(lambda: discriminator(images, wrong), discriminator, "a class vector where it takes none, or none")


def check_classifier(classifier: Classifier, *, size: int | tuple[int, int] = 64, tolerance: float = 1e-4) -> None:
    """Names, frozen network, one row of attributes a picture whatever its neighbours, and gradients to the pictures.

    Args:
        size: side, or (height, width), of the pictures it is tried on.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the classifier breaks its contract.
    """
    check_words(classifier, "names", classifier.names)
    check_frozen(classifier)
    check_rows(classifier, (len(classifier.names),), size, tolerance)


def check_parser(parser: Parser, *, size: int | tuple[int, int] = 64, tolerance: float = 1e-4) -> None:
    """Classes, frozen network, logits at the pictures' size whatever their neighbours, and gradients to the pictures.

    Args:
        size: side, or (height, width), of the pictures it is tried on.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the parser breaks its contract.
    """
    check_words(parser, "classes", parser.classes)
    check_frozen(parser)
    pictures = two_pictures(0, size, parser)
    check_rows(parser, (len(parser.classes), *pictures.shape[-2:]), size, tolerance)
    labels = parser.labels(pictures)
    require(torch.equal(labels, parser(pictures).argmax(1)), parser, "labels must be the classes of the largest logits")


def check_encoder(encoder: Encoder, generator: Generator, *, tolerance: float = 1e-4) -> None:
    """Codes of the generator's shape, finite, the same when asked twice, none depending on its neighbours.

    Args:
        generator: whose codes it predicts; its resolution is that of the pictures.
        tolerance: largest difference that counts as rounding.

    Raises:
        ComponentError: the encoder breaks its contract.
    """
    check_frozen(encoder)
    images = two_pictures(0, generator.resolution, generator)
    codes = encoder(images)
    shaped(codes, (len(images), generator.num_ws, generator.w_dim), encoder, "the codes of two pictures")
    require(bool(codes.isfinite().all()), encoder, "codes must be finite")
    require(not torch.equal(codes[0], codes[1]), encoder, "different pictures must get different codes")
    require(torch.equal(encoder(images), codes), encoder, "codes must be the same when asked twice; they differed")
    alone = torch.cat([encoder(image[None]) for image in images])
    agree(alone, codes, encoder, "the code of a picture must not depend on its neighbours", tolerance)
    same = encoder(images.repeat_interleave(2, -1).repeat_interleave(2, -2))
    shaped(same, codes.shape, encoder, "the codes of pictures of twice the size")
