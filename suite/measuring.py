"""One run: start or find the stack, drive the load, wait for the telemetry, report."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from reelbench.exit_code import ExitCode
from reelbench.loadgen.machine.parts import Parts, own_processes
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.conditions import PROMETHEUS_VARIABLES, ahead_of, read_conditions
from reelbench.loadgen.record.going_on import holding
from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.loadgen.record.run_files import RUN_FILE, SLIS_FILE
from reelbench.loadgen.target.access import API_KEY_ENV
from reelbench.reporting.document.grafana_links import live_run
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.embedded import LOGS_DIR, EmbeddedStack, check_installed
from reelbench.stack.environment import hand_over
from reelbench.stack.errors import StackError
from reelbench.stack.external import ExternalRun, ExternalStack
from reelbench.stack.forwarding import Forwarding
from reelbench.stack.grafana import Grafana
from reelbench.stack.processes import Child
from reelbench.stack.readiness import TelemetryEnd
from reelbench.stack.reopen_tsdb import reopen_tsdb
from reelbench.stack.server_metrics import NO_METRICS, ServerMetrics, await_samples
from reelbench.suite import generators, step_summary
from reelbench.suite.busy import look, warning
from reelbench.suite.driven import Driven, ended_run, left_by_generator
from reelbench.suite.generators import SHARES_DIR
from reelbench.suite.merging import ShareError
from reelbench.suite.trace_store import await_traces
from reelbench.suite.watching import Watch
from reelbench.telemetry.set_up import ALL, SERIES

if TYPE_CHECKING:
    from reelbench.reporting.export import Exported
    from reelbench.reporting.render.drawing import Drawing


class Stack(Protocol):
    """A service under test and its Prometheus, which are there while the context is entered."""

    @property
    def target(self) -> str:
        """Base URL of the service under test, with its password if it has one."""

    @property
    def providers(self) -> str | None:
        """Base URL of the mock providers; None when they are not known."""

    @property
    def prometheus_url(self) -> str:
        """Base URL of Prometheus."""

    @property
    def grafana_url(self) -> str | None:
        """Base URL of Grafana; None without a Grafana."""

    def start_loadgen(
        self, arguments: Sequence[str], secrets: Mapping[str, str] | None = None, *, number: int = 1
    ) -> Child:
        """Start ``python -m reelbench.loadgen`` with these arguments, in a session of its own.

        Where there are several, `number` tells them apart, from 1. Secrets are variables for the environment
        of this process alone.
        """

    def await_telemetry(self, after: float, *, ahead: float = 0.0) -> TelemetryEnd:
        """Wait until Prometheus has metrics of every component from after that Unix time, and record the result.

        The clock of Prometheus is `ahead` seconds ahead.
        """

    def troubles(self) -> list[str]:
        """Return what went wrong in the stack, one line each."""

    def deaths(self) -> dict[str, str]:
        """Return the parts that have ended: name to a sentence."""

    def needed(self, name: str) -> bool:
        """Return whether a run makes no sense without a part."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Load:
    """The settings that all runs of a suite share."""

    runs: Path
    """Folder in which the folder of each run is created."""
    arguments: tuple[str, ...]
    """Command line of the load generator, without the run and the target."""
    target: ExternalStack | str | None
    """The stack that was found, or the base URL of a service, with its password; None: the embedded stack."""
    server: ServerMetrics = NO_METRICS
    """The metrics of a server that is not ours."""
    slis: Path | None = None
    """File with indicators of the user; it was checked."""
    replicas: int = 1
    """Load generators on this machine that run the plan together."""
    rendezvous: str | None = None
    """Store in which they meet; None: one in this process."""
    charts: bool
    forwarding: Forwarding
    say: Callable[[str], None]
    """Writes a line about the progress to standard error."""
    show: Callable[[str], None]
    """Writes a line of the result to standard output."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    exit_code: int
    run: RunRecord | None
    """None when the load never began; then the folder was removed."""

    @property
    def made(self) -> bool:
        """True when the load completed its plan."""
        return self.run is not None and self.run.state is RunState.COMPLETED


def measure(load: Load, run_id: str, environment: Mapping[str, str] = os.environ) -> Ended:
    """Make one run and write its reports; the folder of a run whose load never began is removed.

    Args:
        load: The settings of the run.
        run_id: Name of the run and of its folder.
        environment: The environment that the processes of an embedded stack inherit.

    Raises:
        StackError: the stack does not start or ends.
        RecordError: what the load generator wrote cannot be read.
        QueryError: Prometheus did not answer.
    """
    run_dir = load.runs / run_id
    logs_named = False
    try:
        return _measure(load, run_dir, environment)
    except StackError as error:
        logs_named = error.logs is not None
        raise
    finally:
        if run_dir.exists() and not (run_dir / RUN_FILE).exists() and not any(run_dir.glob(f"{SHARES_DIR}/*")):
            _discard(run_dir, logs_named=logs_named)


def _measure(load: Load, run_dir: Path, environment: Mapping[str, str]) -> Ended:
    say = load.say
    _check_machine(load)
    begun = time.monotonic()
    stack = _stack_for(load, run_dir, environment)
    with stack, holding(run_dir), _shown_in(stack, say) as grafana, ExitStack() as until_reported:
        places = f"{shown_url(stack.target)}, Prometheus {shown_url(stack.prometheus_url)}"
        say(f"{_kind(load)} ready in {time.monotonic() - begun:.1f} s: {places}")
        if stack.grafana_url:
            say(f"live: {live_run(shown_url(stack.grafana_url), run_dir.name, time.time(), None)}")
        begun = time.monotonic()
        if load.slis is not None:
            shutil.copyfile(load.slis, run_dir / SLIS_FILE)
        addresses, secrets = hand_over({"--target": stack.target, "--providers": stack.providers})
        if not isinstance(load.target, str):
            secrets[API_KEY_ENV] = ""  # the key of another server is not for the service of this project
        theirs = load.server.series[0].url if load.server.series else None
        addressed = {"prometheus": stack.prometheus_url, "their prometheus": theirs}
        secrets |= {PROMETHEUS_VARIABLES[name]: url for name, url in addressed.items() if url}
        secrets |= own_processes(os.getpid(), _parts(load, stack.prometheus_url))
        arguments = [*load.arguments, *addresses]
        watch = Watch(stack, load.forwarding, say)
        driven = _drive(load, stack, run_dir, arguments, secrets, lambda run: _annotate(grafana, run), watch.look)
        run = driven.run
        if run is None:
            return Ended(driven.status(say), None)  # the load generator has written its message to the terminal
        say(f"load ended after {time.monotonic() - begun:.1f} s")
        drawing = until_reported.enter_context(_prepared(load))
        watch.look()
        ahead = ahead_of(read_conditions(run_dir), "prometheus")
        settled = _settled(stack, driven, ahead)
        for child in driven.children:
            child.signal(signal.SIGTERM)  # it has served its metrics until the last scrape
        status = driven.status(say)
        _warn(stack, settled, say)
        await_traces(run_dir, say)
        await_samples(load.server, run.ended or time.time())
        url = stack.prometheus_url
        exported = None if watch.lost else _report(load, run_dir, url, theirs, environment, drawing)
        _annotate(grafana, run, exported)
    if exported is None:
        _report_again(load, run_dir, theirs, environment)
        return Ended(ExitCode.ABSENT, run)
    interrupted = run.state is RunState.INTERRUPTED or (driven.asked and run.state is not RunState.COMPLETED)
    return Ended(ExitCode.INTERRUPTED if interrupted else status or exported.exit_code, run)


def _prepared(load: Load) -> AbstractContextManager[Drawing | None]:
    """Import what writes the reports and start the processes that draw, while the last samples are awaited."""
    from reelbench.reporting import export  # noqa: F401, PLC0415 - neither --help nor the start of the stack needs it
    from reelbench.reporting.render.drawing import Drawing, drawing_processes  # noqa: PLC0415

    return Drawing(drawing_processes()) if load.charts else nullcontext()


def _report(  # noqa: PLR0917 - a run and where its numbers are from
    load: Load,
    run_dir: Path,
    prometheus_url: str | None,
    theirs: str | None,
    environment: Mapping[str, str],
    drawing: Drawing | None = None,
) -> Exported:
    """Write the reports and show the verdicts."""
    begun = time.monotonic()
    from reelbench.reporting.export import REPORTS_DIR, export  # noqa: PLC0415 - see `_prepared`
    from reelbench.reporting.formats import DEFAULT  # noqa: PLC0415
    from reelbench.reporting.publish import PAGE  # noqa: PLC0415

    exported = export(run_dir, prometheus_url, theirs=theirs, charts=load.charts, drawing=drawing, formats=DEFAULT)
    step_summary.append(exported.paths, environment)
    for line in exported.summary:
        load.show(line)
    page = run_dir / REPORTS_DIR / PAGE
    load.say(f"report written in {time.monotonic() - begun:.1f} s; all on one page: {page}")
    return exported


def _report_again(load: Load, run_dir: Path, theirs: str | None, environment: Mapping[str, str]) -> None:
    """Write the reports from what a Prometheus stored that has ended; from the records alone where it is unreadable."""
    try:
        with reopen_tsdb(run_dir, find_prometheus(report=load.say)) as url:
            _report(load, run_dir, url, theirs, environment)
    except StackError as error:
        load.say(f"warning: {error} The reports hold only what the records say.")
        _report(load, run_dir, None, theirs, environment)


def _warn(stack: Stack, settled: TelemetryEnd, say: Callable[[str], None]) -> None:
    if not settled.complete:
        say(f"warning: no metrics past the end of the run from {', '.join(settled.missing)}: counts may differ")
    for trouble in stack.troubles():
        say(f"warning: {trouble}")


def _kind(load: Load) -> str:
    """Return which stack the run measures."""
    if isinstance(load.target, ExternalStack):
        return "external stack"
    return "embedded stack" if load.target is None else "stack"


def _drive(  # noqa: PLR0917 - the parts of a run
    load: Load,
    stack: Stack,
    run_dir: Path,
    arguments: Sequence[str],
    secrets: Mapping[str, str],
    show: Callable[[RunRecord], None],
    look: Callable[[], None],
) -> Driven:
    """Run the load by one load generator, or by several that share the plan."""
    if load.replicas == 1:
        words = ["run", "--run-dir", str(run_dir.resolve()), "--run-id", run_dir.name, *arguments]
        child = stack.start_loadgen(words, secrets)
        with load.forwarding.to(child):
            run = ended_run(run_dir, child, show, look)
        asked = load.forwarding.requested
        if run is not None and run.ended is None:
            run = left_by_generator(run_dir, run, RunState.INTERRUPTED if asked else RunState.FAILED)
        return Driven((child,), run, (run.ended if run is not None else None) or time.time(), asked)
    with generators.rendezvous(load.rendezvous) as store:
        children = tuple(generators.start(stack, load.replicas, store, run_dir, arguments, secrets))
        with load.forwarding.to(*children):
            generators.await_end(run_dir, children, show, look)
        asked = load.forwarding.requested
        try:
            return Driven(children, *generators.merged_run(run_dir, load.replicas), asked)
        except ShareError as error:
            return Driven(children, None, time.time(), asked, error)


def _settled(stack: Stack, driven: Driven, ahead: float) -> TelemetryEnd:
    """Wait until Prometheus has the metrics of all components past the end of the load."""
    run = driven.run
    after = run.ended if run is not None and run.ended is not None else driven.after
    if isinstance(stack, ExternalRun):
        return stack.await_telemetry(
            after,
            ahead=ahead,
            loadgens=len(driven.children),
            loadgens_after=driven.after,
            service_replicas=run.service_replicas if run is not None else 1,
        )
    return stack.await_telemetry(after, ahead=ahead)


def _parts(load: Load, *more: str) -> list[str]:
    """Return the base URLs of what measures or serves besides the target: what it takes of the CPU is not of others."""
    external = load.target.addresses if isinstance(load.target, ExternalStack) else None
    parts = astuple(external) if external is not None else ()
    return [*more, *(one.url for one in load.server.records()), *filter(None, parts)]


def _check_machine(load: Load) -> None:
    """Warn when other processes take the CPU of this machine."""
    target = load.target.addresses.service if isinstance(load.target, ExternalStack) else load.target
    parts = Parts.of_run(target, own_processes(os.getpid(), _parts(load)))
    if (line := warning(look(parts), os.environ)) is not None:
        load.say(line)


def _stack_for(load: Load, run_dir: Path, environment: Mapping[str, str]) -> Stack:
    """Return the stack of a run: the one that was found, or else an embedded stack, with the target if there is one."""
    if isinstance(load.target, ExternalStack):
        return ExternalRun(load.target, run_dir)
    if load.target is None:
        check_installed()
    return EmbeddedStack(
        run_dir,
        prometheus=find_prometheus(report=load.say),
        target=load.target,
        server=load.server,
        # An indicator of the user may ask with an instant selector, which finds no series that was left out.
        environment=environment if load.slis is None else {**environment, SERIES: ALL},
        loadgens=load.replicas,
    )


@contextmanager
def _shown_in(stack: Stack, say: Callable[[str], None]) -> Iterator[Grafana | None]:
    """Yield the client of the Grafana that shows the run; None when the stack has no Grafana."""
    if stack.grafana_url is None:
        yield None
        return
    with Grafana(stack.grafana_url, say) as grafana:
        yield grafana


def _annotate(grafana: Grafana | None, run: RunRecord, exported: Exported | None = None) -> None:
    """Write the regions of a run, with its verdicts once there are some; unchanged regions are skipped."""
    if grafana is None:
        return
    from reelbench.reporting.results.annotations import regions  # noqa: PLC0415 - as the export

    for region in regions(run, exported.verdicts, exported.status) if exported else regions(run):
        grafana.annotate(region.key, region.started, region.ended, region.text, region.tags)


def _discard(run_dir: Path, *, logs_named: bool) -> None:
    """Remove the folder of a run that never began, except the logs that an error message named."""
    if not logs_named:
        shutil.rmtree(run_dir)
        return
    for path in run_dir.iterdir():
        if path.is_dir() and path.name != LOGS_DIR:
            shutil.rmtree(path)
        elif not path.is_dir():
            path.unlink()
