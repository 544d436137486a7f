"""Bodies of ``multipart/form-data`` (RFC 7578) around a document, without copying the document."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from reelbench.loadgen.document import Document

_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""Escapes in file names, as in browsers (WHATWG HTML, multipart/form-data)."""


class Form:
    """Encoder of forms with one boundary of 128 random bits, which no document contains by chance."""

    def __init__(self) -> None:
        self._boundary = secrets.token_hex(16)
        self.media_type = f"multipart/form-data; boundary={self._boundary}"

    def encode(self, fields: Mapping[str, str], file_field: str, document: Document) -> tuple[bytes, bytes, bytes]:
        """Return the parts of a body: head, document and end."""
        lines = [
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        name = document.name.translate(_ESCAPES)
        lines.append(
            f"--{self._boundary}\r\n"
            f'Content-Disposition: form-data; name="{file_field}"; filename="{name}"\r\n'
            f"Content-Type: {document.media_type}\r\n\r\n"
        )
        return "".join(lines).encode(), document.data, f"\r\n--{self._boundary}--\r\n".encode()
