"""Operations of the OpenAI Videos API: name in the records, method and path."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import quote

import msgspec

ROOT: Final = "/v1/videos"


class Operation(msgspec.Struct, frozen=True):
    """One operation of the API."""

    name: str
    """As in ``requests.jsonl``."""
    method: Literal["GET", "POST", "DELETE"]
    template: str = ""
    """Path below `ROOT`, with ``{video_id}`` and ``{name}`` as placeholders."""

    def path(self, video_id: str = "", name: str = "") -> str:
        """Return the path with its placeholders filled in and percent-encoded."""
        if not self.template:
            return ROOT
        path = self.template.replace("{video_id}", _quoted(video_id))
        return ROOT + (path.replace("{name}", _quoted(name)) if name else path)


CREATE: Final = Operation("create", "POST")
LIST: Final = Operation("list", "GET")
RETRIEVE: Final = Operation("retrieve", "GET", "/{video_id}")
WAIT: Final = Operation("wait", "GET", "/{video_id}/wait")
MANIFEST: Final = Operation("manifest", "GET", "/{video_id}/manifest")
CONTENT: Final = Operation("content", "GET", "/{video_id}/content")
ASSET: Final = Operation("asset", "GET", "/{video_id}/assets/{name}")
DELETE: Final = Operation("delete", "DELETE", "/{video_id}")
CANCEL: Final = Operation("cancel", "DELETE", "/{video_id}")


def _quoted(text: str) -> str:
    """Percent-encode a part of a path; the check saves the call for most identifiers."""
    return text if text.isascii() and text.replace("_", "").isalnum() else quote(text, safe="")
