"""What each job's recipe may say at its top level. Data only: recipes are checked against it, commands read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

REQUIRED = object()
"""The default of a key that a recipe, or its domain, must set."""


@dataclass(frozen=True)
class Key:
    """One top-level key of a job.

    Args:
        kind: the registry kind of the component it names; None for other keys.
        many: ``"list"`` or ``"map"`` where it holds several components, or several maps of `fields`.
        fields: the keys of each of several maps.
        section: ``"module:callable"`` whose signature the section's keys must fit.
        injected: arguments of `section` that the framework fills.
        presets: words that may stand in a list of components, or in place of it, each for several of them.
        type: annotation of a plain value.
        default: what an absent key means.
        nullable: whether ``null`` may be said to go without.
    """

    kind: str | None = None
    many: Literal["list", "map"] | None = None
    fields: dict[str, Key] | None = None
    section: str | None = None
    injected: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    type: Any = None
    default: Any = REQUIRED
    nullable: bool = False


INJECTED: dict[str, tuple[str, ...]] = {
    "generator": ("device",),
    "discriminator": ("resolution", "c_dim"),
    "latent_space": ("generator", "device"),
    "encoder": ("generator", "device"),
    "inverter": ("generator", "device", "seed", "trainer"),
    "mask_generator": ("generator", "size", "image", "perceptual", "seed", "classes", "device", "fitted"),
    "seg_head": ("generator", "classes", "device"),
    "perceptual": ("device",),
    "identity": ("device",),
    "classifier": ("device",),
    "parser": ("device",),
    "landmarks": ("device",),
    "edit": ("generator", "device"),
    "blender": ("device",),
    "dataset": ("seed", "device"),
}
"""Kind -> constructor arguments that the framework fills in where a component asks for them; no recipe sets them."""

MEASURE_PRESETS = ("chunky", "celebahq_256_alex")
"""What an evaluation's `measures` may name; `chunkygan.evaluation.measures` tells what each one is."""

_COMMON = {
    "job": Key(type=str),
    "plugins": Key(type=list[str], default=[]),
    "domain": Key(type=str, default=None, nullable=True),
    "seed": Key(type=int, default=0),
}
_TRAINER = Key(section="chunkygan.lightning.trainer:trainer_options", default={})


def _training(module: str, **parts: Key) -> dict[str, Key]:
    """Keys of a training whose `train` takes the components `parts` by their specs."""
    injected = ("out_dir", "seed", "dataset", "domain", "trainer", *parts)
    return {
        **_COMMON,
        "dataset": Key(kind="dataset"),
        **parts,
        "training": Key(section=f"{module}:train", injected=injected, default={}),
        "trainer": _TRAINER,
    }


_FITS = {
    **_COMMON,
    "generator": Key(kind="generator"),
    "images": Key(section="chunkygan.evaluation.image_sets:image_source"),
    "mask_generator": Key(kind="mask_generator", default=None, nullable=True),
    "inverter": Key(kind="inverter", default={"name": "optimization"}),
    "rows": Key(
        many="map",
        fields={
            "latent_space": Key(kind="latent_space"),
            "chunks": Key(type=bool, default=False),
            "inverter": Key(type=dict, default={}),
            "against": Key(type=str, default=""),
            "mask_generator": Key(kind="mask_generator", default=None, nullable=True),
        },
    ),
    "perceptual": Key(kind="perceptual"),
}
"""Keys of evaluations that fit every picture of a set for every row of a table."""


JOBS: dict[str, dict[str, Key]] = {
    "invert": {
        **_COMMON,
        "generator": Key(kind="generator"),
        "latent_space": Key(kind="latent_space", default={"name": "w_plus"}),
        "chunk_spaces": Key(kind="latent_space", many="map", default={}),
        "mask_generator": Key(kind="mask_generator", default={"name": "single"}),
        "inverter": Key(kind="inverter", default={"name": "optimization"}),
        "perceptual": Key(kind="perceptual"),
        "identity": Key(kind="identity", default=None, nullable=True),
        "photo": Key(section="chunkygan.photos.photo_alignment:PhotoOptions", default={}),
        "batch": Key(type=int, default=1),
        "trainer": _TRAINER,
        "output": Key(section="chunkygan.inversion:OutputOptions", default={}),
    },
    "evaluate_fidelity": {
        **_FITS,
        "measures": Key(kind="perceptual", many="list", presets=MEASURE_PRESETS, default=[]),
        "identity": Key(kind="identity", default=None, nullable=True),
        "trainer": _TRAINER,
    },
    "evaluate_editability": {
        **_FITS,
        "identity": Key(kind="identity"),
        "classifier": Key(kind="classifier"),
        "edits": Key(
            many="map",
            fields={
                "direction": Key(type=str, default=""),
                "attribute": Key(type=str, default=""),
                "chunks": Key(type=list[str], default=[]),
            },
        ),
        "directions": Key(type=list[str], default=[]),
        "calibration": Key(section="chunkygan.evaluation.calibration:Calibration", default={}),
        "trainer": _TRAINER,
    },
    "train_generator": _training(
        "chunkygan.lightning.generator_training", perceptual=Key(kind="perceptual", default=None, nullable=True)
    ),
    "train_generator_adversarial": _training(
        "chunkygan.lightning.adversarial_run",
        discriminator=Key(kind="discriminator", default={"name": "stylegan2"}),
        perceptual=Key(kind="perceptual", default=None, nullable=True),
    ),
    "train_perceptual": _training("chunkygan.lightning.perceptual_training"),
    "train_attributes": _training("chunkygan.lightning.attribute_training"),
    "train_identity": _training("chunkygan.lightning.identity_training"),
    "train_parser": _training("chunkygan.lightning.parser_training"),
    "train_encoder": {
        **_training(
            "chunkygan.lightning.encoder_run",
            generator=Key(kind="generator"),
            perceptual=Key(kind="perceptual", default=None, nullable=True),
            identity=Key(kind="identity", default=None, nullable=True),
        ),
        "dataset": Key(kind="dataset", default=None, nullable=True),
    },
    "find_directions": {
        **_COMMON,
        "generator": Key(kind="generator"),
        "classifier": Key(kind="classifier"),
        "identity": Key(kind="identity", default=None, nullable=True),
        "truth": Key(kind="dataset", default=None, nullable=True),
        "training": Key(
            section="chunkygan.direction_search.job:train",
            injected=("out_dir", "seed", "generator", "classifier", "identity", "truth", "trainer"),
            default={},
        ),
        "trainer": _TRAINER,
    },
    "train_styleflow": {
        **_COMMON,
        "generator": Key(kind="generator"),
        "classifier": Key(kind="classifier"),
        "training": Key(
            section="chunkygan.lightning.flow_training:train",
            injected=("out_dir", "seed", "generator", "classifier", "trainer"),
            default={},
        ),
        "trainer": _TRAINER,
    },
    "train_seghead": {
        **_COMMON,
        "generator": Key(kind="generator"),
        "seg_head": Key(kind="seg_head", default={"name": "datasetgan_mlp"}),
        "parser": Key(kind="parser", default=None, nullable=True),
        "perceptual": Key(kind="perceptual", default=None, nullable=True),
        "training": Key(
            section="chunkygan.lightning.seghead_training:train",
            injected=("out_dir", "seed", "generator", "seg_head", "parser", "perceptual", "trainer"),
            default={},
        ),
        "trainer": _TRAINER,
    },
    "evaluate_annotations": {
        **_COMMON,
        "generator": Key(kind="generator"),
        "seg_head": Key(kind="seg_head", default={"name": "datasetgan_mlp"}),
        "parser": Key(kind="parser", default=None, nullable=True),
        "training": Key(
            section="chunkygan.lightning.seghead_evaluation:train",
            injected=("out_dir", "seed", "generator", "seg_head", "parser", "trainer"),
            default={},
        ),
        "trainer": _TRAINER,
    },
}
"""Job -> its keys, in the order in which a resolved recipe is written."""
