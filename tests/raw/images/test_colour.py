"""Colours are decoded as image viewers show them, whether read whole or tile by tile."""

import base64
import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import flat, open_slide, tiff


def cielab(pixels):
    """Return the bytes of TIFF's CIELAB, as Pillow converts and writes them."""
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    lab = ImageCms.profileToProfile(Image.fromarray(pixels), *profiles, outputMode="LAB")
    file = io.BytesIO()
    assert lab is not None
    lab.save(file, "TIFF")
    return tifffile.imread(io.BytesIO(file.getvalue()))


# Haematoxylin, eosin, glass and black in squares, so that no chroma is averaged over a border.
TONES = np.array([[120, 60, 140], [200, 120, 180], [245, 245, 245], [10, 10, 10]], np.uint8)
HE = TONES[np.add.outer(np.arange(96) // 32, np.arange(160) // 32) % 4]
YCBCR = np.asarray(Image.fromarray(HE).convert("YCbCr"))
# with a fourth ink, black
CMYK = np.dstack([np.full(HE.shape, (30, 120, 40), np.uint8), HE[:, :, 0] // 2])
INKED = np.asarray(Image.fromarray(CMYK, "CMYK").convert("RGB"))
ALPHA = np.repeat(np.linspace(0, 255, 160).round()[None, :, None], 96, axis=0)
CLEAR = np.dstack([HE, ALPHA]).astype(np.uint8)
ON_GLASS = np.round(HE * (ALPHA / 255) + 255 - ALPHA).astype(np.uint8)
OPAQUE = np.dstack([HE, np.full(HE.shape[:2], 255, np.uint8)])
LAB = cielab(HE)
TILED: dict[str, Any] = {"tile": (32, 64)}


@pytest.fixture(params=["whole", "tiles"])
def reading(request, monkeypatch):
    if request.param == "tiles":
        monkeypatch.setattr(tiff, "MAX_WHOLE_PIXELS", 5000)
    return request.param


def read(path):
    with open_slide(path) as slide:
        return slide.overview(1)


def palette():
    index = np.abs(HE[:, :, None].astype(int) - TONES).sum(axis=3).argmin(axis=2)
    colours = np.zeros((3, 256), np.uint16)
    colours[:, :4] = TONES.T.astype(np.uint16) * 257
    return {"data": index.astype(np.uint8), "photometric": "palette", "colormap": colours}


PLANES = {"planarconfig": "separate", **TILED}
RIGHT: dict[str, tuple[dict[str, Any], np.ndarray, int]] = {
    "rgb": ({"data": HE, "photometric": "rgb", **TILED}, HE, 0),
    "ycbcr": ({"data": YCBCR, "photometric": "ycbcr", **TILED}, HE, 2),
    "ycbcr lzw": ({"data": YCBCR, "photometric": "ycbcr", "compression": "lzw", **TILED}, HE, 2),
    "ycbcr in strips": ({"data": YCBCR, "photometric": "ycbcr", "rowsperstrip": 7}, HE, 2),
    "ycbcr in planes": (
        {"data": np.moveaxis(YCBCR, 2, 0), "photometric": "ycbcr", **PLANES}, HE, 2,
    ),
    "jpeg of ycbcr": ({"data": HE, "photometric": "rgb", "compression": "jpeg", **TILED}, HE, 6),
    "jpeg of rgb": (
        {"data": HE, "photometric": "rgb", "compression": "jpeg",
         "compressionargs": {"outcolorspace": "rgb"}, **TILED}, HE, 6,
    ),
    "jpeg of planes": (
        {"data": np.moveaxis(YCBCR, 2, 0), "photometric": "ycbcr", "compression": "jpeg",
         "compressionargs": {"level": 98}, **PLANES}, HE, 8,
    ),
    "Aperio 33003": ({"data": YCBCR, "photometric": "rgb", "compression": 33003, **TILED}, HE, 2),
    "Aperio 33003, tagged": (
        {"data": YCBCR, "photometric": "ycbcr", "compression": 33003, **TILED}, HE, 2,
    ),
    "Aperio 33005": ({"data": HE, "photometric": "rgb", "compression": 33005, **TILED}, HE, 0),
    "jpeg 2000": ({"data": HE, "photometric": "rgb", "compression": "jpeg2000", **TILED}, HE, 0),
    "cmyk": ({"data": CMYK, "photometric": "separated", **TILED}, INKED, 1),
    "cmyk at once": ({"data": CMYK, "photometric": "separated"}, INKED, 1),
    "cielab": ({"data": LAB, "photometric": "cielab", **TILED}, HE, 3),
    "icclab": (
        {"data": LAB ^ np.array([0, 128, 128], np.uint8), "photometric": "icclab", **TILED}, HE, 3,
    ),
    "palette": ({**palette(), **TILED}, HE, 0),
    "palette at once": (palette(), HE, 0),
    "opaque": ({"data": OPAQUE, "photometric": "rgb", "extrasamples": ["unassalpha"]}, HE, 0),
    "clear": ({"data": CLEAR, "photometric": "rgb", "extrasamples": ["unassalpha"]}, ON_GLASS, 1),
    "clear in planes": (
        {"data": np.moveaxis(CLEAR, 2, 0), "photometric": "rgb", "extrasamples": ["unassalpha"],
         **PLANES}, ON_GLASS, 1,
    ),
    "premultiplied": (
        {"data": np.dstack([np.round(HE * (ALPHA / 255)), ALPHA]).astype(np.uint8),
         "photometric": "rgb", "extrasamples": ["assocalpha"], **TILED}, ON_GLASS, 1,
    ),
    "no alpha": ({"data": CLEAR, "photometric": "rgb", "extrasamples": ["unspecified"]}, HE, 0),
}  # fmt: skip


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("name", RIGHT)
def test_a_tiff_shows_its_true_colours(tmp_path, name):
    options, expected, tolerance = RIGHT[name]
    tifffile.imwrite(tmp_path / "a.tif", **options)
    decoded = read(tmp_path / "a.tif").astype(int)
    inner = np.s_[4:28, 4:28]  # JPEG mixes colours at the squares' borders
    difference = np.abs(decoded - expected)
    assert decoded.shape == expected.shape
    assert (difference[inner] if "jpeg of" in name else difference).max() <= tolerance


# The first two tones of 16 x 32 pixels each as YCbCr with halved chroma, which scanners write
# (OpenJPEG 2.5: opj_compress -F 32,32,3,8,u@1x1:2x1:2x1 -mct 0 -n 5 -b 32,32).
HALVED = base64.b64decode(
    "/0//UQAvAAAAAAAgAAAAIAAAAAAAAAAAAAAAIAAAACAAAAAAAAAAAAADBwEBBwIBBwIB/1IADAAAAAEABAMDAAH/XAAQQE"
    "BISFBISFBISFBISFD/kAAKAAAAAACKAAH/k8fUBgksf8PnBgGZP8PnBAG4wfOEAAgVrQfA+QEACH/A+QEAAd/D6gcAFyxz"
    "glXs38B8IoAT8jL0P8B8IgARXdaSw+oJACFuDRi+ZC1mAMD5AoAX2MXQysB8IoAXLKYil8PqBgA18j/jjX/AfCKAIhoTUb"
    "/AfCKAIW4RUx//2Q=="
)


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("space", ["rgb", "ycbcr"])
def test_aperios_jpeg_2000_of_halved_chroma_shows_its_true_colours(tmp_path, space):
    tifffile.imwrite(
        tmp_path / "a.svs", (HALVED for _ in range(15)), shape=(96, 160, 3), dtype=np.uint8,
        photometric=space, compression=33003, tile=(32, 32),
    )  # fmt: skip
    expected = np.tile(np.repeat(TONES[:2], 16, axis=0), (96, 5, 1))
    assert np.abs(read(tmp_path / "a.svs").astype(int) - expected).max() <= 2


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "grey": ({"data": HE[..., 0]}, "grayscale"),
    "white is zero": ({"data": HE[..., 0], "photometric": "miniswhite"}, "grayscale"),
    "grey with alpha": (
        {"data": CLEAR[..., 2:], "photometric": "minisblack", "planarconfig": "contig",
         "extrasamples": ["unassalpha"]}, "grayscale",
    ),
    "one bit": ({"data": HE[..., 0] > 90, "photometric": "minisblack"}, r"bool \(1 bits"),
    "16 bits": ({"data": HE.astype(np.uint16), "photometric": "rgb"}, r"uint16 \(16 bits"),
    "floats": ({"data": HE.astype(np.float32), "photometric": "rgb"}, r"float32 \(32 bits"),
    "signed": ({"data": HE.astype(np.int8), "photometric": "rgb"}, r"int8 \(8 bits"),
    "cielab under another light": (
        {"data": LAB, "photometric": "cielab", "extratags":
         [(318, 5, 2, (3127, 10000, 329, 1000))]},
        "CIELAB of an unusual kind",
    ),
    "logluv": ({"data": HE, "photometric": "logluv"}, "3 channels of LOGLUV"),
    "four channels": (
        {"data": np.moveaxis(CLEAR, 2, 0), "photometric": "minisblack", "ome": True,
         "metadata": {"axes": "CYX"}}, "4 channels of MINISBLACK",
    ),
    "inks of jpeg": (
        {"data": CMYK, "photometric": "separated", "compression": "jpeg"}, "CMYK or other inks",
    ),
    "ycbcr of jpeg 2000": (
        {"data": YCBCR, "photometric": "ycbcr", "compression": "jpeg2000"}, "YCbCr of an unusual",
    ),
    "ycbcr of video": (
        {"data": YCBCR, "photometric": "ycbcr", "extratags":
         [(532, 5, 6, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1), True)]},
        "YCbCr of an unusual",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("name", WRONG)
def test_a_tiff_of_other_colours_names_them(tmp_path, name):
    options, message = WRONG[name]
    tifffile.imwrite(tmp_path / "a.tif", **options)
    with pytest.raises(
        DataError, match=rf"a\.tif: its pixels are {message}.*, not 8-bit RGB; save"
    ):
        read(tmp_path / "a.tif")


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def ycck():
    return bytes(
        imagecodecs.jpeg8_encode(255 - CMYK, level=98, colorspace="cmyk", outcolorspace="ycck")
    )


def without_adobe(data):
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (jpeg(Image.fromarray(HE)), HE),
        (jpeg(Image.fromarray(HE), keep_rgb=True), HE),
        (jpeg(Image.fromarray(HE), progressive=True), HE),
        (jpeg(Image.fromarray(CMYK, "CMYK")), INKED),
        (ycck(), INKED),
    ],
)
def test_a_jpeg_shows_its_true_colours(tmp_path, data, expected):
    (tmp_path / "a.jpg").write_bytes(data)
    difference = np.abs(read(tmp_path / "a.jpg").astype(int) - expected)
    assert difference[4:28, 4:28].max() < 8
    assert difference.mean() < 2


def test_a_jpeg_of_other_colours_names_them(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    cases = {
        "grayscale of 8 bits": jpeg(Image.fromarray(HE[..., 0])),
        "CMYK of a printer's profile": jpeg(Image.fromarray(CMYK, "CMYK"), icc_profile=profile),
        "CMYK .*": without_adobe(jpeg(Image.fromarray(CMYK, "CMYK"))),
    }
    for message, data in cases.items():
        (tmp_path / "a.jpg").write_bytes(data)
        with pytest.raises(DataError, match=rf"a\.jpg: its pixels are {message}, not 8-bit RGB"):
            read(tmp_path / "a.jpg")


def test_a_png_shows_its_true_colours(tmp_path):
    image = Image.fromarray(HE).quantize(4)
    image.save(tmp_path / "palette.png")
    image.save(tmp_path / "bits.png", bits=2)
    glass = int(np.asarray(image)[0, 64])
    image.save(tmp_path / "hole.png", transparency=glass)
    Image.fromarray(HE).save(tmp_path / "key.png", transparency=(245, 245, 245))
    for name in ("palette.png", "bits.png"):
        np.testing.assert_array_equal(read(tmp_path / name), HE)
    white = np.where(HE == 245, 255, HE)
    for name in ("hole.png", "key.png"):
        np.testing.assert_array_equal(read(tmp_path / name), white)
    Image.fromarray(CLEAR).save(tmp_path / "clear.png")
    assert np.abs(read(tmp_path / "clear.png").astype(int) - ON_GLASS).max() <= 1
    Image.fromarray(OPAQUE).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read(tmp_path / "opaque.png"), HE)


def test_a_png_of_other_colours_names_them(tmp_path):
    cases = {
        "grayscale": HE[..., 0],
        "grayscale with alpha": CLEAR[..., 2:],
        "RGB of 16 bits": HE.astype(np.uint16),
        "grayscale of 16 bits": HE[..., 0].astype(np.uint16),
    }
    for message, pixels in cases.items():
        (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
        with pytest.raises(DataError, match=rf"a\.png: its pixels are {message}, not 8-bit RGB"):
            read(tmp_path / "a.png")


def test_four_samples_need_more_memory_than_three(tmp_path, monkeypatch):
    monkeypatch.setattr(flat, "MAX_BYTES", 96 * 160 * 4)
    Image.fromarray(HE).save(tmp_path / "rgb.png")
    Image.fromarray(OPAQUE).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read(tmp_path / "rgb.png"), HE)
    with pytest.raises(DataError, match="would have to be read at once"):
        read(tmp_path / "rgba.png")
