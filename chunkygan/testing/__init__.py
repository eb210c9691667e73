"""Contract checks that a component's author calls in a test of their own: one function a kind of component.

    from chunkygan.testing import check_latent_space

    def test_my_space_keeps_the_contract():
        check_latent_space(MySpace(generator))

Each returns None, or raises `ComponentError` with the rule that was broken and what came instead. They run on any
device, draw their random numbers from seeds of their own, and are quick on a small generator.
"""

from chunkygan.testing.blenders import check_blender
from chunkygan.testing.generators import check_generator
from chunkygan.testing.latent_spaces import check_latent_space
from chunkygan.testing.mask_generators import check_mask_generator
from chunkygan.testing.measures import check_identity, check_perceptual
from chunkygan.testing.seeing import check_classifier, check_discriminator, check_encoder, check_parser

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
