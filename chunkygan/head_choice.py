"""Which segmentation head belongs to a projection, and in which colours its classes are painted."""

from __future__ import annotations

from chunkygan.build import create
from chunkygan.domain import LabelClass, load_domain
from chunkygan.editing.edit_words import domains_of
from chunkygan.errors import ProjectionError
from chunkygan.interfaces import SegHead
from chunkygan.labels import distinct_colours
from chunkygan.projection import Projection


def head_for(projection: Projection, weights: str | None = None) -> SegHead:
    """A head that tells classes in what the projection's generator draws.

    Args:
        weights: name or file; None: the head that made its masks, or the one that the generator's domain brings.

    Raises:
        ProjectionError: there is none.
        ComponentError: the head is for another generator.
        WeightsError: its file is missing or damaged.
    """
    name, chosen = "datasetgan_mlp", weights
    masks = projection.recipe.get("mask_generator") or {}
    if chosen is None and masks.get("name") == "seghead":
        name, chosen = masks.get("head", name), masks.get("weights")
    if chosen is None:
        chosen = next((d.seg_head for d in domains_of(projection.generator_sha256) if d.seg_head), None)
    if chosen is None:
        raise ProjectionError(
            "no segmentation head is known for the projection's generator; name its file with --head "
            "(chunkygan train train_seghead makes one)"
        )
    head: SegHead = create("seg_head", {"name": name, "weights": chosen}, generator=projection.generator)
    return head


def painted_classes(projection: Projection, head: SegHead) -> tuple[LabelClass, ...]:
    """The head's classes, in the colours of the projection's domain where it has them all, else in distinct ones."""
    name = projection.recipe.get("domain")
    colours = {c.name: c.colour for c in load_domain(name).classes} if name else {}
    if not all(label in colours for label in head.classes):
        table = distinct_colours(len(head.classes)).tolist()
        colours = {label: (r, g, b) for label, (r, g, b) in zip(head.classes, table)}
    return tuple(LabelClass(label, colours[label]) for label in head.classes)
