"""The project's cache of Prometheus binaries.

Each entry is a folder ``prometheus-SOURCE-VERSION/`` with the binary, promtool where the source has it, and a stamp.
An entry is prepared in a working folder and appears by one rename: an incomplete download is never used, and two runs
at the same time do not disturb each other. The stamp has the version that this file (size and time of change)
printed, so the file is not executed again unless it was replaced or damaged and no longer matches its stamp.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from reelbench.stack import prometheus
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary

BINARY = "prometheus"
PROMTOOL = "promtool"
"""Checks configurations and rules; kept in the same folder where the source has it."""
_STAMP = "stamp.json"
_PREFIX = "prometheus-"
_WORK_PREFIX = ".work-"
_ABANDONED = 6 * 3600.0
"""Seconds after which the working folder of a killed installation is removed."""


class _Stamp(msgspec.Struct, frozen=True):
    version: str
    source: str
    size: int
    changed: int
    """Time of the last change in nanoseconds."""


class Cache:
    """The cache in one folder, which is created on first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self) -> PrometheusBinary | None:
        """Return the newest version that works, or None."""
        found = [binary for entry in self.folder.glob(f"{_PREFIX}*") if (binary := _check(entry)) is not None]
        return max(found, key=lambda binary: binary.release, default=None)

    @contextmanager
    def work(self) -> Iterator[Path]:
        """Yield an empty folder to prepare an entry in; the folder is removed afterwards.

        Raises:
            StackError: the cache cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            folder = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=self.folder))
        except OSError as error:
            raise StackError(
                f"The cache {self.folder} cannot be written ({error.strerror}); set REELBENCH_CACHE to another folder."
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self) -> None:
        for old in self.folder.glob(f"{_WORK_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):  # its owner has removed it in the meantime
                if time.time() - old.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(old, ignore_errors=True)

    def install(self, binary: Path, source: str) -> PrometheusBinary:
        """Verify a binary in a working folder and move it into the cache.

        Raises:
            StackError: the binary does not work or is too old, or the cache cannot be written.
        """
        verified = prometheus.verify(binary, source)
        entry = self.folder / f"{_PREFIX}{source}-{verified.version}"
        staged = binary.parent / "entry"
        try:
            staged.mkdir()
            binary.replace(staged / BINARY)
            with contextlib.suppress(FileNotFoundError):
                binary.with_name(PROMTOOL).replace(staged / PROMTOOL)
            _write_stamp(staged, verified)
            if entry.exists() and _check(entry) is None:  # damaged
                entry.replace(binary.parent / "damaged")
            try:
                staged.replace(entry)
            except OSError:
                if not entry.is_dir():  # otherwise another process was faster; its entry is used
                    raise
        except OSError as error:
            raise StackError(f"The cache {self.folder} cannot be written ({error.strerror}).") from error
        return PrometheusBinary(entry / BINARY, verified.version, f"cache, {source}")


def _check(entry: Path) -> PrometheusBinary | None:
    binary = entry / BINARY
    try:
        status = binary.stat()
        stamp = msgspec.json.decode((entry / _STAMP).read_bytes(), type=_Stamp)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if (stamp.size, stamp.changed) == (status.st_size, status.st_mtime_ns):
        return PrometheusBinary(binary, stamp.version, f"cache, {stamp.source}")
    try:
        verified = prometheus.verify(binary, stamp.source)
        _write_stamp(entry, verified)
    except (StackError, OSError):
        return None
    return PrometheusBinary(binary, verified.version, f"cache, {stamp.source}")


def _write_stamp(entry: Path, verified: PrometheusBinary) -> None:
    status = (entry / BINARY).stat()
    stamp = _Stamp(verified.version, verified.source, status.st_size, status.st_mtime_ns)
    temporary = entry / f"{_STAMP}.tmp"
    temporary.write_bytes(msgspec.json.encode(stamp))
    temporary.replace(entry / _STAMP)
