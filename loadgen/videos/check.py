"""Check of the downloaded files of a case, after its measured window: the load of the next case has not begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.record.videos import VideoRecord
from reelbench.loadgen.videos.comparison import Wish, compare
from reelbench.loadgen.videos.decoder import Decoded
from reelbench.loadgen.videos.decoder_process import DecoderError, DecoderProcess
from reelbench.loadgen.videos.files import FILE_BYTES, FOLDER, Download, VideoFiles

DEFAULT_CHECKS: Final = 25
"""Files of a case that are checked without ``--check-videos``: at least 20 where one job in five has no file."""
CASE_SECONDS: Final = 300.0
"""Time for the files of one case; those left are not checked."""

_SUFFIXES: Final = {"matroska": "mkv"}
"""File name suffixes that differ from FFmpeg's name of the container."""
_NO_ROOM: Final = f"larger than {FILE_BYTES // 1024**2} MiB, or no room on the disk"


@dataclass(slots=True)
class VideoCheck:
    """Decodes the waiting files, records what they hold, and keeps some of them."""

    files: VideoFiles
    decoder: DecoderProcess
    asked: Callable[[PlannedJob], Wish]
    """Return what a job asked for."""
    keep: int
    """Files of a case to keep: first those that do not decode, then those that are not as asked."""
    record: Callable[[VideoRecord], None]
    clock: Clock
    say: Callable[[str], None]
    _able: bool = field(default=True)

    async def run(self) -> None:
        """Check and delete all files that wait.

        Raises:
            JournalError: the records cannot be written.
        """
        waiting = await asyncio.to_thread(self.files.waiting)
        if self.files.given_up:
            self.say(f"warning: {self.files.given_up} videos are not checked: {_NO_ROOM}")
            self.files.given_up = 0
        found: list[tuple[Download, VideoRecord]] = []
        until = self.clock.now() + CASE_SECONDS
        try:
            for file in waiting:
                if not self._able or self.clock.now() >= until:
                    break
                decoded = Decoded(error=file.refused) if file.refused else await self.decoder.decode(file.path)
                found.append((file, compare(file.job, self.asked(file.job), decoded, file.size)))
        except DecoderError as error:
            self._able = False
            self.say(f"warning: {error}")
        finally:
            kept = self._kept(found)
            for file, record in found:
                name = kept.get(file.job.index)
                self.record(msgspec.structs.replace(record, kept=name) if name else record)
            for file in waiting:
                file.delete()

    def _kept(self, found: list[tuple[Download, VideoRecord]]) -> dict[int, str]:
        """Move the files to keep into their folder; return their names by the index of the job."""
        names = {}
        folder = self.files.folder / FOLDER
        there = [one for one in found if one[0].refused is None]
        there.sort(key=lambda one: (one[1].playable, not one[1].wrong, one[1].index))
        for file, record in there[: self.keep]:
            name = f"{file.path.name}.{_SUFFIXES.get(record.container or '', record.container or 'bin')}"
            try:
                folder.mkdir(exist_ok=True)
                file.path.replace(folder / name)
            except OSError as error:
                self.say(f"warning: a video is not kept ({error.strerror})")
                break
            names[record.index] = name
        return names

    async def close(self) -> None:
        """End the decoder."""
        await self.decoder.close()
