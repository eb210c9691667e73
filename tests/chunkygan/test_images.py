"""Pictures of every kind come in right, or are refused with one message that says what to do."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chunkygan.errors import ImageError, ShapeError
from chunkygan.images import fit_to, from_pil, list_images, open_image, read_image, to_pil, write_image


def noise(h: int = 12, w: int = 10, seed: int = 0, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, channels), dtype=np.uint8)


def smooth(h: int = 32, w: int = 32) -> np.ndarray:
    y, x = np.mgrid[0:h, 0:w]
    return np.stack([255 * y / h, 255 * x / w, 255 - 255 * y / h], axis=2).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def levels(image: torch.Tensor) -> np.ndarray:
    """(h, w, 3) in 0 to 255, of (1, 3, h, w) in [-1, 1]."""
    return ((image[0].permute(1, 2, 0) + 1) * 127.5).numpy()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(w: int, h: int) -> bytes:
    """A PNG file that claims a size and holds almost no data."""
    ihdr = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", ihdr) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


# --- kinds of pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "bmp", "ppm"])
def test_lossless_rgb_comes_in_exactly(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    image = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(noise()), **options))
    assert image.shape == (1, 3, 12, 10) and image.dtype == torch.float32
    np.testing.assert_allclose(levels(image), noise(), atol=1e-4)


def test_the_range_is_minus_one_to_one(tmp_path: Path) -> None:
    two = np.zeros((4, 4, 3), np.uint8)
    two[:, 2:] = 255
    image = read_image(saved(tmp_path / "a.png", Image.fromarray(two)))
    assert image.unique().tolist() == [-1.0, 1.0]


def test_the_content_tells_the_kind_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_allclose(levels(read_image(tmp_path / "a.jpg")), noise(), atol=1e-4)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = noise()[..., 0]
    image = levels(read_image(saved(tmp_path / "a.png", Image.fromarray(grey))))
    np.testing.assert_allclose(image, np.repeat(grey[..., None], 3, axis=2), atol=1e-4)


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    image = read_image(saved(tmp_path / "a.png", Image.fromarray(noise()[..., 0]).convert("1")))
    assert image.unique().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    image = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(ramp)))
    expected = torch.from_numpy(ramp.astype(np.float32)) / 65535 * 2 - 1
    torch.testing.assert_close(image[0, 0], expected)
    assert len(image.unique()) == 64


def test_sixteen_bit_colour_is_scaled_not_clipped(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    ihdr = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    data = ihdr + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    np.testing.assert_allclose(levels(read_image(tmp_path / "a.png")), rgb / 257, atol=1.01)


def test_grey_levels_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(np.full((8, 8), 70000, np.int32)))
    with pytest.raises(ImageError, match="save it with 16 bits"):
        read_image(path)


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(np.full((8, 8), 0.5, np.float32)))
    with pytest.raises(ImageError, match=r"a\.tif: holds floating-point numbers"):
        read_image(path)


def test_cmyk_jpeg_has_the_colours_of_its_rgb(tmp_path: Path) -> None:
    rgb = Image.fromarray(smooth())
    image = read_image(saved(tmp_path / "a.jpg", rgb.convert("CMYK"), quality=95))
    assert np.abs(levels(image) - smooth()).mean() < 3


def test_palette_colours_are_looked_up(tmp_path: Path) -> None:
    indexed = Image.fromarray(smooth()).quantize(16)
    image = read_image(saved(tmp_path / "a.png", indexed))
    np.testing.assert_allclose(levels(image), np.asarray(indexed.convert("RGB")), atol=1e-4)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.zeros((4, 6, 3), np.uint8)).convert(mode)
    alpha = np.repeat(np.array([[0, 0, 128, 128, 255, 255]], np.uint8), 4, axis=0)
    image.putalpha(Image.fromarray(alpha))
    out = read_image(saved(tmp_path / "a.png", image))[0, :, 0]
    torch.testing.assert_close(out, torch.tensor([1, 1, 254 / 255 - 1, 254 / 255 - 1, -1, -1]).expand(3, 6))


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P")
    assert read_image(saved(tmp_path / "a.png", image, transparency=0)).unique().tolist() == [1.0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(noise(6, 8))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", stored, exif=exif)
    np.testing.assert_allclose(levels(read_image(path)), noise(6, 8), atol=1e-4)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_are_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(noise()), exif=b"Exif\0\0MM\0*\xff\xff\xff\xffgarbage")
    np.testing.assert_allclose(levels(read_image(path)), noise(), atol=1e-4)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_frames_the_first_is_used_with_a_warning(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), v, np.uint8)) for v in (200, 100, 0)]
    path = saved(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="several frames or pages; the first one is used"):
        image = read_image(path)
    np.testing.assert_allclose(levels(image), 200, atol=2)


def test_a_still_picture_gives_no_warning(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.gif", Image.fromarray(noise()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(path)


def test_a_pil_image_gives_what_its_file_gives(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.png", Image.fromarray(noise()), exif=exif)
    assert torch.equal(from_pil(Image.open(path)), read_image(path))


# --- pictures that are refused ------------------------------------------------------------------------------------


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: no such file; looked in "):
        read_image(tmp_path / "gone.png")


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder, not a picture"):
        read_image(tmp_path)


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match=r"a\.png: is empty \(0 bytes\)"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"hello\n" * 100, b"\0" * 1000, b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_is_no_picture_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.png: is not a picture in a format that is read here \(PNG, JPEG"):
        read_image(tmp_path / "a.png")


def test_postscript_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(ImageError, match="is not a picture"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp"])
def test_a_file_cut_anywhere_is_refused_or_complete(tmp_path: Path, suffix: str) -> None:
    whole = saved(tmp_path / f"whole.{suffix}", Image.fromarray(noise(40, 40)))
    data, expected = whole.read_bytes(), read_image(whole)
    refused = 0
    for part in range(1, 24):
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(data[: len(data) * part // 24])
        try:
            assert torch.equal(read_image(path), expected)
        except ImageError as error:
            refused += 1
            assert "cut short" in str(error) or "damaged at its beginning" in str(error)
    assert refused >= 20


def test_damaged_bytes_are_refused_or_read_but_never_crash(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(40, 40)).save(buffer, format="PNG")
    rng = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(buffer.getvalue())
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        (tmp_path / "a.png").write_bytes(bytes(data))
        try:
            read_image(tmp_path / "a.png")
        except ImageError as error:
            assert "a.png" in str(error)


def test_the_pixel_limit_holds_before_decoding(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(20000, 20000))
    with pytest.raises(ImageError, match=r"20000 x 20000 = 400,000,000 pixels, above the limit of 100,000,000"):
        read_image(tmp_path / "a.png")


def test_a_raised_pixel_limit_lets_the_decoder_see_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(20000, 20000))
    with pytest.raises(ImageError, match="above the limit of 399,999,999"):
        read_image(tmp_path / "a.png", max_pixels=399_999_999)
    limit = Image.MAX_IMAGE_PIXELS
    (tmp_path / "b.png").write_bytes(png_header(200, 200))
    with pytest.raises(ImageError, match="cut short"):
        read_image(tmp_path / "b.png", max_pixels=40_000)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_limit_may_be_above_pillows_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    image = read_image(saved(tmp_path / "a.png", Image.fromarray(noise())))
    assert image.shape == (1, 3, 12, 10)


@pytest.mark.parametrize("shape", [(1, 1), (3, 100), (100, 3)])
def test_a_tiny_picture_is_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(noise(*shape)))
    with pytest.raises(ImageError, match=rf"is {shape[1]} x {shape[0]} pixels; a picture needs at least 4 x 4"):
        read_image(path)


def test_a_damaged_pil_image_is_refused() -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, format="PNG")
    with pytest.raises(ImageError, match="photo: is damaged or cut short"):
        from_pil(Image.open(io.BytesIO(buffer.getvalue()[:200])), name="photo")


def test_open_image_keeps_the_stored_mode(tmp_path: Path) -> None:
    assert open_image(saved(tmp_path / "a.png", Image.fromarray(smooth()).quantize(4))).mode == "P"


# --- size ---------------------------------------------------------------------------------------------------------


def test_fit_of_the_same_size_changes_nothing() -> None:
    image = torch.rand(1, 3, 8, 6)
    assert fit_to(image, (8, 6)) is image


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 20), st.integers(4, 20), st.integers(1, 20), st.integers(1, 20), st.floats(-1, 1))
def test_fit_of_one_colour_is_that_colour(h: int, w: int, height: int, width: int, value: float) -> None:
    out = fit_to(torch.full((1, 3, h, w), value), (height, width))
    torch.testing.assert_close(out, torch.full((1, 3, height, width), value), rtol=0, atol=1e-5)


def test_fit_cuts_around_the_centre() -> None:
    image = -torch.ones(1, 3, 8, 24)
    image[..., 8:16] = 1
    torch.testing.assert_close(fit_to(image, (8, 8)), torch.ones(1, 3, 8, 8))
    torch.testing.assert_close(fit_to(image.transpose(2, 3).contiguous(), (8, 8)), torch.ones(1, 3, 8, 8))


def test_fit_averages_fine_detail_away() -> None:
    checks = (torch.arange(64)[:, None] + torch.arange(64)[None]) % 2 * 2.0 - 1
    assert fit_to(checks.expand(1, 3, 64, 64), (16, 16)).abs().max() < 0.05


def test_fit_stays_in_range_keeps_dtype_and_takes_batches() -> None:
    image = torch.randint(0, 2, (2, 3, 9, 9)).double() * 2 - 1
    out = fit_to(image, (20, 20))
    assert out.abs().max() <= 1 and out.dtype == torch.float64 and out.shape == (2, 3, 20, 20)
    torch.testing.assert_close(out[1:], fit_to(image[1:], (20, 20)))


def test_fit_agrees_with_pillow_on_eight_bits() -> None:
    image = Image.fromarray(smooth(64, 64))
    out = to_pil(fit_to(from_pil(image), (24, 24)))
    expected = np.asarray(image.resize((24, 24), Image.Resampling.LANCZOS), dtype=int)
    assert np.abs(np.asarray(out, dtype=int) - expected).max() <= 1


def test_fit_refuses_a_resolution_of_nothing() -> None:
    with pytest.raises(ShapeError, match="resolution"):
        fit_to(torch.zeros(1, 3, 8, 8), (0, 8))


def test_reading_at_a_size_is_reading_and_fitting(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(noise(20, 30)))
    assert torch.equal(read_image(path, size=(8, 8)), fit_to(read_image(path), (8, 8)))


# --- writing ------------------------------------------------------------------------------------------------------


def test_every_eight_bit_level_survives_a_round_trip(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    image = from_pil(Image.fromarray(ramp))
    path = write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), ramp)
    assert torch.equal(read_image(path), image)


def test_values_are_rounded_and_clamped() -> None:
    image = torch.tensor([-9.0, -1, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1, 1, 9]).expand(1, 3, 4, 6)
    assert np.asarray(to_pil(image))[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255]


def test_half_precision_and_gradients_are_fine() -> None:
    assert to_pil(torch.zeros(3, 4, 5, dtype=torch.bfloat16, requires_grad=True)).size == (5, 4)


def test_nan_is_no_picture() -> None:
    with pytest.raises(ShapeError, match="NaN"):
        to_pil(torch.full((3, 4, 4), torch.nan))


def test_several_images_are_no_picture() -> None:
    with pytest.raises(ShapeError, match=r"\(1, 3, h, w\)"):
        to_pil(torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.TIF", "a.bmp"])
def test_other_formats_are_written_by_suffix(tmp_path: Path, name: str) -> None:
    path = write_image(tmp_path / name, from_pil(Image.fromarray(smooth())))
    assert np.abs(levels(read_image(path)) - smooth()).mean() < 4


@pytest.mark.parametrize("name", ["a", "a.xyz", "a.gif"])
def test_an_unknown_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=r"must end in one of \.png"):
        write_image(tmp_path / name, torch.zeros(3, 4, 4))


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="cannot be written"):
        write_image(tmp_path / "file" / "a.png", torch.zeros(3, 4, 4))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# --- folders ------------------------------------------------------------------------------------------------------


def test_a_folder_is_its_pictures_sorted(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "c.webp"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.webp"]


def test_a_file_is_itself(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(noise()))
    assert list_images(path) == [path]


def test_a_folder_without_pictures_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ImageError, match=r"has no picture in it; looked for names ending in \.png"):
        list_images(tmp_path)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        list_images(tmp_path / "gone")
