"""Guess at what a server is, from looks that cost no job: its metrics, headers, models, errors and list."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.record.foreign_text import one_line
from reelbench.loadgen.target.look import Look, Looker

NO_JOB: Final = "reelbench-check"
"""Id of a job that does not exist."""
PATHS: Final = ("/v1/videos", "/api/v1/videos")
"""Paths of the jobs that are tried, below the base URL."""
SURE: Final = 3
"""Least weight of the signs for a server that is taken to be known."""
_SETS: Final = {
    "sglang": r"sglang:diffusion_",
    "vllm_omni": r"(vllm_omni:|vllm:omni_)",
    "tensorrt_llm": r"trtllm[_:]",
    "dynamo": r"dynamo_",
    "litellm": r"litellm_",
}
"""Preset -> beginning of the names of its metrics."""
_OWNERS: Final = {
    "vllm": "vllm_omni",
    "sglang": "sglang",
    "tensorrt_llm": "tensorrt_llm",
    "nvidia": "dynamo",
    "fastvideo": "fastvideo",
}
"""Owner of a model in the list of models -> preset."""
_TITLES: Final = {
    "litellm": "litellm",
    "sglang": "sglang",
    "fastvideo": "fastvideo",
    "vllm": "vllm_omni",
    "tensorrt": "tensorrt_llm",
    "dynamo": "dynamo",
    "new api": "new_api",
    "one api": "new_api",
}
"""Word in the title of the OpenAPI description -> preset."""
_HEADERS: Final = {"x-litellm": "litellm", "x-oneapi": "new_api", "x-new-api": "new_api", "openai-": "openai"}
"""Beginning of a header's name -> preset."""
_HOSTS: Final = {"openrouter.ai": "openrouter", "api.openai.com": "openai"}


class Sign(msgspec.Struct, frozen=True):
    """An observation that speaks for a kind of server."""

    preset: str
    weight: int
    what: str


class Looks(msgspec.Struct, frozen=True):
    """Answers of a server before any job."""

    path: str
    """Path of the jobs below the base URL."""
    listed: Look
    missing: Look
    """Answer about a job that does not exist."""
    nothing: Look
    """Answer to a path that no server has."""
    manifest: Look
    models: Look
    openapi: Look
    health: Look
    version: Look
    metrics: Look

    def all(self) -> Iterator[Look]:
        """Yield all answers."""
        for name in self.__struct_fields__:
            if isinstance(look := getattr(self, name), Look):
                yield look

    @property
    def model_names(self) -> list[str]:
        """Names in the list of models."""
        rows = self.models.mapping.get("data")
        rows = rows if isinstance(rows, list) else []
        return [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]

    @property
    def metric_names(self) -> set[str]:
        """Names on the page of metrics."""
        if not self.metrics.ok or "html" in self.metrics.media_type:
            return set()
        return set(re.findall(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{| )", self.metrics.text, re.MULTILINE))


async def look_at(url: str, credentials: Credentials) -> Looks:
    """Look at all places of a server that say what it is, without a job."""
    async with Looker(url, credentials) as looker:
        return await look_around(looker)


async def look_around(looker: Looker) -> Looks:
    """Look at all places that say what a server is."""
    path = PATHS[0]
    listed, missing, nothing = await _jobs(looker, path)
    if not urlsplit(looker.url).path and not _known(listed, missing, nothing):
        other = await _jobs(looker, PATHS[1])
        if _known(*other):
            path, (listed, missing, nothing) = PATHS[1], other
    below = path.rpartition("/")[0]
    places = (
        f"{path}/{NO_JOB}/manifest",
        f"{below}/models",
        "/openapi.json",
        "/health",
        "/version",
        "/metrics",
    )
    looks = await asyncio.gather(*(looker.get(place) for place in places))
    return Looks(path, listed, missing, nothing, *looks)


async def _jobs(looker: Looker, path: str) -> tuple[Look, Look, Look]:
    """Return the answers to a list, about a job that does not exist, and to an unknown path at the same place."""
    unknown = f"{path.rpartition('/')[0]}/reelbench-check/unknown"
    places = (f"{path}?limit=1", f"{path}/{NO_JOB}", unknown)
    listed, missing, nothing = await asyncio.gather(*(looker.get(place) for place in places))
    return listed, missing, nothing


def _known(listed: Look, missing: Look, nothing: Look) -> bool:
    """Return whether a server has the path of the jobs: it does not answer there as to an unknown path."""
    if missing.status is None or "html" in missing.media_type:
        return False
    return isinstance(listed.mapping.get("data"), list) or not same_refusal(missing, nothing)


def same_refusal(one: Look, other: Look) -> bool:
    """Return whether two answers refuse in the same words, apart from the path."""

    def plain(look: Look) -> str:
        return re.sub(r"/[^\s\"')]*", "", look.text)

    return one.status == other.status and plain(one) == plain(other)


def signs(looks: Looks, url: str) -> list[Sign]:
    """Return what the answers speak for."""
    return [
        *_by_host(looks, url),
        *_by_names(looks),
        *_by_errors(looks),
        *_by_list(looks.listed),
        *_by_unknown_path(looks.nothing),
    ]


def best(found: list[Sign]) -> tuple[str | None, list[str]]:
    """Return the preset for which most speaks, and what speaks for it; None: too little speaks for any."""
    weights: dict[str, int] = {}
    for sign in found:
        weights[sign.preset] = weights.get(sign.preset, 0) + sign.weight
    if not weights or max(weights.values()) < SURE:
        return None, []
    name = max(weights, key=lambda preset: weights[preset])
    ordered = sorted((sign for sign in found if sign.preset == name), key=lambda sign: -sign.weight)
    return name, list(dict.fromkeys(sign.what for sign in ordered))


def _by_host(looks: Looks, url: str) -> Iterator[Sign]:
    host = urlsplit(url).hostname or ""
    for known, preset in _HOSTS.items():
        if host == known or host.endswith(f".{known}"):
            yield Sign(preset, 6, f"its host is {known}")
    if f"{urlsplit(url).path}{looks.path}".endswith("/api/v1/videos"):
        yield Sign("openrouter", 2, "its jobs are below /api/v1")
    if looks.manifest.mapping.get("error", {}) and _code(looks.manifest) == "video_not_found":
        yield Sign("reelbench", 8, "it has manifests")


def _by_names(looks: Looks) -> Iterator[Sign]:
    names = looks.metric_names
    for preset, beginning in _SETS.items():
        known = next((name for name in sorted(names) if re.match(beginning, name)), None)
        if known:
            yield Sign(preset, 5, f"its metrics have {known}")
    for look in looks.all():
        for name in look.headers:
            for beginning, preset in _HEADERS.items():
                if name.startswith(beginning):
                    yield Sign(preset, 4, f"its answers have the header {name}")
    yield from _by_description(looks)


def _by_description(looks: Looks) -> Iterator[Sign]:
    rows = looks.models.mapping.get("data")
    owners = {str(row.get("owned_by", "")).lower() for row in rows if isinstance(row, dict)} if rows else set()
    for owner, preset in _OWNERS.items():
        if owner in owners:
            yield Sign(preset, 3, f"its models are owned by {owner}")
    info = looks.openapi.mapping.get("info")
    title = str(info.get("title", "")) if isinstance(info, dict) else ""
    for word, preset in _TITLES.items():
        if word in title.lower():
            yield Sign(preset, 4, f"its OpenAPI description is titled {one_line(title, 60)!r}")


def _by_errors(looks: Looks) -> Iterator[Sign]:
    body = looks.missing.mapping
    error = body.get("error")
    what = "an error has the form "
    if isinstance(error, dict):
        code = error.get("code")
        if isinstance(code, int) and not isinstance(code, bool):
            yield Sign("vllm_omni", 2, f"{what}error.code, a number")
            yield Sign("openrouter", 1, f"{what}error.code, a number")
        elif isinstance(code, str) and code.isdecimal():
            yield Sign("litellm", 2, f"{what}error.code, digits as text")
        else:
            yield Sign("openai", 1, f"{what}error.message")
            yield Sign("fastvideo", 1, f"{what}error.message")
    elif body.get("object") == "error":
        yield Sign("tensorrt_llm", 3, f"{what}object: error")
    elif {"code", "message", "data"} <= body.keys():
        yield Sign("new_api", 3, f"{what}code, message, data")
    elif {"message", "type", "code"} <= body.keys():
        yield Sign("dynamo", 3, f"{what}message, type, code")
    elif isinstance(body.get("detail"), str):
        yield Sign("sglang", 1, f"{what}detail")


def _by_list(look: Look) -> Iterator[Sign]:
    body = look.mapping
    if look.ok and isinstance(body.get("data"), list):
        pages = isinstance(body.get("has_more"), bool)
        for preset in ("openai", "vllm_omni", "fastvideo") if pages else ("sglang", "tensorrt_llm"):
            yield Sign(preset, 1, f"its list has {'' if pages else 'no '}has_more")
    elif "LLM Provider NOT provided" in look.text:
        yield Sign("litellm", 4, "its list asks for a provider")
    elif look.status == 404:  # noqa: PLR2004 - not found
        for preset in ("openrouter", "new_api"):
            yield Sign(preset, 1, "it has no list")
    elif look.status == 405:  # noqa: PLR2004 - method not allowed
        yield Sign("dynamo", 1, "its list answers 405")


def _by_unknown_path(look: Look) -> Iterator[Sign]:
    if look.mapping == {"detail": "Not Found"}:
        for preset in ("fastvideo", "vllm_omni", "sglang", "tensorrt_llm", "litellm"):
            yield Sign(preset, 1, "an unknown path answers as FastAPI does")
    elif "Invalid URL" in str(_error(look).get("message", "")):
        yield Sign("openai", 2, "an unknown path answers Invalid URL")


def _error(look: Look) -> dict[str, Any]:
    error = look.mapping.get("error")
    return error if isinstance(error, dict) else {}


def _code(look: Look) -> str:
    return str(_error(look).get("code", ""))
