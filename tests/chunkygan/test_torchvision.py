"""The remedy for a torchvision without its compiled part, in interpreters of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run(script: str) -> str:
    """What a fresh interpreter prints; fails with its error output."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("package", ["pytorch_lightning", "lpips", "torchvision", "torchmetrics.image.lpip"])
def test_package_can_be_imported_afterwards(package) -> None:
    assert run(f"import chunkygan._torchvision, {package}; print('imported')").endswith("imported")


def test_doing_it_twice_is_doing_it_once() -> None:
    run("""
        from chunkygan import _torchvision
        first = _torchvision._library
        _torchvision.ensure_importable()
        assert _torchvision._library is first
        import torchvision
        _torchvision.ensure_importable()
        assert _torchvision._library is first
    """)


def test_without_torchvision_not_even_torch_is_imported() -> None:
    run("""
        import importlib.util, sys
        importlib.util.find_spec = lambda name: None
        from chunkygan import _torchvision
        assert _torchvision._library is None
        assert "torch" not in sys.modules
    """)


def test_nothing_is_declared_where_the_compiled_part_loads() -> None:
    run("""
        import torch
        kept = torch.library.Library("torchvision", "DEF")
        def load_library(path):
            if not hasattr(torch.ops.torchvision, "nms"):
                kept.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                kept.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.ops.load_library = load_library
        from chunkygan import _torchvision
        assert hasattr(torch.ops.torchvision, "nms")
        assert _torchvision._library is None
    """)


def test_the_compiled_part_is_tried_before_anything_is_declared() -> None:
    run("""
        import torch
        tried = []
        def load_library(path):
            tried.append(hasattr(torch.ops.torchvision, "nms"))
            raise OSError("no such symbol")
        torch.ops.load_library = load_library
        from chunkygan import _torchvision
        assert tried == [False], tried
        assert hasattr(torch.ops.torchvision, "nms")
    """)
