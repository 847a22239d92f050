"""Picture files to RGB: what they show, or an error that names the file."""

from __future__ import annotations

import os
import stat
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from nasplug import NasplugError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
"""Pillow's decoders that may read a file, whatever its name says; others start programs (EPS)."""
BACKGROUND = (255, 255, 255, 255)
"""What is seen through transparent pixels."""


def read_rgb(file: str) -> Image.Image:
    """The picture in `file`, upright, in 8-bit RGB; of an animation the first frame.

    Grey of 16 bits is scaled to 8, and so are real numbers, which must lie in 0..1. What is
    transparent shows white. EXIF's orientation is heeded. `NasplugError`, which names the file, for
    one that cannot be read, is no regular file, holds more pixels than Pillow's limit
    (`PIL.Image.MAX_IMAGE_PIXELS`), or has values of which nobody says what black and white are.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # a pipe would be waited for
            raise ValueError("it is no regular file")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=FORMATS)
        with image:
            image.load()
            _turn_upright(image)
            return _rgb(image)
    except Exception as error:  # whatever a broken file makes a decoder raise
        reason = " ".join(str(error).replace(repr(file), "the file").split())
        raise NasplugError(
            f"every image must be readable, but {file} is not ({reason or type(error).__name__}); "
            "repair or remove it"
        ) from None


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # damaged EXIF data of a picture that is whole: nobody knows a better way up
        return


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        return _grey(np.asarray(image), 1.0)
    if image.mode.startswith("I"):  # of 16 bits, but for TIFF's whole numbers of 32
        if image.mode == "I" and image.format == "TIFF":
            raise ValueError("whole numbers of 32 bits do not say what white is")
        return _grey(np.asarray(image), 65535.0)
    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, BACKGROUND)
        background.alpha_composite(image.convert("RGBA"))
        return background.convert("RGB")
    return image.convert("RGB")


def _grey(values: np.ndarray[Any, Any], white: float) -> Image.Image:
    """Of `values` from 0 to `white`, shape (h, w)."""
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= white:  # NaN too
        raise ValueError(f"its values must lie in 0..{white:g}, but span {low:g} to {high:g}")
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8)).convert("RGB")
