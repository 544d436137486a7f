from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from reelbench.loadgen import references
from reelbench.loadgen.references import BadReferenceError, read_reference


def image(kind: str, size: tuple[int, int] = (32, 24)) -> bytes:
    data = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(data, kind)
    return data.getvalue()


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


MP4 = box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", b"x" * 20) + box(b"mdat", b"y" * 50)


@pytest.mark.parametrize(
    ("name", "data", "media_type", "kind"),
    [
        ("a.png", image("PNG"), "image/png", "image"),
        ("a.jpg", image("JPEG"), "image/jpeg", "image"),
        ("a.webp", image("WEBP"), "image/webp", "image"),
        ("a.gif", image("GIF"), "image/gif", "image"),
        ("misnamed.png", image("JPEG"), "image/jpeg", "image"),
        ("a.mp4", MP4, "video/mp4", "video"),
    ],
)
def test_the_media_type_is_that_of_the_bytes(
    tmp_path: Path, name: str, data: bytes, media_type: str, kind: str
) -> None:
    (tmp_path / name).write_bytes(data)
    found = read_reference(tmp_path / name)
    assert (found.name, found.media_type, found.kind, found.data) == (name, media_type, kind, data)


WANTED = "name a PNG, JPEG, WebP, GIF or MP4 file"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.png", b"", f"is empty; {WANTED}"),
        ("a.png", b"<html>no image</html>", f"is neither an image nor a video; {WANTED}"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", f"is neither an image nor a video; {WANTED}"),
        ("a.pdf", b"%PDF-1.7", f"is neither an image nor a video; {WANTED}"),
        ("a.bmp", image("BMP"), f"is neither an image nor a video; {WANTED}"),
        ("a.png", image("PNG")[:-60], f"is a damaged or truncated image; {WANTED} that opens"),
        ("a.jpg", image("JPEG")[:-60], f"is a damaged or truncated image; {WANTED} that opens"),
        ("a.mp4", MP4[:-10], f"is a damaged or truncated video; {WANTED} that opens"),
        ("a.mp4", MP4[:20], f"is a damaged or truncated video; {WANTED} that opens"),
        (
            "a.mp4",
            box(b"ftyp", b"isom") + b"\0\0\0\1mdat" + b"\xff" * 8,
            f"is a damaged or truncated video; {WANTED} th",
        ),
    ],
)
def test_a_file_that_is_no_reference_is_one_sentence(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadReferenceError, match=f"^{name} {expected}"):
        read_reference(tmp_path / name)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(image("PNG", (64, 64)))
    (tmp_path / "a.mp4").write_bytes(MP4)
    monkeypatch.setattr(references, "MAX_PIXELS", 4_095)
    with pytest.raises(BadReferenceError, match=r"^a.png has 64 x 64 pixels; use 4,095 pixels at most$"):
        read_reference(tmp_path / "a.png")
    monkeypatch.setattr(references, "MAX_IMAGE", 50)
    monkeypatch.setattr(references, "MAX_VIDEO", 100)
    with pytest.raises(BadReferenceError, match=r"^a\.png is larger than 0 MiB; use a smaller one$"):
        read_reference(tmp_path / "a.png")
    with pytest.raises(BadReferenceError, match=r"^a\.mp4 is larger than 0 MiB; use a smaller one$"):
        read_reference(tmp_path / "a.mp4")


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    for path, what in (
        (tmp_path, "is a directory"),
        (tmp_path / "nix.png", "is not there"),
        (Path("/dev/zero"), "is no"),
    ):
        with pytest.raises(BadReferenceError, match=what):
            read_reference(path)
