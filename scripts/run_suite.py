"""Drive the scenarios against a service and write the reports.

Uses the stack of docker compose where it runs (or the one that SERVICE_URL, PROMETHEUS_URL, TEMPO_URL and
OTEL_EXPORTER_OTLP_ENDPOINT name), else starts the embedded stack (service, mock providers, Prometheus) on free loopback
ports; with ``--target`` it measures any server that speaks the OpenAI Videos API. Exit codes: 0 pass, 1 an objective
failed, 2 bad usage or configuration, 3 inconclusive or invalid, 4 the stack or the target is not there, 130 interrupted
(what was measured is saved).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the command works from a checkout, without an install

from loadgen.addresses import is_base_url
from loadgen.document import SAMPLE
from loadgen.options import OptionsError, check_options
from loadgen.record import RUN_FILE, RecordError, RunRecord, RunState, read_jobs, read_run
from loadgen.scenario import PROFILES
from loadgen.target import TargetError, check_target
from reporting.annotations import Region, regions
from reporting.catalogue import CatalogueError
from reporting.export import REPORTS_DIR, export
from reporting.links import live_run
from reporting.prices import PricesError
from reporting.prometheus import QueryError
from reporting.publish import DEFAULT, PAGE
from reporting.stackfile import read_stack
from reporting.tempo import connect
from stack.binaries import find_prometheus
from stack.embedded import LOGS_DIR, EmbeddedStack
from stack.errors import StackError
from stack.external import NAMES, ExternalRun, ExternalStack, find_external
from stack.grafana import Grafana
from stack.processes import Child

EXIT_USAGE, EXIT_INCONCLUSIVE, EXIT_ABSENT, EXIT_INTERRUPTED = 2, 3, 4, 130


class Forwarding:
    """Ctrl-C for the load generator while it runs, for this process before and after."""

    def __init__(self) -> None:
        self._child: Child | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Pass the signal on, or end what this process does."""
        if self._child is None:
            raise KeyboardInterrupt
        self._child.signal(signal.Signals(number))

    @contextmanager
    def to(self, child: Child) -> Iterator[None]:
        """Send signals to this child."""
        self._child = child
        try:
            yield
        finally:
            self._child = None


def main(
    *,
    profile: Annotated[str, typer.Option(help=f"Size of the run: {', '.join(PROFILES)}.")] = "quick",
    scenario: Annotated[list[str] | None, typer.Option(help="Scenario to run; repeatable. Default: all.")] = None,
    target: Annotated[str | None, typer.Option(help="Base URL of a service to measure instead of ours.")] = None,
    document: Annotated[Path, typer.Option(help="PDF or text file that jobs upload.")] = SAMPLE,
    seed: Annotated[int, typer.Option(help="Seed of the plan.")] = 1,
    runs: Annotated[Path, typer.Option(help="Folder that the run's folder is made in.")] = ROOT / "runs",
    embedded: Annotated[bool, typer.Option("--embedded", help="Start the embedded stack in any case.")] = False,
    charts: Annotated[bool, typer.Option(help="Draw the charts of the report.")] = True,
) -> None:
    """Drive the scenarios and write the reports."""
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    run_dir = runs / run_id
    arguments = ["run", "--run-dir", str(run_dir.resolve()), "--run-id", run_id, "--profile", profile]
    arguments += ["--seed", str(seed), "--document", str(document.resolve())]
    arguments += [part for name in scenario or [] for part in ("--scenario", name)]
    forwarding = Forwarding()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forwarding.handle)
    logs_named = False
    try:
        wrong = [*runs_errors(runs), *address_errors({} if target or embedded else os.environ)]
        with also(wrong):
            check_options(run_dir, run_id, target or "http://127.0.0.1", scenario or [], profile, seed, document)
        if target:
            asyncio.run(check_target(target))
        external = None if target or embedded else find_external(say)
        if external is not None:
            say(f"using the stack that runs at {external.addresses.service}")
        raise typer.Exit(measure(run_dir, arguments, external or target, forwarding, charts=charts))
    except (OptionsError, CatalogueError, PricesError) as error:
        fail(EXIT_USAGE, error.errors)
    except (StackError, TargetError, QueryError) as error:
        logs_named = str(run_dir.resolve() / LOGS_DIR) in str(error)
        fail(EXIT_ABSENT, [str(error)])
    except RecordError as error:
        fail(EXIT_INCONCLUSIVE, [str(error)])
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        if run_dir.exists() and not (run_dir / RUN_FILE).exists():  # the load never began: nothing half-written stays
            discard(run_dir, logs_named=logs_named)


@contextmanager
def also(errors: Sequence[str]) -> Iterator[None]:
    """Tell these errors together with those of the options, which come first.

    Raises:
        OptionsError: there are errors of either kind.
    """
    found: Sequence[str] = ()
    try:
        yield
    except OptionsError as error:
        found = error.errors
    if found or errors:
        raise OptionsError([*found, *errors])


def runs_errors(runs: Path) -> list[str]:
    """What is wrong with the folder of runs: it, or a folder on the way to it, is a file."""
    there = next((path for path in (runs, *runs.absolute().parents) if path.exists()), None)
    return [f"--runs: {there} is a file; choose a folder"] if there is not None and not there.is_dir() else []


def address_errors(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the variables that name the parts of a running stack."""
    named = {name: url for name in NAMES if (url := environment.get(name))}
    return [
        f"{name}: {url!r} is not a base URL; write it like http://127.0.0.1:8000, or unset it"
        for name, url in named.items()
        if not is_base_url(url)
    ]


def discard(run_dir: Path, *, logs_named: bool) -> None:
    """Remove the folder of a run that never began, but for the logs that a message has sent the user to."""
    if not logs_named:
        shutil.rmtree(run_dir)
        return
    for path in run_dir.iterdir():
        if path.is_dir() and path.name != LOGS_DIR:
            shutil.rmtree(path)
        elif not path.is_dir():
            path.unlink()


def measure(
    run_dir: Path,
    arguments: Sequence[str],
    target: ExternalStack | str | None,
    forwarding: Forwarding,
    *,
    charts: bool,
) -> int:
    """Have a stack, drive the load, wait until all telemetry has arrived, report; gives the exit code."""
    begun = time.monotonic()
    with stack_for(run_dir, target) as stack, shown_in(stack) as grafana:
        say(f"stack ready in {time.monotonic() - begun:.1f} s: {stack.target}, Prometheus {stack.prometheus_url}")
        if stack.grafana_url:
            say(f"live: {live_run(stack.grafana_url, run_dir.name, time.time(), None)}")
        begun = time.monotonic()
        providers = ["--providers", stack.providers] if stack.providers else []
        child = stack.start_loadgen([*arguments, "--target", stack.target, *providers])
        with forwarding.to(child):
            run = ended_run(run_dir, child, lambda run: annotate(grafana, regions(run)))
        if run is None:
            return child.process.wait()  # its message is on the terminal
        say(f"load ended after {time.monotonic() - begun:.1f} s")
        settled = stack.settle(run.ended or time.time())
        child.signal(signal.SIGTERM)  # it has kept its metrics up for the last scrape
        status = child.process.wait()
        if not settled.complete:
            say(f"warning: no metrics past the end of the run from {', '.join(settled.missing)}: counts may differ")
        for trouble in stack.troubles():
            say(f"warning: {trouble}")
        await_traces(run_dir)
        begun = time.monotonic()
        exported = export(run_dir, stack.prometheus_url, charts=charts, formats=DEFAULT)
        annotate(grafana, regions(run, exported.verdicts, exported.status))
    for line in exported.summary:
        typer.echo(line)
    say(f"report written in {time.monotonic() - begun:.1f} s; all on one page: {run_dir / REPORTS_DIR / PAGE}")
    if run.state is RunState.INTERRUPTED:
        return EXIT_INTERRUPTED
    return status or exported.exit_code


def stack_for(run_dir: Path, target: ExternalStack | str | None) -> ExternalRun | EmbeddedStack:
    """Give the stack of a run: the one that was found, else an embedded one, around the target if there is one."""
    if isinstance(target, ExternalStack):
        return ExternalRun(target, run_dir)
    return EmbeddedStack(run_dir, prometheus=find_prometheus(report=say), target=target)


@contextmanager
def shown_in(stack: ExternalRun | EmbeddedStack) -> Iterator[Grafana | None]:
    """Give the Grafana that shows the run; None when the stack has none."""
    if stack.grafana_url is None:
        yield None
        return
    with Grafana(stack.grafana_url, say) as grafana:
        yield grafana


def annotate(grafana: Grafana | None, found: Sequence[Region]) -> None:
    """Show these regions; what is shown already is left alone."""
    for region in found if grafana else ():
        grafana.annotate(region.key, region.started, region.ended, region.text, region.tags)


def await_traces(run_dir: Path) -> None:
    """Wait until the trace store shows the root span of every job; says so when some stay away."""
    stack = read_stack(run_dir)
    if stack is None or stack.traces_url is None:
        return
    tempo = connect(stack.traces_url, read_run(run_dir))
    try:
        expected = len(read_jobs(run_dir))
        found = tempo.settle(expected)
    except QueryError as error:
        say(f"warning: {error}: the reports come without traces")
        return
    finally:
        tempo.close()
    if found < expected:
        say(f"warning: Tempo shows {found} traces of {expected} jobs: the others were lost on the way")


def ended_run(run_dir: Path, child: Child, show: Callable[[RunRecord], None]) -> RunRecord | None:
    """Wait until the load has ended, and read what it wrote; None when it wrote nothing. `show` sees it meanwhile."""
    while child.wait(timeout=0.1) is None:
        if not (run_dir / RUN_FILE).exists():
            continue
        run = read_run(run_dir)
        show(run)
        if run.ended is not None:
            return run
    return read_run(run_dir) if (run_dir / RUN_FILE).exists() else None


def say(line: str) -> None:
    """Tell the user what happens; results alone go to standard output."""
    typer.echo(line, err=True)


def fail(code: int, errors: Sequence[str]) -> NoReturn:
    """End with one line for each error."""
    for error in errors:
        say(f"error: {error}")
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
