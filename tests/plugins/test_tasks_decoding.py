"""Picture files of every kind, and files that are none."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nasplug_tasks.decoding import read_rgb
from PIL import Image

from nasplug import NasplugError

RAMP = np.linspace(0, 255, 64).round().reshape(8, 8)
"""Grey levels of 8 bits that every format shall give back."""


def pixels(file: Path) -> np.ndarray[Any, Any]:
    image = read_rgb(str(file))
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def png16(file: Path) -> None:
    Image.fromarray((RAMP * 257).astype(np.uint16)).save(file)


def pgm16(file: Path) -> None:
    file.write_bytes(b"P5 8 8 65535\n" + (RAMP * 257).astype(">u2").tobytes())


def real(file: Path) -> None:
    Image.fromarray((RAMP / 255).astype(np.float32)).save(file)


def big_endian(file: Path) -> None:
    """A TIFF of 16-bit grey in Motorola order."""
    data = (RAMP * 257).astype(">u2").tobytes()
    entries = [(256, 3, 8), (257, 3, 8), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8),
               (277, 3, 1), (278, 3, 8), (279, 4, len(data))]  # fmt: skip
    rows = b"".join(
        struct.pack(">HHI", tag, kind, 1)
        + (struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value))
        for tag, kind, value in entries
    )
    head = b"MM" + struct.pack(">HI", 42, 8 + len(data))
    file.write_bytes(head + data + struct.pack(">H", len(entries)) + rows + bytes(4))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("16.png", png16),
        ("16.tif", png16),
        ("16.pgm", pgm16),
        ("big.tif", big_endian),
        ("real.tif", real),
    ],
)
def test_grey_of_more_than_8_bits_keeps_its_levels(
    name: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / name)
    found = pixels(tmp_path / name)
    assert (found == RAMP[..., None]).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((4, 4), 200.0, np.float32), "must lie in 0..1, but span 200 to 200"),
        (np.full((4, 4), -0.5, np.float32), "must lie in 0..1, but span -0.5"),
        (np.full((4, 4), np.nan, np.float32), "must lie in 0..1, but span nan"),
        (np.full((4, 4), 7, np.int32), "32 bits do not say what white is"),
    ],
)
def test_values_without_a_known_range_are_refused(
    values: np.ndarray[Any, Any], words: str, tmp_path: Path
) -> None:
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(NasplugError, match=rf"x\.tif is not \(.*{words}"):
        read_rgb(str(tmp_path / "x.tif"))


def marked() -> Image.Image:
    """20 x 10, red above on the left."""
    image = Image.new("RGB", (20, 10), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 8, 5))
    return image


TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera that was held so has done to the picture."""


@pytest.mark.parametrize("orientation", [1, *TURNED])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_orientation_is_heeded(suffix: str, orientation: int, tmp_path: Path) -> None:
    image = marked()
    stored = image.transpose(TURNED[orientation]) if orientation in TURNED else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"x.{suffix}"
    stored.save(file, exif=exif, quality=95)
    found = pixels(file)
    assert found.shape == (10, 20, 3)
    assert np.abs(found - np.asarray(image)).mean() < 12


def test_a_picture_with_damaged_exif_is_read(tmp_path: Path) -> None:
    marked().save(tmp_path / "x.jpg", exif=b"Exif\x00\x00no such thing at all")
    assert pixels(tmp_path / "x.jpg").shape == (10, 20, 3)


def test_palette_and_cmyk_keep_their_colours(tmp_path: Path) -> None:
    image = marked()
    image.quantize(4).save(tmp_path / "x.png")
    image.convert("CMYK").save(tmp_path / "x.tif")
    image.convert("CMYK").save(tmp_path / "x.jpg", quality=95, subsampling=0)
    for name, off in (("x.png", 0), ("x.tif", 0), ("x.jpg", 6)):
        assert np.abs(pixels(tmp_path / name) - np.asarray(image)).mean() <= off, name


def clear(mode: str) -> Image.Image:
    """Red on the left, on the right black that is transparent."""
    image = Image.new("RGBA", (20, 10), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (10, 0, 20, 10))
    return image.convert(mode)


@pytest.mark.parametrize("name", ["rgba.png", "rgba.webp", "la.png", "p.png", "p.gif", "rgb.png"])
def test_what_is_transparent_shows_white(name: str, tmp_path: Path) -> None:
    kind = name.split(".")[0]
    if kind == "p":
        image = Image.new("P", (20, 10), 0)
        image.putpalette([255, 0, 0, 0, 0, 0])
        image.paste(1, (10, 0, 20, 10))
        image.save(tmp_path / name, transparency=1)
    elif kind == "rgb":
        clear("RGB").save(tmp_path / name, transparency=(0, 0, 0))
    else:
        clear(kind.upper()).save(tmp_path / name, lossless=True)
    found = pixels(tmp_path / name)
    assert (found[:, 10:] == 255).all() and (found[:, :10, 1:] < 100).all()


def test_of_an_animation_the_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), c) for c in ((255, 0, 0), (0, 255, 0))]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert (pixels(tmp_path / "x.gif") == (255, 0, 0)).all()


# ---- what is refused --------------------------------------------------------------------------


def refused(file: Path, words: str = "is not") -> None:
    with pytest.raises(NasplugError, match=words) as caught:
        read_rgb(str(file))
    text = str(caught.value)
    assert str(file) in text and "\n" not in text and "every image must be readable" in text


def test_no_program_is_started_for_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    for name in ("Popen", "run", "call", "check_call", "check_output"):
        monkeypatch.setattr(subprocess, name, lambda *a, **k: pytest.fail("a program was started"))
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("a program was started"))
    file = tmp_path / "x.png"
    file.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    )
    refused(file, "cannot identify")


@pytest.mark.parametrize("suffix", ["ico", "pcx", "tga", "icns", "pdf", "eps", "dds"])
def test_other_formats_are_refused_whatever_their_name(suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / f"x.{suffix}")
    refused((tmp_path / f"x.{suffix}").rename(tmp_path / "x.png"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "webp", "bmp", "ppm"])
def test_a_file_that_is_cut_off_is_named(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"x.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(file)
    whole = file.read_bytes()
    for share in (0, 0.01, 0.3, 0.8):
        file.write_bytes(whole[: int(share * len(whole))])
        refused(file)


def test_a_broken_checksum_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    Image.new("RGB", (64, 64)).save(file)
    content = bytearray(file.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    file.write_bytes(content)
    refused(file)


def test_too_many_pixels_are_refused_before_they_are_read(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    for side in (12_000, 60_000):  # more than the limit, and more than twice as many
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        file = tmp_path / f"{side}.png"
        body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        refused(file, "pixels")


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device", "missing"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(tmp_path)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("x.png")
        os.chdir(here)
    elif kind == "folder":
        file.mkdir()
    elif kind == "device":
        file.symlink_to("/dev/zero")
    refused(file, "No such file" if kind == "missing" else "no regular file")
