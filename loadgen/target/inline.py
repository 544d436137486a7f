"""A file in base64, decoded in parts."""

from __future__ import annotations

import asyncio
import binascii
from typing import Final

from reelbench.loadgen.target.answer import Answer, FileSink, Reply
from reelbench.loadgen.target.api import Content
from reelbench.loadgen.target.media import problem

_STEP: Final = 4 * 64 * 1024
"""Characters that are decoded at once; a multiple of 4."""


async def decoded(text: str, *, checksum: bool, sink: FileSink | None = None) -> Reply[Content]:
    """Return size and checksum of a file in base64; other tasks run between its parts."""
    answer = Answer(keep=False, checksum=checksum, sink=sink)
    answer.head(200, "application/octet-stream", {})
    answer.status = 200
    if any(mark in text[:256] for mark in "\r\n \t"):
        text = "".join(text.split())
    for start in range(0, len(text), _STEP):
        part = text[start : start + _STEP]
        try:
            answer.data(binascii.a2b_base64(part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4)))
        except ValueError as error:  # binascii.Error, and characters outside ASCII
            return Reply(200, error=f"the file is no base64: {error}")
        await asyncio.sleep(0)
    wrong = problem(answer.media_type, answer.start, answer.size)
    return answer.file() if wrong is None else Reply(200, error=wrong)
