"""What a plugin implements. Nothing here knows a component; `chunkygan.testing` checks a component against it."""

from chunkygan.interfaces.edits import Blender, Edit
from chunkygan.interfaces.generators import Discriminator, Generator
from chunkygan.interfaces.inverters import FitRequest, Inverter, SharingInverter
from chunkygan.interfaces.latent_spaces import LatentSpace
from chunkygan.interfaces.mask_generators import MaskGenerator
from chunkygan.interfaces.measures import Identity, Perceptual
from chunkygan.interfaces.seeing import Classifier, Encoder, LandmarkDetector, Parser, SegHead

__all__ = [
    "Blender",
    "Classifier",
    "Discriminator",
    "Edit",
    "Encoder",
    "FitRequest",
    "Generator",
    "Identity",
    "Inverter",
    "LandmarkDetector",
    "LatentSpace",
    "MaskGenerator",
    "Parser",
    "Perceptual",
    "SegHead",
    "SharingInverter",
]
