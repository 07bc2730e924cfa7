"""Files that are no image or are damaged are refused in one sentence; names may be wrong."""

import gzip
import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import image_size, open_slide

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (192, 256, 3), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(IMAGE[:40, :60]).resize((600, 400), Image.Resampling.BICUBIC))


def read(path):
    with open_slide(path) as slide:
        return slide.overview(1)


def encoded(kind, image=SMOOTH, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def test_the_format_is_detected_by_content(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded("PNG"))
    (tmp_path / "b.tif").write_bytes(encoded("PNG"))
    (tmp_path / "c.PNG").write_bytes(encoded("TIFF"))
    (tmp_path / "d.TIF").write_bytes(encoded("TIFF"))
    for name in ("a.jpg", "b.tif", "c.PNG", "d.TIF"):
        assert image_size(tmp_path / name) == (600, 400)
        np.testing.assert_array_equal(read(tmp_path / name), SMOOTH)
    (tmp_path / "e.tif").write_bytes(encoded("JPEG", quality=95))
    assert np.abs(read(tmp_path / "e.tif").astype(int) - SMOOTH).mean() < 5


NO_IMAGE = {
    b"": "is empty; get it again",
    b"no image at all": r"is text, not an image \(TIFF, PNG or JPEG\); get it again",
    b"\1\2\3\4": r"cannot be read as an image \(TIFF, PNG or JPEG\); get it again, or convert it",
    b"version https://git-lfs.github.com/spec/v1\noid": r"a pointer of Git LFS.*run `git lfs pull`",
    b"\n<!DOCTYPE html>\n<html><body>404": "is a web page, not an image",
    b"<HTML><HEAD><TITLE>": "is a web page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied': "is a server's error message, not an image",
    gzip.compress(b"an image"): "is a gzip file, not an image .*; unpack it",
    b"PK\x03\x04": "is a zip file, not .*; unpack it",
    b"GIF89a": "is a GIF file, not .*; save it as TIFF",
    b"BM\x36\0\0\0\0\0\0\0\x36": "is a BMP file, not .*; save it as TIFF",
    b"RIFF\x24\0\0\0WEBPVP8 ": "is a WebP file, not .*; save it as TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "is a JPEG 2000 file, not .*; save it as TIFF",
    b"ZISRAWFILE\0": "is a CZI file, not .*; save it as pyramidal TIFF",
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file, not .*; name the image",
    b"II*\0": "cannot be read as an image .*get it again",
    b"II*\0\x08\0\0\0": "cannot be read as an image .*no image in it.*get it again",
    b"MM\0+": "cannot be read as an image .*get it again",
    b"\x89PNG\r\n\x1a\n": "cannot be read as an image .*get it again",
    b"\xff\xd8\xff\xe0 not all of it": "cannot be read as an image .*get it again",
}


@pytest.mark.parametrize("content", NO_IMAGE)
@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_a_file_that_is_no_image_is_refused(tmp_path, content, suffix):
    (path := tmp_path / f"a{suffix}").write_bytes(content)
    for reader in (image_size, read):
        with pytest.raises(DataError, match=rf"(?s)a\{suffix}: .*{NO_IMAGE[content]}"):
            reader(path)


def test_a_missing_image_is_named(tmp_path):
    (tmp_path / "a.tif").mkdir()
    for name in ("a.tif", "b.tif"):
        with pytest.raises(DataError, match=rf"{name}: no such image; run `dvc repro download`"):
            read(tmp_path / name)


def test_a_broken_link_is_named(tmp_path):
    (tmp_path / "a.tif").symlink_to("elsewhere.tif")
    with pytest.raises(
        DataError, match=r"a\.tif: is a link to elsewhere\.tif, which does not exist"
    ):
        image_size(tmp_path / "a.tif")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 400), (400, 15)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_an_image_of_a_few_pixels_is_refused(tmp_path, kind, width, height):
    (path := tmp_path / "a.tif").write_bytes(encoded(kind, SMOOTH[:height, :width]))
    for reader in (image_size, read):
        with pytest.raises(DataError, match=rf"has {width} x {height} pixels, too few to show"):
            reader(path)


JPEG_OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "full chroma": {"subsampling": 0},
}


@pytest.mark.parametrize("variant", JPEG_OPTIONS)
def test_a_jpeg_that_is_whole_is_read_as_pillow_does(tmp_path, variant):
    data = encoded("JPEG", quality=90, **JPEG_OPTIONS[variant])
    for content in (data, data + bytes(100), data + b"what a camera adds"):
        (tmp_path / "a.jpg").write_bytes(content)
        expected = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(read(tmp_path / "a.jpg"), expected)


@pytest.mark.parametrize("variant", JPEG_OPTIONS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.9999])
def test_a_jpeg_that_is_cut_off_is_refused(tmp_path, variant, share):
    data = encoded("JPEG", quality=90, **JPEG_OPTIONS[variant])
    (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image .*; get it again"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize("variant", JPEG_OPTIONS)
@pytest.mark.parametrize("missing", [500, 2000])
def test_a_jpeg_that_lacks_bytes_in_the_middle_is_refused(tmp_path, variant, missing):
    data = encoded("JPEG", quality=90, **JPEG_OPTIONS[variant])
    start = data.index(b"\xff\xda") + (len(data) - data.index(b"\xff\xda")) // 3
    (tmp_path / "a.jpg").write_bytes(data[:start] + data[start + missing :])
    with pytest.raises(DataError, match=r"a\.jpg: .* \(its JPEG data are damaged\); get it again"):
        read(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(data[:start] + b"\xff\xd9")  # an end, but too early
    with pytest.raises(DataError, match="data are damaged"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_png_that_is_cut_off_or_changed_is_refused(tmp_path, share):
    data = encoded("PNG")
    index = int(len(data) * share)
    for content in (data[:index], data[:index] + bytes([data[index] ^ 9]) + data[index + 1 :]):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.png: cannot be read as an image .*; get it again"):
            read(tmp_path / "a.png")


COMPRESSED = [None, "lzw", "deflate", "zstd", "packbits", "jpeg", "webp", "jpeg2000"]


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"rowsperstrip": 48}, {}])
@pytest.mark.parametrize("damage", ["file cut off", "tile cut off", "end is zero"])
def test_a_tiff_that_lacks_bytes_is_refused(tmp_path, compression, layout, damage):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, photometric="rgb", compression=compression, **layout)
    with tifffile.TiffFile(path, mode="r+") as file:
        page: Any = file.pages[0]
        start, size = page.dataoffsets[-1], page.databytecounts[-1]
        if damage == "tile cut off":
            if compression is None and not layout:
                pytest.skip("an uncompressed image in one strip is mapped into memory")
            name = "TileByteCounts" if layout.get("tile") else "StripByteCounts"
            page.tags[name].overwrite((*page.databytecounts[:-1], size // 2))
    data = path.read_bytes()
    if damage == "file cut off":
        path.write_bytes(data[: start + size // 2])
    elif damage == "end is zero":
        if compression not in {"deflate", "jpeg"}:
            pytest.skip("zeros are data there, and nothing checks them")
        path.write_bytes(data[: start + size // 2] + bytes(size - size // 2) + data[start + size :])
    with pytest.raises(DataError, match=r"a\.tif: cannot be read as an image .*; get it again"):
        read(path)
