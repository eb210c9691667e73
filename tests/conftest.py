"""What all tests share: folders with a reason to skip, no network, few threads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported, here or in a process that a test starts: more threads than cores are slower.
os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))
os.environ.setdefault("MKL_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

ROOT = Path(__file__).resolve().parents[1]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / default))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; name it in {variable}")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real weights and photographs (CHUNKYGAN_REALDATA); the test skips where it is absent."""
    return _folder("CHUNKYGAN_REALDATA", "realdata")


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of reference numbers (CHUNKYGAN_FIXTURES); the test skips where it is absent."""
    return _folder("CHUNKYGAN_FIXTURES", "fixtures")


@pytest.fixture(scope="session")
def tests_data() -> Path:
    """tests/data, which every checkout has."""
    return ROOT / "tests" / "data"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses every connection but those to this machine: a test, or a library in it, must not reach out."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise OSError(f"tests must not use the network; tried {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


@pytest.fixture(autouse=True)
def _gpu_there(request: pytest.FixtureRequest) -> None:
    """Skips a test marked `gpu` where there is none."""
    if request.node.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    from chunkygan import registry

    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


@pytest.fixture
def run_python(tmp_path: Path) -> Run:
    """Runs Python in a process of its own, in an empty folder: ``run_python("-c", "...", env={"PYTHONPATH": ...})``."""

    def run(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path = tmp_path) -> Any:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH into which a third-party package was really built and installed.

    The package (tests/data/plugin_package) adds the latent spaces ``halfway`` and, to fail, ``broken`` by entry points.
    """
    import shutil

    work = tmp_path_factory.mktemp("plugin")
    source, target = work / "source", work / "installed"
    shutil.copytree(ROOT / "tests" / "data" / "plugin_package", source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture(scope="session")
def tiny() -> Any:
    """A StyleGAN2 with random weights that draws 32 x 32 pictures in a millisecond, frozen."""
    import torch

    from chunkygan.components.generators.stylegan2 import StyleGAN2
    from chunkygan.sampling import mean_w

    torch.manual_seed(0)
    generator = StyleGAN2(32, z_dim=16, w_dim=16, mapping_layers=2, channels=[24, 24, 16, 8])
    for conv in generator._convs():
        conv.noise_strength.data.fill_(0.1)
        conv.bias.data.normal_(std=0.2)
    generator.requires_grad_(False).eval()
    generator.map.w_avg.copy_(mean_w(generator))
    return generator


@pytest.fixture(scope="session")
def pixels() -> Any:
    """A perceptual distance that only compares pixels."""
    from torch import Tensor

    from chunkygan.interfaces import Perceptual

    class Pixels(Perceptual):
        name = "lpips_pixels"

        def features(self, images: Tensor) -> list[Tensor]:
            return [images]

        def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
            return (a[0] - b[0]).square().mean((1, 2, 3))

    return Pixels()


@pytest.fixture
def halves() -> Any:
    """Masks of two chunks at 32 x 32, `left` and `right`, with a soft border."""
    import torch

    from chunkygan.components.mask_generators.painted import Painted

    left = torch.linspace(2.5, -1.5, 32).clamp(0, 1).expand(32, 32)
    return Painted((32, 32), array=torch.stack([left, 1 - left]).numpy(), names=["left", "right"])


@pytest.fixture
def tiny_run(tmp_path: Path, tiny: Any) -> Path:
    """A folder with ``face.png``, its painted ``face_masks.png`` and ``recipe.yaml``: an inversion of two steps."""
    import torch
    from safetensors.torch import save_file

    from chunkygan.components.perceptual.domain_backbone import DomainBackbone
    from chunkygan.generator_file import write_generator
    from chunkygan.images import write_image
    from chunkygan.labels import colour_labels

    torch.manual_seed(1)
    write_generator(tiny, tmp_path / "generator.safetensors")
    backbone = DomainBackbone([4, 8], [0.0] * 3, [1.0] * 3)
    save_file(backbone.state_dict(), tmp_path / "perceptual.safetensors", metadata=backbone.metadata("tiny"))
    write_image(tmp_path / "face.png", tiny.synthesis(tiny.styles(tiny.mapping(torch.randn(1, 16)))).clamp(-1, 1))
    labels = (torch.arange(32).expand(32, 32) >= 16).long()
    write_image(tmp_path / "face_masks.png", colour_labels(labels, [(200, 30, 30), (30, 30, 200)]))
    (tmp_path / "recipe.yaml").write_text(
        f"""job: invert
generator: {{name: stylegan2, weights: {tmp_path}/generator.safetensors}}
perceptual: {{name: lpips, net: tiny, weights: {tmp_path}/perceptual.safetensors}}
mask_generator: {{name: painted, path: "{tmp_path}/{{stem}}_masks.png"}}
inverter: {{name: optimization, steps: 2, l2: 0.5}}
trainer: {{accelerator: cpu}}
output: {{gif_frames: 2}}
"""
    )
    return tmp_path


@pytest.fixture(scope="session")
def tiny_head(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a segmentation head for `tiny`: four classes that divide its pictures unevenly, `none` nowhere."""
    import torch

    from chunkygan.components.seg_heads.datasetgan_mlp import DatasetGanMlp
    from chunkygan.network_file import write_network

    with torch.random.fork_rng():
        torch.manual_seed(2)
        head = DatasetGanMlp(tiny, ["sky", "sea", "sand", "none"], models=2)
        for one in head.classifiers:
            one.layers[0].weight.data.mul_(10)
            one.layers[6].weight.data.mul_(20)
            one.layers[6].bias.data[3] = -40.0
    config = {key: value for key, value in head.config.items() if key != "kind"}
    return write_network(tmp_path_factory.mktemp("head") / "head.safetensors", "seg_head", config, head.eval())
