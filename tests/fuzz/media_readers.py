"""Readers of documents, pictures, sound and videos, which in a run work in processes of their own."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from pathlib import Path

from reelbench.loadgen import pdf_text
from reelbench.loadgen.document import DocumentError, _media_type
from reelbench.loadgen.references import BadReferenceError, read_reference
from reelbench.loadgen.videos.decoder import examine
from reelbench.service.pipeline.tasks import BadDocument, Defect, Inspect, Kind, Preview, Read, Shape, Still, Text
from reelbench.service.pipeline.video_encoder import Slide, encode
from reelbench.service.pipeline.worker import perform
from reelbench.service.provider_client.formats import MediaError
from tests.data_helper import encrypted_pdf, page_of, pdf
from tests.fuzz.reader import Reader
from tests.loadgen.made_videos import video
from tests.service.references import image, mp4

SHAPE = Shape(width=32, height=48, frames=2, rate=(2, 1), crf=40)
SPLIT = b"\n--next--\n"
"""Between the picture and the sound of a scene."""
MOST_CHARACTERS = 20_000


def read_upload(data: bytes, folder: Path) -> None:
    """Do what a worker of the service does with an upload."""
    path = folder / "upload"
    path.write_bytes(data)
    kind = perform(Inspect(str(path), "text/plain" if data[:1] == b"t" else "application/pdf"))
    if isinstance(kind, BadDocument):
        assert kind.message.endswith("."), kind
        return
    assert isinstance(kind, Kind), kind
    if kind.kind in {"image", "video"}:
        again = perform(Still(str(path), kind.kind, 32, 48))
    else:
        again = perform(Read(str(path), kind.kind == "pdf", 20, MOST_CHARACTERS))
        assert not isinstance(again, Text) or len(again.text) <= MOST_CHARACTERS
    assert not isinstance(again, Defect), again


def read_preview(data: bytes, folder: Path) -> None:
    """Make the previews of a video."""
    path = folder / "video.mp4"
    path.write_bytes(data)
    for kind in ("thumbnail", "spritesheet"):
        found = perform(Preview(str(path), kind))
        assert not isinstance(found, Defect), found


def read_scene(data: bytes, _: Path) -> None:
    """Encode a scene of the files of a provider."""
    picture, _between, speech = data.partition(SPLIT)
    encode([Slide(picture, speech)], SHAPE)


def read_document(data: bytes, folder: Path) -> None:
    """Check a document before a run."""
    path = folder / "paper"
    if _media_type(path, data) == "application/pdf":
        found = pdf_text.inspect(data)
        assert "problem" in found or 0 <= found["empty"] <= found["pages"], found


def read_picture(data: bytes, folder: Path) -> None:
    """Check a reference before a run."""
    path = folder / "reference"
    path.write_bytes(data)
    read_reference(path)


def read_video(data: bytes, folder: Path) -> None:
    """Decode the file of a server."""
    path = folder / "content.mp4"
    path.write_bytes(data)
    found = examine(str(path))
    assert found.error is None or found.error.strip()


def sound(rate: int, channels: int) -> bytes:
    """A WAV file of a hundredth of a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(2 * channels * (rate // 100)))
    return file.getvalue()


def _documents() -> Sequence[bytes]:
    return [
        pdf(),
        encrypted_pdf(),
        page_of(b"BT /F1 24 Tf (x) Tj ET"),
        b"\xef\xbb\xbf\r\n" + pdf(1),
        b"text of a paper",
    ]


def _uploads() -> Sequence[bytes]:
    return [*_documents(), image("PNG"), image("JPEG"), image("WEBP"), mp4(frames=2)]


def _scenes() -> Sequence[bytes]:
    small = image("PNG", size=(8, 8)) + SPLIT
    return [small + sound(8000, 1), small + sound(16_000, 2)]


WORDS_OF_PDF = (
    b"%PDF-1.7", b"%%EOF", b" 0 obj", b"endobj", b"stream\n", b"endstream", b"/Type /Page", b"/Kids [", b"/Count ",
    b"/Encrypt", b"/ObjStm", b"/Filter /FlateDecode", b"xref", b"trailer", b"startxref", b"<<", b">>", b"/Length -1",
)  # fmt: skip
WORDS_OF_MEDIA = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"IHDR",
    b"IDAT",
    b"IEND",
    b"RIFF",
    b"WEBP",
    b"\xff\xd8\xff",
    b"\xff\xff\xff\xff",
    b"stsd",
)

READERS = (
    Reader("document", read_document, _documents, (DocumentError,), WORDS_OF_PDF, 4, 8192),
    Reader("upload", read_upload, _uploads, (), WORDS_OF_PDF + WORDS_OF_MEDIA, 4, 8192),
    Reader("preview", read_preview, lambda: [mp4(frames=2), video(frames=3)], (), WORDS_OF_MEDIA, 1, 8192),
    Reader("scene", read_scene, _scenes, (MediaError,), (*WORDS_OF_MEDIA, b"data", b"fmt "), 2, 4096),
    Reader(
        "reference", read_picture, lambda: [image("PNG"), image("JPEG"), image("WEBP"), image("GIF"), mp4(frames=2)],
        (BadReferenceError,), WORDS_OF_MEDIA, 2, 8192,
    ),
    Reader("video", read_video, lambda: [video(frames=3), mp4(frames=2)], (), WORDS_OF_MEDIA, 1, 8192),
)  # fmt: skip
