"""Masks from a segmentation head: chunks of classes, temperature, small chunks, and where the code begins."""

import pytest
import torch

from chunkygan.components.mask_generators.seghead import SegHeadMasks
from chunkygan.components.mask_generators.seghead_chunks import Chunks, chunks_of, without_small
from chunkygan.errors import ComponentError, ProjectionError, RecipeError, WeightsError
from chunkygan.testing import check_mask_generator

CLASSES = ("background", "l_eye", "r_eye", "skin", "hair")


@pytest.fixture
def make(tiny, tiny_head):
    def made(**options):
        return SegHeadMasks(tiny, (32, 32), **{"weights": tiny_head, "least": 0.0, **options})

    return made


@pytest.fixture
def picture(tiny):
    ws = tiny.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(8)))
    return tiny.synthesis(tiny.styles(ws)).detach()


@pytest.mark.parametrize("space", ["w", "w_plus"])
def test_it_keeps_the_contract(make, space):
    check_mask_generator(make(space=space))


def test_only_the_code_is_fitted(make, tiny):
    masks = make()
    assert [name for name, p in masks.named_parameters() if p.requires_grad] == ["offset"]
    assert set(masks.state_dict()) == {"offset", "start", "scale"}
    assert torch.equal(masks.fitted()["code"], tiny.w_avg.expand(tiny.num_ws, -1))


def test_masks_are_the_heads_classes_where_nothing_is_merged(make):
    masks = make()
    assert masks.names == ("sky", "sea", "sand", "none")
    torch.testing.assert_close(masks(), masks.logits().softmax(1))


def test_a_chunk_is_the_sum_of_its_classes(make):
    apart, together = make(), make(chunks={"beach": ["sea", "sand"]})
    assert together.names == ("beach", "rest")
    torch.testing.assert_close(together()[0, 0], apart()[0, 1] + apart()[0, 2])


def test_a_lower_temperature_makes_sharper_masks(make):
    soft, sharp = (make(temperature=t)().max(1).values.mean() for t in (2.0, 0.25))
    assert sharp > soft


def test_another_code_moves_the_masks(make):
    masks = make()
    before = masks().detach()
    masks.offset.data.normal_(std=2.0, generator=torch.Generator().manual_seed(0))
    assert (masks() - before).abs().max() > 0.05


def test_absent_classes_are_merged_into_the_rest_or_dropped(make):
    assert make(least=0.003, small="keep").names == ("sky", "sea", "sand", "none")
    assert make(least=0.003, small="drop").names == ("sky", "sea", "sand")
    merged = make(least=0.003, small="merge")
    assert merged.names == ("sky", "sea", "sand", "rest")
    torch.testing.assert_close(merged()[0, 3], make()()[0, 3])


def test_a_dropped_class_leaves_its_pixels_to_the_next_likeliest():
    logits = torch.tensor([3.0, 2.0, 0.0]).reshape(1, 3, 1, 1)
    shares = Chunks({"b": (1,), "c": (2,)}).masks(logits, 1.0)[0, :, 0, 0]
    torch.testing.assert_close(shares, torch.tensor([2.0, 0.0]).softmax(0))


def test_left_and_right_stay_apart_when_asked():
    chunks = chunks_of(CLASSES, {"left": ["l_eye"], "right": ["r_eye"]}, "rest")
    assert chunks.members == {"left": (1,), "right": (2,), "rest": (0, 3, 4)}


def test_the_largest_chunk_is_never_dropped():
    chunks = without_small(chunks_of(CLASSES, None, "rest"), [0.2] * 4 + [0.21], least=0.5, small="drop", rest="rest")
    assert chunks.names == ("hair",)


def test_all_mistakes_in_chunks_are_told_at_once():
    groups = {"eyes": ["l_eye", "reye"], "left": ["l_eye"], "void": [], "rest": ["skin"]}
    with pytest.raises(RecipeError) as raised:
        chunks_of(CLASSES, groups, "rest")
    text = str(raised.value)
    assert "did you mean 'r_eye'" in text and "'l_eye' is in two chunks" in text
    assert "chunks.void: has no class" in text and "'rest' is a chunk's name" in text


def test_the_bank_begins_at_the_sample_that_looks_like_the_picture(make, tiny):
    ws = tiny.mapping(torch.randn(50, 16, generator=torch.Generator().manual_seed(0)), truncation=0.7)[30:31]
    near = tiny.synthesis(tiny.styles(ws), noise="none")
    torch.testing.assert_close(make(image=near, start="bank", bank_samples=50).start, ws[0])


def test_a_projection_begins_nearer_than_a_bank(make, tiny, picture, pixels):
    def miss(**options):
        masks = make(image=picture, perceptual=pixels, **options)
        drawn = tiny.synthesis(masks.space.to_styles(masks.code()[None]))
        return float((drawn - picture).detach().square().mean())

    assert miss(start="projection", start_steps=20) < miss(start="bank")


def test_a_head_for_another_generator_is_refused(tiny_head):
    from chunkygan.components.generators.stylegan2 import StyleGAN2

    other = StyleGAN2(16, z_dim=16, w_dim=16, mapping_layers=1, channels=[8, 8, 8]).requires_grad_(False)
    with pytest.raises(ComponentError, match="for another generator"):
        SegHeadMasks(other, (16, 16), weights=tiny_head)


def test_a_temperature_of_zero_is_refused(make):
    with pytest.raises(RecipeError, match="temperature"):
        make(temperature=0.0)


def test_a_code_that_gives_no_numbers_is_told(make, monkeypatch):
    from chunkygan.components.latent_spaces.w_plus import WPlus

    mean = WPlus.mean
    monkeypatch.setattr(WPlus, "mean", lambda self: mean(self) * float("nan"))
    with pytest.raises(ProjectionError, match="masks that are no numbers"):
        make()


def test_a_head_whose_weights_are_no_numbers_is_told(tiny, tiny_head, tmp_path):
    from chunkygan.tensor_files import read_safetensors, write_safetensors

    metadata, state = read_safetensors(tiny_head)
    state["classifiers.0.layers.6.bias"][0] = float("nan")
    write_safetensors(tmp_path / "bad.safetensors", state, metadata)
    with pytest.raises((ProjectionError, WeightsError), match="no numbers|finite"):
        SegHeadMasks(tiny, (32, 32), weights=tmp_path / "bad.safetensors")
