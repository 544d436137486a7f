"""Shares of a run, collected from folders or an object store once all are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.run import RunRecord, RunState, read_run
from reelbench.loadgen.record.run_files import RUN_FILE
from reelbench.suite.merging import ShareError, ShareFolder, missing_of, read_shares

POLL = 1.0
"""Seconds between two looks at shares that are awaited."""
_REMOTE = "://"


class Place(Protocol):
    """A place that holds shares."""

    def shares(self) -> list[Path]:
        """Return the local folders of the shares with their ``run.json`` as it is now; the rest may come later."""

    def whole(self, folders: Sequence[Path]) -> list[Path]:
        """Return folders with all files of the shares."""


class LocalPlace:
    """Folders of this machine, such as a shared volume: each is a share or holds shares."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def shares(self) -> list[Path]:
        """Return the folders that are shares."""
        found = []
        for folder in self._folders:
            inside = sorted(path.parent for path in folder.glob(f"*/{RUN_FILE}"))
            found += [folder] if (folder / RUN_FILE).exists() else inside
        return found

    def whole(self, folders: Sequence[Path]) -> list[Path]:
        """Return the same folders."""
        return list(folders)


class RemotePlace:
    """A folder of an object store that fsspec can read, such as ``s3://bucket/runs``; it is copied to this machine."""

    def __init__(self, url: str, copies: Path) -> None:
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra
        except ImportError:
            raise ShareError(
                f"{shown_url(url)} needs fsspec; install it with pip install 'reelbench[shares]'", ExitCode.USAGE
            ) from None
        self._url = url
        self._copies = copies
        try:
            self._files, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ShareError(f"{shown_url(url)} cannot be read ({error})", ExitCode.USAGE) from error

    def shares(self) -> list[Path]:
        """Return the copies of the folders that are shares, with their ``run.json`` alone."""
        return [self._copy(str(path), [str(path)]) for path in self._answered(self._found)]

    def whole(self, folders: Sequence[Path]) -> list[Path]:
        """Copy the rest of the shares."""
        for folder in folders:
            root = f"{self._root.rstrip('/')}/{folder.name}"
            self._answered(lambda root=root, folder=folder: self._files.get(f"{root}/", f"{folder}/", recursive=True))  # type: ignore[misc]
        return list(folders)

    def _found(self) -> list[str]:
        self._files.invalidate_cache()
        return sorted(self._files.glob(f"{self._root.rstrip('/')}/*/{RUN_FILE}"))

    def _copy(self, head: str, files: Sequence[str]) -> Path:
        folder = self._copies / head.split("/")[-2]
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            self._answered(lambda file=file: self._files.get_file(file, str(folder / RUN_FILE)))  # type: ignore[misc]
        return folder

    def _answered(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except OSError as error:
            raise ShareError(f"{shown_url(self._url)} cannot be read ({error})", ExitCode.ABSENT) from error


def copies_for(places: Sequence[str]) -> AbstractContextManager[str]:
    """Return a context with a folder for the copies of remote shares; empty where none is remote."""
    return TemporaryDirectory(prefix="reelbench-shares-") if any(map(is_remote, places)) else nullcontext("")


def is_remote(place: str) -> bool:
    """Return whether a place is a URL."""
    return _REMOTE in place


def places_of(places: Sequence[str], copies: str) -> list[Place]:
    """Return the places that the user named.

    Raises:
        ShareError: a folder is missing, or a URL cannot be read.
    """
    local = [Path(place) for place in places if not is_remote(place)]
    if absent := next((folder for folder in local if not folder.is_dir()), None):
        raise ShareError(f"there is no folder {absent}; name the folders of the shares", ExitCode.USAGE)
    remote = [RemotePlace(place, Path(copies) / str(number)) for number, place in enumerate(places) if is_remote(place)]
    return [*([LocalPlace(local)] if local else []), *remote]


def collect(
    places: Sequence[Place],
    run_id: str | None,
    wait: float,
    say: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[ShareFolder]:
    """Return all shares of a run, checked; wait until all are there and have ended.

    Args:
        places: where the shares are.
        run_id: the run; None: the only one that is there.
        wait: most seconds to wait.
        say: writes a line about the progress.
        clock: monotonic seconds.
        sleep: waits for that many seconds.

    Raises:
        ShareError: a share is missing or late, or the shares are not of one run.
        RecordError: a share cannot be read.
    """
    until, shown = clock() + wait, ""
    while True:
        found = [(place, folder, read_run(folder)) for place in places for folder in place.shares()]
        chosen = _of_run(found, run_id)
        late = _awaited([ShareFolder(folder, run) for _, folder, run in chosen])
        if late is None or clock() >= until:
            break
        if late != shown:
            say(f"waiting for {late}")
            shown = late
        sleep(POLL)
    if not chosen:
        which = f"of run {run_id} " if run_id else ""
        raise ShareError(f"no share {which}is there; name the folder that holds the shares")
    return read_shares([path for place, folder, _ in chosen for path in place.whole([folder])])


def _of_run(found: Sequence[tuple[Place, Path, RunRecord]], run_id: str | None) -> list[tuple[Place, Path, RunRecord]]:
    if run_id is not None:
        return [one for one in found if one[2].run_id == run_id and one[2].replicas > 1]
    if len(names := sorted({one[2].run_id for one in found})) > 1:
        raise ShareError(
            f"shares of {len(names)} runs are there ({', '.join(names[:5])}); set --run-id or REELBENCH_RUN_ID",
            ExitCode.USAGE,
        )
    return list(found)


def _awaited(shares: Sequence[ShareFolder]) -> str | None:
    """Return what a merge has to wait for; None: every share has ended."""
    if not shares:
        return "the first share"
    if missing := missing_of(shares):
        return missing
    going = [str(one.run.replica) for one in shares if one.run.ended is None or one.run.state is RunState.RUNNING]
    return f"the end of load generator{'s' if len(going) > 1 else ''} {', '.join(going)}" if going else None
