"""Pictures as a film that browsers and phones play (MP4, H.264); needs PyAV, ``pip install 'chunkygan[video]'``."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from chunkygan.errors import ComponentError, ImageError
from chunkygan.files import atomic_write
from chunkygan.pictures import enlarged

SMALLEST = 256
"""Pixels a side to which smaller pictures are enlarged."""


def write_video(frames: Sequence[Image.Image], path: str | os.PathLike[str], *, rate: int = 25, hold: int = 2) -> Path:
    """The path, after a film was written to it, whole or not at all.

    Args:
        frames: all of one size.
        path: ends in .mp4.
        rate: pictures a second.
        hold: how many times each frame is shown.

    Raises:
        ImageError: no frames, frames of different sizes, another suffix, or the file cannot be written.
        ComponentError: PyAV is not installed.
    """
    if Path(path).suffix.lower() != ".mp4":
        raise ImageError(f"{path}: a film's name must end in .mp4")
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) != 1:
        raise ImageError(f"{path}: a film needs frames of one size; got {sizes or 'no frames'}")
    content = _encoded([_even(enlarged(frame.convert("RGB"), SMALLEST)) for frame in frames], rate, hold)
    return atomic_write(path, lambda file: file.write(content), error=ImageError)


def _encoded(frames: Sequence[Image.Image], rate: int, hold: int) -> bytes:
    try:
        import av
    except ImportError as error:
        raise ComponentError("films need PyAV: pip install 'chunkygan[video]'; or write a .gif") from error
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=rate, options={"crf": "16"})
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            shown = av.VideoFrame.from_image(frame)
            for _ in range(hold):
                film.mux(stream.encode(shown))
        film.mux(stream.encode(None))
    return content.getvalue()


def _even(frame: Image.Image) -> Image.Image:
    """Without its last row or column where their number is odd, which the colour format cannot hold."""
    return frame.crop((0, 0, frame.width // 2 * 2, frame.height // 2 * 2))
