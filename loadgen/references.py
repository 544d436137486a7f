"""Images and videos that jobs upload as reference: each is opened before the run, so a wrong file costs no job."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from reelbench.loadgen.document import Document

MAX_IMAGE: Final = 20 * 1024 * 1024
MAX_VIDEO: Final = 100 * 1024 * 1024
MAX_ALL: Final = 512 * 1024 * 1024
"""Bytes of all references together: they are held in memory."""
MAX_FILES: Final = 2_000
MAX_PIXELS: Final = 50_000_000
_FORMATS: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_BOX_HEAD: Final = 8
_WANTED: Final = "name a PNG, JPEG, WebP, GIF or MP4 file"


class BadReferenceError(Exception):
    """A file that is no reference; the message is one sentence with the cure."""


def read_reference(path: Path) -> Document:
    """Read and check an image or a video.

    Raises:
        BadReferenceError: the file is missing, unreadable, too large, or neither a whole image nor a whole video.
    """
    name = os.fsencode(path.name).decode(errors="replace")
    try:
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "is no regular file" if path.exists() else "is not there"
            raise BadReferenceError(f"{name} {what}; {_WANTED}")
        with path.open("rb") as file:
            data = file.read(MAX_VIDEO + 1)
    except OSError as error:
        raise BadReferenceError(f"{name} cannot be read ({error.strerror}); name a readable file") from error
    if not data:
        raise BadReferenceError(f"{name} is empty; {_WANTED}")
    video = data[4:8] == b"ftyp"
    most = MAX_VIDEO if video else MAX_IMAGE
    if len(data) > most:
        raise BadReferenceError(f"{name} is larger than {most // 2**20} MiB; use a smaller one")
    if video:
        _check_video(name, data)
        return Document(name=name, media_type="video/mp4", data=data)
    return Document(name=name, media_type=_image_type(name, data), data=data)


def _image_type(name: str, data: bytes) -> str:
    """Return the media type of an image that decodes to its end."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit is above ours
            with Image.open(io.BytesIO(data), formats=list(_FORMATS)) as image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width} x {image.height} pixels"
                    raise BadReferenceError(f"{name} has {size}; use {MAX_PIXELS:,} pixels at most")
                found = _FORMATS[str(image.format)]
                image.load()
    except UnidentifiedImageError as error:
        raise BadReferenceError(f"{name} is neither an image nor a video; {_WANTED}") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise BadReferenceError(f"{name} is a damaged or truncated image; {_WANTED} that opens") from error
    return found


def _check_video(name: str, data: bytes) -> None:
    """Check that an MP4 file has its parts, each of them whole."""
    found, position = set(), 0
    while position + _BOX_HEAD <= len(data):
        size = int.from_bytes(data[position : position + 4])
        kind = data[position + 4 : position + 8]
        if size == 1:  # a size of 64 bits follows
            size = int.from_bytes(data[position + 8 : position + 16])
        if size == 0:  # up to the end of the file
            size = len(data) - position
        if size < _BOX_HEAD or position + size > len(data):
            break
        found.add(kind)
        position += size
    if position != len(data) or not {b"moov", b"mdat"} <= found:
        raise BadReferenceError(f"{name} is a damaged or truncated video; {_WANTED} that opens")
