"""Whether what was downloaded is what the service says it made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from reelbench.loadgen.target.api_types import Asset, Manifest
from reelbench.loadgen.target.target import Content

Verdict = Literal["ok", "corrupt", "missing"]


@dataclass(slots=True)
class Findings:
    """What the checks of one job found."""

    _checked: dict[str, bool] = field(default_factory=dict)
    """Whether the file was as its manifest says, by path."""
    _missing: list[str] = field(default_factory=list)
    _corrupt: list[str] = field(default_factory=list)

    def check_manifest(self, video_id: str, manifest: Manifest) -> None:
        """Compare the manifest of a completed job with what is known of the job."""
        if manifest.video_id != video_id:
            self._corrupt.append(f"the manifest is that of {manifest.video_id}")
        if manifest.status != "completed":
            self._corrupt.append(f"the manifest says {manifest.status} of a completed video")
        if manifest.content is None:
            self._missing.append("the content")
        self._corrupt += [
            f"scene {number} is completed without its files"
            for number, scene in enumerate(manifest.scenes)
            if scene.complete and (scene.audio is None or scene.visual is None)
        ]

    def compare_content(self, manifest: Manifest, content: Content) -> None:
        """Compare the downloaded video with its entry in the manifest."""
        if manifest.content is not None:
            self.compare(manifest.content, content)

    def compare(self, asset: Asset, found: Content) -> None:
        """Compare a downloaded file with its entry in the manifest."""
        good = (asset.sha256, asset.bytes) == (found.sha256, found.bytes)
        if not good and self._checked.get(asset.path, True):
            self._corrupt.append(f"{asset.path} is not as its checksum says")
        self._checked[asset.path] = good and self._checked.get(asset.path, True)

    def missing(self, what: str) -> None:
        """Take note of something that is not there although it must be."""
        self._missing.append(what)

    @property
    def files(self) -> int | None:
        """Files compared, each counted once; None when there were none."""
        return len(self._checked) or None

    @property
    def verdict(self) -> Verdict | None:
        """The worst that was found; None when no file was compared and nothing is missing."""
        if self._missing:
            return "missing"
        if self._corrupt:
            return "corrupt"
        return "ok" if self._checked else None

    @property
    def summary(self) -> str | None:
        """One line of at most 200 characters about what is wrong; None when nothing is."""
        problems = [*(f"{what} is missing" for what in self._missing), *self._corrupt]
        return "; ".join(problems)[:200] or None
