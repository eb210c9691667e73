"""Films: what was put in comes out, and what cannot be a film is told."""

from __future__ import annotations

import builtins

import av
import numpy as np
import pytest
from PIL import Image

from chunkygan.editing.video import write_video
from chunkygan.errors import ComponentError, ImageError


def frames(count: int = 5) -> list[Image.Image]:
    return [Image.new("RGB", (301, 256), (40 * i, 100, 255 - 40 * i)) for i in range(count)]


def test_a_film_plays_its_frames_in_order(tmp_path) -> None:
    write_video(frames(), tmp_path / "sweep.mp4", rate=25, hold=2)
    with av.open(str(tmp_path / "sweep.mp4")) as film:
        assert film.streams.video[0].codec_context.name == "h264"
        seen = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(seen) == 10 and seen[0].shape == (256, 300, 3)
    for i, frame in enumerate(seen[::2]):
        assert np.abs(frame.mean((0, 1)) - np.array([40 * i, 100, 255 - 40 * i])).max() < 6


def test_what_is_no_film_is_told(tmp_path, monkeypatch) -> None:
    with pytest.raises(ImageError, match=r"end in \.mp4"):
        write_video(frames(), tmp_path / "sweep.avi")
    with pytest.raises(ImageError, match="one size"):
        write_video([*frames(1), Image.new("RGB", (8, 8))], tmp_path / "sweep.mp4")
    whole = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "av":
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ComponentError, match=r"chunkygan\[video\]"):
        write_video(frames(), tmp_path / "sweep.mp4")
    assert not list(tmp_path.iterdir())
