"""dlib's frontal face detector and its predictor of 68 landmarks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chunkygan.errors import ComponentError, WeightsError
from chunkygan.interfaces import LandmarkDetector
from chunkygan.types import Face
from chunkygan.weights import find

NAME = "dlib_68_landmarks"
LARGE = 1600
"""Longer side in pixels above which a photo is reduced for the search, whose time grows with the number of pixels."""


class Dlib68(LandmarkDetector):
    """Histograms of gradients find the faces, a cascade of regression trees the landmarks; on the CPU.

    Args:
        weights: file or manifest name of ``shape_predictor_68_face_landmarks.dat``; None: the manifest's, or that of
            the package ``face-recognition-models``. It was trained on iBUG 300-W, which excludes commercial use.
        threshold: scores below it are no faces; lower finds more, and more that are none.

    Raises:
        ComponentError: dlib is not installed.
        WeightsError: the predictor's file is missing or no predictor.

    Source: King, Dlib-ml, 2009; Kazemi and Sullivan, One Millisecond Face Alignment, 2014.
    """

    def __init__(self, weights: str | Path | None = None, threshold: float = 0.0) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ComponentError(
                "the landmark detector dlib is not installed: pip install 'chunkygan[align]'; or click five points "
                "(--points), or name a landmark file (--landmarks)"
            ) from error
        path = find(weights) if weights is not None else _predictor_file()
        try:
            self._predictor = dlib.shape_predictor(str(path))
        except RuntimeError as error:
            raise WeightsError(f"{path}: is no landmark predictor of dlib: {error}") from error
        self._dlib: Any = dlib
        self._detector = dlib.get_frontal_face_detector()
        self.threshold = threshold

    def detect(self, photo: Image.Image) -> list[Face]:
        rgb = photo.convert("RGB")
        pixels = np.asarray(rgb)  # the landmarks at full precision, wherever the search was
        scale = min(1.0, LARGE / max(rgb.size))
        for enlarged in (scale, 2 * scale):  # it finds faces from about 80 pixels on: smaller ones by a second look
            searched = rgb if enlarged == 1 else rgb.resize([max(1, round(side * enlarged)) for side in rgb.size])
            boxes, scores, _ = self._detector.run(np.asarray(searched), 0, self.threshold)
            if boxes:
                break
        return [self._face(pixels, box, float(score), enlarged) for box, score in zip(boxes, scores)]

    def _face(self, pixels: np.ndarray, box: Any, score: float, scale: float) -> Face:
        sides = (box.left(), box.top(), box.right(), box.bottom())
        found = self._predictor(pixels, self._dlib.rectangle(*(round(side / scale) for side in sides)))
        return Face(tuple((float(p.x), float(p.y)) for p in found.parts()), score)


def _predictor_file() -> Path:
    """The manifest's file, or that of the package of the extra ``align``.

    The package is looked at, never imported: it asks for a part of setuptools that is gone.
    """
    try:
        return find(NAME)
    except WeightsError:
        spec = find_spec("face_recognition_models")
        folders = spec.submodule_search_locations if spec is not None else None
        for folder in folders or ():
            path = Path(folder) / "models" / "shape_predictor_68_face_landmarks.dat"
            if path.is_file():
                return path
        raise
