"""The smallest server that Reelbench can measure: the OpenAI Videos API with a video that is ready after 0.2 s."""

from __future__ import annotations

import io
import sys
import time
import uuid
from functools import cache
from typing import Any

import av
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

READY_AFTER = 0.2
"""Seconds; put your model here."""
app = FastAPI(openapi_url=None)
videos: dict[str, tuple[float, int, str]] = {}
"""Identifier to time of creation, length and size, oldest first."""


@cache
def clip(seconds: int, size: str) -> bytes:
    """A black video as long and as large as asked, 8 frames per second."""
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height = map(int, size.split("x"))
        for _ in range(8 * seconds):
            container.mux(stream.encode(av.VideoFrame(stream.width, stream.height, "yuv420p")))
        container.mux(stream.encode())
    return file.getvalue()


def shown(video_id: str) -> dict[str, Any]:
    """The video object of the API."""
    created, _, _ = videos[video_id]
    status = "completed" if time.time() - created >= READY_AFTER else "in_progress"
    return {"id": video_id, "object": "video", "status": status, "created_at": int(created)}


@app.post("/v1/videos")
async def create(request: Request) -> dict[str, Any]:
    """Take a job as JSON or as a form with the document in `input_reference`."""
    is_json = request.headers["content-type"].startswith("application/json")
    fields = await request.json() if is_json else await request.form()
    asked = int(fields["seconds"]), fields["size"]
    videos[video_id := f"video_{uuid.uuid4().hex}"] = time.time(), *asked
    return shown(video_id)


@app.get("/v1/videos")
async def listed(limit: int = 20, after: str | None = None) -> dict[str, Any]:
    """One page, newest first; `after` is the last video of the page before."""
    newest = list(reversed(videos))
    rest = newest[newest.index(after) + 1 :] if after in videos else newest
    return {"object": "list", "data": [shown(one) for one in rest[:limit]], "has_more": len(rest) > limit}


@app.api_route("/v1/videos/{video_id}", methods=["GET", "DELETE"], response_model=None)
@app.get("/v1/videos/{video_id}/content", response_model=None)
async def one(video_id: str, request: Request) -> Response | dict[str, Any]:
    """Show, remove or download a video."""
    if video_id not in videos:
        return JSONResponse({"error": {"message": "No such video.", "code": "not_found"}}, status_code=404)
    if request.method == "DELETE":
        del videos[video_id]
        return {"id": video_id, "object": "video.deleted", "deleted": True}
    if not request.url.path.endswith("/content"):
        return shown(video_id)
    return Response(clip(*videos[video_id][1:]), media_type="video/mp4")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000, log_level="warning")
