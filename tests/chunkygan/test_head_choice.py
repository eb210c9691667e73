"""Which head belongs to a generator: that of the masks, or of the domain that its weight file tells."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from chunkygan.components.seg_heads.datasetgan_mlp import DatasetGanMlp
from chunkygan.editing.edit_words import domains_of
from chunkygan.errors import ProjectionError
from chunkygan.head_choice import head_for, painted_classes
from chunkygan.labels import distinct_colours
from chunkygan.weights import manifest


@dataclass
class Stub:
    """What is looked at of a projection."""

    generator: Any
    generator_sha256: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)


def test_a_domain_is_told_by_its_generators_file_and_names_a_head():
    (domain,) = domains_of(manifest()["procfaces_128_generator"].sha256)
    assert domain.name == "procfaces_128" and manifest()[domain.seg_head].kind == "seg_head"
    assert domains_of(None) == [] and domains_of("0" * 64) == []


def test_the_head_named_comes_first_then_that_of_the_masks(tiny, tiny_head):
    made = Stub(tiny, recipe={"mask_generator": {"name": "seghead", "weights": str(tiny_head)}})
    assert head_for(made).classes == head_for(Stub(tiny), str(tiny_head)).classes == ("sky", "sea", "sand", "none")
    with pytest.raises(ProjectionError, match="--head"):
        head_for(Stub(tiny))


def test_classes_have_their_domains_colours_or_distinct_ones(tiny, tiny_head):
    own = painted_classes(Stub(tiny, recipe={"domain": "procfaces_128"}), DatasetGanMlp(tiny, weights=tiny_head))
    assert [list(c.colour) for c in own] == distinct_colours(4).tolist()
    faces = painted_classes(
        Stub(tiny, recipe={"domain": "procfaces_128"}), DatasetGanMlp(tiny, ["background", "hair"], models=1)
    )
    assert [c.colour for c in faces] == [(0, 0, 0), (0, 0, 204)]
