"""`chunkygan edit --cohere` and `--masks`: what they add to the list, what they write, and what they refuse."""

import json

import pytest
import torch

import chunkygan
from chunkygan.cli.main import main
from chunkygan.components.latent_spaces.w_plus import WPlus
from chunkygan.components.mask_generators.seghead import SegHeadMasks
from chunkygan.editing.direction import Direction
from chunkygan.editing.directions_file import write_directions
from chunkygan.images import read_image
from chunkygan.projection import Projection
from chunkygan.types import Codes, Segments
from chunkygan.weights import sha256

pytestmark = pytest.mark.filterwarnings("ignore:edit.*standard deviations")


@pytest.fixture
def folder(tiny_run, tiny, tiny_head):
    """``face``, with a segmentation head's masks, ``painted``, with masks without a code, and directions."""
    perceptual = {"name": "lpips", "net": "tiny", "weights": str(tiny_run / "perceptual.safetensors")}
    rng = torch.Generator().manual_seed(3)
    state = {"code": WPlus(tiny).sample(1, rng=rng)[0]}
    names = ("sky", "sea", "sand", "none")
    masks = SegHeadMasks(tiny, (32, 32), weights=tiny_head, fitted=(names, state), small="keep")
    with torch.no_grad():
        segments = Segments(masks()[0], names)
    weights = str(tiny_run / "generator.safetensors")
    for name, spec in (("face", {"name": "seghead", "weights": str(tiny_head), "small": "keep"}), ("painted", None)):
        (tiny_run / name).mkdir()
        Projection(
            torch.zeros(1, 3, 32, 32), Codes(tuple(WPlus(tiny).sample(4, rng=rng)), ({"name": "w_plus"},) * 4),
            segments, tiny, generator_spec={"name": "stylegan2", "weights": weights}, generator_sha256=sha256(weights),
            mask_state=state if spec else {},
            recipe={"perceptual": perceptual, "mask_generator": spec or {"name": "painted"}},
        ).save(tiny_run / name / "projection.safetensors")  # fmt: skip
    unit = torch.eye(16)[:2]
    directions = [Direction("yaw", "w", unit[0], geometric=True), Direction("smile", "w", unit[1])]
    write_directions(tiny_run / "directions.safetensors", directions, generator_sha256=None)
    return tiny_run


@pytest.fixture
def edit(folder):
    def run(*words, what="face"):
        options = ["--directions", str(folder), "--out", str(folder / "out")]
        return main(["edit", str(folder / what / "projection.safetensors"), *map(str, words), *options])

    return run


def edited(folder, what="face"):
    return chunkygan.load_projection(folder / "out" / what / "projection.safetensors")


@pytest.mark.parametrize(
    "words, moved",
    [
        (["--edit", "yaw=1"], [True]),
        (["--edit", "yaw=1", "--masks", "static"], [False]),
        (["--edit", "yaw=1", "--chunk", "sea"], [False]),
        (["--edit", "smile=1"], [False]),
        (["--edit", "smile=1", "--masks", "move", "--edit", "yaw=1", "--masks", "static"], [True, False]),
    ],
)
def test_masks_go_along_with_geometric_edits_of_all_chunks_or_where_they_are_told_to(folder, edit, words, moved):
    assert edit(*words) == 0
    made = edited(folder)
    assert [move.masks for move in made.edits] == moved
    assert torch.equal(made.masks, made.segments.masks) != any(moved)
    assert (folder / "out" / "face" / "masks.png").is_file() == any(moved)


def test_masks_that_cannot_move_rest_and_are_told_when_asked_to(folder, edit, capsys):
    assert edit("--edit", "yaw=1", what="painted") == 0
    assert not edited(folder, "painted").edits[0].masks
    assert edit("--edit", "yaw=1", "--masks", "move", what="painted") == 2
    assert "no code" in capsys.readouterr().err


def test_a_sweep_takes_masks_along(folder, edit):
    assert edit("--sweep", "yaw=-1:1:3") == 0
    plain, yaw = chunkygan.load_projection(folder / "face" / "projection.safetensors"), torch.eye(16)[0]
    shown = read_image(folder / "out" / "face" / "strip.png")
    for x, strength in ((0, -1.0), (32, 0.0), (64, 1.0)):
        frame = plain.edit(yaw, strength, masks=True).render().clamp(-1, 1)
        torch.testing.assert_close(shown[..., x : x + 32], frame, atol=0.01, rtol=0)


def test_cohere_adds_an_edit_and_says_what_it_did(folder, edit, capsys):
    assert edit("--edit", "smile=2", "--chunk", "sea", "--cohere", 3) == 0
    assert "chunks refined: sky, sea, sand" in capsys.readouterr().out
    made = edited(folder)
    assert [move.name for move in made.edits] == ["smile", "coherence"]
    told = json.loads((folder / "out" / "face" / "edit.json").read_text())
    assert told["disagreement"] == pytest.approx(made.mean_disagreement(), abs=1e-5)


def test_cohere_takes_chunks_and_goes_before_later_edits(folder, edit):
    assert edit("--edit", "smile=2", "--cohere", 2, "--chunk", "sand", "--edit", "yaw=0.5", "--masks", "static") == 0
    made = edited(folder)
    assert [move.name for move in made.edits] == ["smile", "coherence", "yaw"]
    assert made.edits[1].chunks == (2,)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--edit", "smile=1", "--cohere", "0"], "--cohere must be 1 or more steps"),
        (["--edit", "smile=1", "--cohere", "2", "--rows", "1:2"], "--rows 1:2 does not go with --cohere"),
        (["--edit", "smile=1", "--cohere", "2", "--chunk", "see"], "no chunk 'see'"),
        (["--masks", "move"], "--masks move belongs to an edit"),
    ],
)
def test_mistakes_get_one_message_and_exit_code_2(edit, capsys, words, message):
    assert edit(*words) == 2
    assert message in capsys.readouterr().err
