"""``reelbench probe``: what a server is and has, what that leaves out, and a target file that describes it."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate

from reelbench.exit_code import ExitCode
from reelbench.loadgen.clock import Clock
from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.option_line import Options, with_access
from reelbench.loadgen.options import OptionsError, check_access, target_access
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.plan.scenario_file import ScenarioError, load_folder
from reelbench.loadgen.target.access import refusal
from reelbench.loadgen.target.identify import Looks, best, look_at, signs
from reelbench.loadgen.target.probe import Facts, Probe, Wish
from reelbench.loadgen.target.target import check_target
from reelbench.loadgen.target.target_error import TargetError
from reelbench.loadgen.target.target_file import TargetFile, load_preset
from reelbench.loadgen.videos.decoder import Decoded
from reelbench.loadgen.videos.decoder_process import DecoderError, DecoderProcess
from reelbench.suite.commands.console import echo, fail, say
from reelbench.suite.probed import Found, described, rows, written

PRESET = "openai"
"""Preset of a server of which too little is known."""
TIME_LIMIT = 3600.0


@with_access
def main(
    *,
    options: Options,
    url: Annotated[str | None, typer.Argument(help="Base URL of the server. Default: that of --target-file.")] = None,
    job: Annotated[bool, typer.Option("--job/--no-job", help="Send one short job.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send no job and write no file.")] = False,
    seconds: Annotated[str, typer.Option(help="Length of the video of the job.")] = "4",
    size: Annotated[str, typer.Option(help="Size of the video of the job, in pixels.")] = "720x1280",
    write: Annotated[Path | None, typer.Option(help="Target file to write. Default: <preset>.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Find out what a server is and has, with one short job, and write a target file for reelbench run.

    The job has the length and the size that most scenarios ask for, so its time tells how long a run takes.

    Exit codes: 0 the job completed; 2 bad usage or configuration; 4 the server is not there or makes no video.
    """
    options = replace(options, target=url)
    try:
        address, credentials, server = check_access(options)
        access = target_access(options, server)
        scenarios = load_folder()
    except (OptionsError, ScenarioError) as error:
        fail(ExitCode.USAGE, error.errors)
    keeps = not dry_run
    if wrong := _wish_errors(seconds, size) + (_path_errors(write, force=force) if write and keeps else []):
        fail(ExitCode.USAGE, wrong)
    wish = Wish(seconds, size, options.model, ())
    limit = options.time_limit or TIME_LIMIT
    try:
        found = asyncio.run(_look(address, credentials, server, wish))
        path = write or Path(f"{found.server.name}.yaml")
        if keeps and (wrong := _path_errors(path, force=force)):
            fail(ExitCode.USAGE, wrong)
        if job and keeps:
            found = asyncio.run(_with_job(found, address, credentials, wish, limit))
    except TargetError as error:
        fail(ExitCode.ABSENT, [credentials.clean(str(error))])
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    _show(found, address, tuple(scenarios.values()))
    if found.facts is not None and found.facts.error is not None:
        raise typer.Exit(ExitCode.ABSENT)
    if not keeps:
        return
    file = described(found, path, options.target or "", access)
    _write(path, written(file, found, options.target or ""))


WIDTHS = (40, 78)
"""Most characters of the two columns of a printed table; longer cells are wrapped."""


def _show(found: Found, url: str, scenarios: Sequence[Scenario]) -> None:
    for title, table in rows(found, url, scenarios):
        echo(f"{title}\n")
        echo(tabulate(table, tablefmt="plain", disable_numparse=True, maxcolwidths=list(WIDTHS)))
        echo("")


def _wish_errors(seconds: str, size: str) -> list[str]:
    wrong = []
    if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", size):
        wrong.append(f"--size: is {size!r}; write it like 720x1280")
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", seconds) or not float(seconds):
        wrong.append(f"--seconds: is {seconds!r}; use a number above 0")
    return wrong


def _path_errors(path: Path, *, force: bool) -> list[str]:
    if path.exists() and not (force and path.is_file()):
        return [f"--write: {path} exists; give another name{', or --force' if path.is_file() else ''}"]
    return [] if path.absolute().parent.is_dir() else [f"--write: there is no folder {path.parent}; make it"]


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(ExitCode.USAGE, [f"--write: {path} cannot be written ({error.strerror}); give another name"])
    echo(f"written: {path}; measure with: reelbench run --target-file {path}")


async def _look(url: str, credentials: Credentials, server: TargetFile | None, wish: Wish) -> Found:
    """Look at the server without a job.

    Raises:
        TargetError: the server is not there or refuses access.
    """
    looks = await _looks(url, credentials)
    preset, reasons = best(signs(looks, url))
    assumed = server or load_preset(preset or PRESET)
    await check_target(url, credentials, server=assumed, model=wish.model)
    return Found(server=assumed, preset=preset, reasons=tuple(reasons), looks=looks, facts=None, video=None)


async def _with_job(found: Found, url: str, credentials: Credentials, wish: Wish, limit: float) -> Found:
    """Send the job.

    Raises:
        TargetError: the server makes no video.
    """
    wish = Wish(wish.seconds, wish.size, wish.model, found.looks.model_names)
    probe = Probe(url, found.server, credentials, time_limit=limit, clock=Clock.start(), say=say)
    with tempfile.TemporaryDirectory(prefix="reelbench-") as folder:
        sink = _FileSink(Path(folder) / "video")
        try:
            facts = await probe.run(wish, sink)
        finally:
            sink.end()
        return replace(found, facts=facts, video=await _decoded(facts, sink.path))


async def _looks(url: str, credentials: Credentials) -> Looks:
    looks = await look_at(url, credentials)
    refused = refusal(url, looks.listed.status, looks.listed.error, credentials)
    if looks.listed.status is None:
        raise TargetError(
            refused
            or f"target {url} gives no HTTP answer ({looks.listed.error}); start the server or correct the address"
        )
    return looks


async def _decoded(facts: Facts, path: Path) -> Decoded | None:
    """Return what the file holds; None: there is none, or no decoder is installed."""
    if facts.content is None:
        return None
    decoder = DecoderProcess()
    try:
        return await decoder.decode(path)
    except DecoderError:
        return None
    finally:
        await decoder.close()


class _FileSink:
    """Writes the downloaded file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")

    def begin(self) -> None:
        """Implement `FileSink.begin`."""
        self._file.seek(0)
        self._file.truncate()

    def write(self, chunk: bytes) -> None:
        """Implement `FileSink.write`."""
        self._file.write(chunk)

    def end(self) -> None:
        """Close the file."""
        self._file.close()
