"""Distances compared on pairs whose order is known."""

from __future__ import annotations

import pytest
import torch

from chunkygan.build import create
from chunkygan.components.datasets.procfaces import ProcFaces
from chunkygan.lightning.perceptual_comparison import compared, held_out_batches
from chunkygan.lightning.perceptual_training import score
from chunkygan.weights import is_present, manifest


def test_the_pairs_are_those_a_training_is_scored_on(tmp_path, pixels):
    from safetensors.torch import save_file

    from chunkygan.components.perceptual.domain_backbone import DomainBackbone

    torch.manual_seed(0)
    backbone = DomainBackbone((4, 8))
    save_file(backbone.state_dict(), tmp_path / "net.safetensors", metadata=backbone.metadata("toy"))
    toy = create("perceptual", {"name": "lpips", "net": "toy", "weights": tmp_path / "net.safetensors"})
    faces = ProcFaces(32, count=1, supersampling=1)
    expected = score(backbone, faces, batches=3)
    found = compared([toy, pixels], held_out_batches(faces, batches=3))
    for group in ("all", "one_kind", "two_kinds"):
        assert found["lpips_toy"][group] == pytest.approx(expected[group], abs=0.03)
        assert found["lpips_pixels"][group] == pytest.approx(expected[f"{group}_l2"])


@pytest.mark.realdata
@pytest.mark.slow
def test_the_domains_network_orders_pairs_as_well_as_squeeze(realdata):
    weights = realdata / "backbones" / "squeezenet1_1-torchvision-fp16.pth"
    if not weights.exists() or not is_present(manifest()["procfaces_128_perceptual"]):
        pytest.skip("needs SqueezeNet's weights and the domain's own")
    squeeze = create("perceptual", {"name": "lpips", "net": "squeeze", "weights": str(weights)})
    own = create("perceptual", {"name": "lpips", "net": "procfaces", "weights": "procfaces_128_perceptual"})
    found = compared([own, squeeze], held_out_batches(ProcFaces(128, count=1, supersampling=1)))
    print(found)
    assert found["lpips_procfaces"]["all"] >= found["lpips_squeeze"]["all"] - 0.02
