"""Windows of a batch of samples, drawn: the lowest blocks whole, from there on windows of like size as one batch.

The rectangles of a batch are of one size at every resolution, each at its own place. Where one reaches out of the
picture it holds zeros there, which is what the layers pad with: every window is as exact as one drawn alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from chunkygan.components.generators.stylegan2_costs import Group
from chunkygan.components.generators.stylegan2_layers import Area, Modulation, cropped, missing, upsample_image
from chunkygan.components.generators.stylegan2_regions import Stretches, clip, plan_together
from chunkygan.components.generators.stylegan2_synthesis import (
    Drawn,
    Inputs,
    Synthesis,
    first_conv,
    joined_drawn,
    joined_inputs,
)
from chunkygan.types import Window

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Places:
    """Rows and columns of one block's rectangles."""

    rows: Stretches
    columns: Stretches

    @property
    def size(self) -> Size:
        """Of the whole picture at this resolution."""
        return self.rows.regions.length, self.columns.regions.length

    @property
    def inputs(self) -> list[Area]:
        """What is needed at the resolution below."""
        return [*zip(self.rows.inputs, self.columns.inputs)]

    @property
    def middle(self) -> list[Area]:
        """What the upsampling convolution gives."""
        return [*zip(self.rows.middle, self.columns.middle)]

    @property
    def features(self) -> list[Area]:
        """What the block gives."""
        return [*zip(self.rows.features, self.columns.features)]

    def inside(self, like: Tensor) -> Tensor | None:
        """(n, 1, h, w): 1 in the picture and 0 out of it, of `middle`; None where all is in it."""
        if all(_clipped(area, self.size) == area for area in self.middle):
            return None
        ones = like.new_ones(()).expand(1, 1, *self.size)
        whole = (0, self.size[0]), (0, self.size[1])
        return gathered([ones] * len(self.middle), [whole] * len(self.middle), self.middle, self.size)


def group_drawing(
    network: Synthesis, inputs: Inputs, windows: Sequence[Window], owners: Sequence[int], groups: Sequence[Group]
) -> Callable[[Group], list[Tensor]]:
    """What draws a group's windows, (1, 3, wh, ww) each. The blocks that are drawn whole are drawn at once.

    Args:
        inputs: of the batch of samples, for as many blocks as the windows' picture has.
        owners: the sample that each window is drawn of.
        groups: those that will be drawn.
    """
    levels, own = len(inputs.colours), inputs.split()
    wanted = {(owners[number], group.begin) for group in groups for number in group.windows}
    begun = _begun(network, inputs, own, wanted)

    def alone(number: int, begin: int) -> Tensor:
        window, owner = windows[number], owners[number]
        if begin == levels:
            rows, columns = window.slices
            return _image(begun[owner, begin])[..., rows, columns]
        plan = network.plan(levels, window)
        return _image(network.draw(1, plan, own[owner], begun=begun.get((owner, begin)), begin=begin))

    def draw(group: Group) -> list[Tensor]:
        begin, members = group
        if len(members) == 1 or begin == levels:
            return [alone(number, begin) for number in members]
        parts = [begun[owners[number], begin] for number in members]
        inputs, areas = [own[owners[number]] for number in members], [windows[number] for number in members]
        return draw_together(network, parts, inputs, areas, begin)

    return draw


def _begun(
    network: Synthesis, inputs: Inputs, own: Sequence[Inputs], wanted: Collection[tuple[int, int]]
) -> dict[tuple[int, int], Drawn]:
    """Samples drawn whole up to some of the blocks, by sample and number of blocks."""
    found: dict[tuple[int, int], Drawn] = {}
    samples, batch, begin = [*range(len(own))], None, 0
    for end in sorted({end for _, end in wanted if end}):
        further = [sample for sample in samples if any(of == sample and upto >= end for of, upto in wanted)]
        if further != samples:
            inputs = joined_inputs([own[sample] for sample in further])
            batch = batch and joined_drawn([found[sample, begin] for sample in further])
        batch = network.draw(len(further), network.plan(end), inputs, begun=batch, begin=begin)
        found.update({(sample, end): drawn for sample, drawn in zip(further, batch.split())})
        samples, begin = further, end
    return found


def draw_together(
    network: Synthesis, begun: Sequence[Drawn], inputs: Sequence[Inputs], windows: Sequence[Window], begin: int
) -> list[Tensor]:
    """The pictures of samples, each in a window of its own, (1, 3, wh, ww); one batch from block `begin` on.

    Args:
        begun: each sample, drawn whole up to there.
        inputs: of each sample.
    """
    blocks = network.blocks[: len(inputs[0].colours)]
    rows = plan_together(tuple(block.size[0] for block in blocks), tuple((w.top, w.bottom) for w in windows), begin)
    columns = plan_together(tuple(block.size[1] for block in blocks), tuple((w.left, w.right) for w in windows), begin)
    places = [Places(*axes) for axes in zip(rows, columns)]
    whole = [drawn.area for drawn in begun]
    x = gathered([drawn.x for drawn in begun], whole, places[0].inputs, blocks[begin - 1].size)
    image = gathered([_image(drawn) for drawn in begun], whole, places[0].inputs, blocks[begin - 1].size)
    for level, place in enumerate(places, begin):
        x, image = _block(network, level, x, image, place, inputs)
        if level + 1 < len(blocks):
            have, wanted = place.features, places[level + 1 - begin].inputs
            x, image = (moved(values, have, wanted, place.size) for values in (x, image))
    areas = [((w.top, w.bottom), (w.left, w.right)) for w in windows]
    return [cropped(*of_one) for of_one in zip(image.split(1), places[-1].features, areas)]


def _block(
    network: Synthesis, level: int, x: Tensor, image: Tensor, place: Places, inputs: Sequence[Inputs]
) -> tuple[Tensor, Tensor]:
    """Features and picture of the rectangles of one block, from those of their inputs."""
    block, regions = network.blocks[level], (place.rows.regions, place.columns.regions)
    x = x.to(inputs[0].dtypes[level])
    for number, conv in enumerate(block.convs, first_conv(level)):
        areas = place.middle if conv.up else place.features
        noise = _noise([own.noises[number] for own in inputs], areas, place.size)
        inside = place.inside(x) if conv.up else None
        x = conv(x, Modulation.joined([own.modulations[number] for own in inputs]), noise, regions, inside)
    have = place.rows.regions.inputs, place.columns.regions.inputs
    up = upsample_image(image, regions[0].features, regions[1].features, have)
    return x, up + block.torgb(x, torch.cat([own.colours[level] for own in inputs]))


def moved(x: Tensor, have: Sequence[Area], wanted: Sequence[Area], size: Size) -> Tensor:
    """Other rectangles of a batch, of one size, from those that there are; zeros out of the picture.

    Args:
        x: (n, c, h, w), the rectangles `have`.
        size: of the whole picture.
    """
    steps = {tuple(want[axis][0] - has[axis][0] for axis in (0, 1)) for has, want in zip(have, wanted)}
    if len(steps) == 1 and all(_clipped(area, size) == area for area in wanted):
        return cropped(x, have[0], wanted[0])
    return gathered(x.split(1), have, wanted, size)


def gathered(parts: Sequence[Tensor], have: Sequence[Area], wanted: Sequence[Area], size: Size) -> Tensor:
    """As `moved`, from a tensor a rectangle, (1, c, h, w) each."""
    found = []
    for part, has, want in zip(parts, have, wanted):
        inside = _clipped(want, size)
        part = cropped(part, has, inside)
        if inside != want:
            part = F.pad(part, (*missing(want[1], inside[1]), *missing(want[0], inside[0])))
        found.append(part)
    return torch.cat(found)


def _clipped(area: Area, size: Size) -> Area:
    return clip(area[0], size[0]), clip(area[1], size[1])


def _noise(maps: Sequence[Tensor | None], areas: Sequence[Area], size: Size) -> Tensor | None:
    """(n, 1, h, w): each sample's noise on its rectangle."""
    known = [noise[None, None] if noise.ndim == 2 else noise for noise in maps if noise is not None]
    whole = (0, size[0]), (0, size[1])
    return gathered(known, [whole] * len(areas), areas, size) if known else None


def _image(drawn: Drawn) -> Tensor:
    assert drawn.image is not None
    return drawn.image
