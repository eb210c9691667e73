"""One chunk over everything."""

from __future__ import annotations

import torch

from chunkygan.components.mask_generators.single import Single
from chunkygan.testing import check_mask_generator


def test_it_keeps_the_contract() -> None:
    check_mask_generator(Single((6, 4)))


def test_one_mask_of_ones() -> None:
    single = Single((6, 4))
    assert torch.equal(single(), torch.ones(1, 1, 6, 4))
    assert single.names == ("image",) and single.static() is None


def test_nothing_is_trained() -> None:
    assert not list(Single((4, 4)).parameters())


def test_the_mask_follows_the_module() -> None:
    assert Single((4, 4)).to(torch.float64)().dtype == torch.float64
