"""``reelbench run``: drive the scenarios against a service and write the reports."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.drive.style import Style
from reelbench.loadgen.machine.limit import LimitError, others_limit
from reelbench.loadgen.option_line import Options, with_options
from reelbench.loadgen.options import OptionsError, Settings, check_options, is_base_url
from reelbench.loadgen.plan.quantity import QuantityError, must_measure
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.prometheus_access import access_errors
from reelbench.loadgen.target.target_file import TargetFile, load_preset
from reelbench.reporting.analysis.objectives import canonical
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.catalogue.strict import near
from reelbench.reporting.catalogue.user_slis import load_user_slis
from reelbench.stack.binaries import cache_folder
from reelbench.stack.external import VARIABLES, find_external
from reelbench.stack.forwarding import Forwarding
from reelbench.stack.tools import toxiproxy_environment
from reelbench.suite import server_metrics
from reelbench.suite.commands.console import RUNS, STYLE, FailedError, echo, fail, say
from reelbench.suite.failures import FAILURES, explain
from reelbench.suite.generators import can_meet_here
from reelbench.suite.live.process import can_serve, live_page
from reelbench.suite.measuring import Load, measure
from reelbench.suite.result import result
from reelbench.suite.run_folders import folder_errors
from reelbench.suite.series import NAMES, ablate_errors, parse_ablate, run_series

NEED_NO_PRESET = frozenset({"openai", "reelbench"})
MOST_RUNS = 1_000
"""Of one configuration: at two minutes each more than a day, so a greater number is a typing error."""
OF_THE_SUITE: dict[str, Any] = {
    "target": None,
    "metrics": (),
    "prometheus": None,
    "selector": (),
    "gpu_hour_price": None,
    "gpus": None,
    "slis": None,
}
"""Options that the load generator does not get: what it needs of them is an argument of its own, or nothing."""


@with_options
def main(
    *,
    options: Options,
    runs: Annotated[Path, typer.Option(help="Folder in which the run's folder is created.")] = RUNS,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start the embedded stack although another stack runs.")
    ] = False,
    charts: Annotated[bool, typer.Option(help="Draw the charts of the report.")] = True,
    repeat: Annotated[int, typer.Option(help="Runs of the same plan, one after the other.")] = 1,
    replicas: Annotated[int, typer.Option(help="Load generators on this machine that share the plan.")] = 1,
    rendezvous: Annotated[
        str | None, typer.Option(help="Redis or Valkey in which they meet. Default: a store in this process.")
    ] = None,
    ablate: Annotated[str | None, typer.Option(help=f"Also run without each of these: {','.join(NAMES)}.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Write the line of the verdict alone.")] = False,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--no-live", help="Serve a page on loopback that shows the run. Default: where a terminal is."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the result as one JSON object, and progress as JSON lines.")
    ] = False,
) -> None:
    """Drive the scenarios and write the reports.

    Measures the stack of docker compose where any part of it runs, or the stack that SERVICE_URL, PROMETHEUS_URL,
    TEMPO_URL and OTEL_EXPORTER_OTLP_ENDPOINT name; a part that is missing is an error. Without a part of such a stack,
    starts the embedded stack (service, mock providers, Prometheus) on free loopback ports. --target measures any
    server that speaks the OpenAI Videos API.

    Exit codes: 0 pass; 1 an objective failed; 2 bad usage or configuration; 3 inconclusive or invalid; 4 the stack or
    the target is not there; 130 interrupted (what was measured is saved). --repeat and --ablate make several runs of
    the same plan and report them together: the exit code is the worst of the runs, in an ablation the worst of the
    runs with everything on.
    """
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    style = Style.JSON if as_json else Style.NONE if quiet else Style.AUTO
    STYLE.set(style)
    wrong: tuple[str, ...] = ()
    try:
        if as_json and quiet:
            fail(ExitCode.USAGE, ["--quiet and --json do not go together; leave out one of them"])
        code = _run(
            options,
            run_id,
            runs=runs,
            embedded=embedded,
            charts=charts,
            repeat=repeat,
            replicas=replicas,
            rendezvous=rendezvous,
            ablate=ablate,
            live=live if live is not None else style is Style.AUTO and sys.stderr.isatty() and can_serve(),
            style=style,
        )
    except FailedError as error:
        code, wrong = error.exit_code, error.errors
    if style is Style.JSON or (style is Style.NONE and not wrong):
        found = result(runs, run_id, code, wrong)
        echo(found.encode() if as_json else found.line)
    raise typer.Exit(code)


def _run(
    options: Options,
    run_id: str,
    *,
    runs: Path,
    embedded: bool,
    charts: bool,
    repeat: int,
    replicas: int,
    rendezvous: str | None,
    ablate: str | None,
    live: bool,
    style: Style,
) -> int:
    """Check everything, make the runs, and return the exit code.

    Raises:
        FailedError: the runs cannot be made.
    """
    run_dir = runs / run_id
    forwarding = Forwarding()
    forwarding.listen()
    without = parse_ablate(ablate)
    try:
        options, named = _with_indicators(_described(options))
        wrong, settings = _option_errors(run_dir, options, replicas, rendezvous)
        wrong += named
        target = settings.credentials.full(settings.target) if settings else None
        wrong += [*folder_errors(runs), *_address_errors({} if target or embedded else os.environ)]
        wrong += [f"--repeat: is {repeat}; use 1 to {MOST_RUNS}"] if not 1 <= repeat <= MOST_RUNS else []
        wrong += ablate_errors(without)
        wrong += _limit_errors(os.environ)
        wrong += (
            []
            if not live or can_serve()
            else ["--live: needs starlette and uvicorn; pip install 'reelbench[embedded]'"]
        )
        theirs = {"PROMETHEUS_URL": os.environ.get("PROMETHEUS_URL"), "--prometheus": options.prometheus}
        wrong += access_errors(theirs, os.environ)
        server = settings.server if settings else None
        wrong += [*_objective_errors(server), *server_metrics.option_errors(options, server)]
        if wrong:
            fail(ExitCode.USAGE, wrong)
        os.environ.update(toxiproxy_environment(os.environ, cache_folder()))
        indicators = options.slis or server_metrics.slis_of(options, server)
        if indicators is not None:
            load_user_slis(indicators)  # a mistake in it is found before anything is started
        if settings:
            from reelbench.loadgen.target.target import check_target  # noqa: PLC0415 - the client, only for --target

            asyncio.run(
                check_target(settings.target, settings.credentials, server=settings.server, model=settings.model)
            )
            if settings.server is None:
                options, settings = _identified(options, settings, run_dir)
        external = None if target or embedded else find_external(say)
        if external is not None:
            say(f"using the stack that runs at {shown_url(external.addresses.service)}")
            if options.metrics or options.prometheus:
                fail(ExitCode.USAGE, ["--metrics and --prometheus need --target or --embedded"])
        elif not target:
            say("using the embedded stack" + ("" if embedded else ": no part of a full stack runs here"))
        metrics = server_metrics.find(options, settings, say, os.environ)
        rest = server_metrics.rest_of(options, metrics)
        load = Load(
            runs=runs,
            arguments=(*replace(options, **OF_THE_SUITE, rest=rest).arguments(), *_shown_as(style)),
            target=external or target,
            server=metrics,
            slis=indicators,
            replicas=replicas,
            rendezvous=rendezvous,
            charts=charts,
            forwarding=forwarding,
            say=say,
            show=echo if style is Style.AUTO else lambda _: None,
        )
        return _made(load, run_id, repeat=repeat, ablate=without, live=live)
    except FAILURES as error:
        fail(*explain(error, runs))
    except KeyboardInterrupt:
        say("interrupted")
        return ExitCode.INTERRUPTED


def _made(load: Load, run_id: str, *, repeat: int, ablate: Sequence[str], live: bool) -> int:
    """Make the run, or the runs, and serve the live page meanwhile; return the exit code."""
    with live_page(load.runs, run_id) if live else nullcontext() as page:
        if page is not None:
            load.say(f"live: {page.address}")
        if repeat == 1 and not ablate:
            return measure(load, run_id).exit_code
        return run_series(load, run_id, repeat=repeat, ablate=ablate)


def _shown_as(style: Style) -> tuple[str, ...]:
    """Return the arguments that make the load generator show its progress in a style."""
    return () if style is Style.AUTO else ("--progress", style)


def _described(options: Options) -> Options:
    """Return the options, with the description of this project's service where a stack of ours is measured."""
    if options.target is not None or options.target_file is not None or options.preset is not None:
        return options
    return replace(options, preset="reelbench")


def _with_indicators(options: Options) -> tuple[Options, list[str]]:
    """Return the options with the catalogue's names of the indicators in --objective, and what is wrong with them."""
    if not options.objective:
        return options, []
    catalogue, found, wrong = load(), [], []
    for text in options.objective:
        name, equals, value = text.partition("=")
        sli = canonical(name.strip(), catalogue)
        if equals and sli is None:
            cure = near(
                name, [one.id for one in catalogue.slis if one.better], "see the indicators in docs/dashboards.md"
            )
            wrong.append(f"--objective: {name!r} is no indicator that can be judged; {cure}")
        if sli is not None:
            try:
                must_measure(text, catalogue.get(sli).unit)
            except QuantityError as error:
                wrong.append(f"--objective: {text!r}: {error}")
        found.append(f"{sli}={value}" if sli else text)
    return replace(options, objective=tuple(found)), wrong


def _objective_errors(server: TargetFile | None) -> list[str]:
    """Return what is wrong with the objectives of a target file, before anything is started.

    A target file with indicators of its own may set objectives for them: the report then says which are unknown.
    """
    if server is None or server.slis is not None:
        return []
    judged = [sli.id for sli in load().slis if sli.better]
    return [
        f"--target-file: objectives: {name!r} is no indicator that can be judged; {near(name, judged)}"
        for name in server.objectives
        if name not in judged
    ]


def _identified(options: Options, settings: Settings, run_dir: Path) -> tuple[Options, Settings]:
    """Return options and settings with the preset of a server of which nothing is said, if its answers show its kind.

    Costs the server no job. The common manners need no preset: the client finds them out.
    """
    from reelbench.loadgen.target.identify import best, look_at, signs  # noqa: PLC0415 - the client, only for --target

    looks = asyncio.run(look_at(settings.target, settings.credentials))
    name, reasons = best(signs(looks, settings.target))
    if name is None or name in NEED_NO_PRESET:
        return options, settings
    server, model = load_preset(name), options.model
    if model is None and server.create.model_required and looks.model_names:
        model = looks.model_names[0]
    asked = f" with the model {model}, its first" if model != options.model else ""
    say(f"the server looks like {server.title} ({reasons[0]}): its preset is used{asked}; --preset names another")
    options = replace(options, preset=name, model=model)
    wrong, known = _option_errors(run_dir, options)
    if known is None:
        fail(ExitCode.USAGE, wrong)
    return options, known


def _option_errors(
    run_dir: Path, options: Options, replicas: int = 1, rendezvous: str | None = None
) -> tuple[list[str], Settings | None]:
    """Return what is wrong with the shared options, and the settings of the server; None: a stack of ours."""
    foreign = options.target is not None or options.target_file is not None
    shown = options if foreign else replace(options, target="http://127.0.0.1")
    if replicas == 1 and rendezvous is not None:
        return ["--rendezvous: is for several load generators; add --replicas"], None
    if replicas != 1 and rendezvous is None and not can_meet_here():
        return ["--rendezvous: is missing; name a Redis or Valkey, or pip install 'reelbench[embedded]'"], None
    several = replicas != 1
    try:
        settings = check_options(
            run_dir,
            run_dir.name,
            shown,
            rendezvous=(rendezvous or "redis://127.0.0.1") if several else None,
            replicas=replicas if several else None,
            index=0,
        )
    except OptionsError as error:
        return list(error.errors), None
    return [], settings if foreign else None


def _live_errors(*, live: bool) -> list[str]:
    """Return what is missing for the live page."""
    if not live or can_serve():
        return []
    return ["--live: needs starlette and uvicorn; pip install 'reelbench[embedded]', or leave out --live"]


def _limit_errors(environment: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the share of the CPU that other processes may take."""
    try:
        others_limit(environment)
    except LimitError as error:
        return [str(error)]
    return []


def _address_errors(environment: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the variables that name the parts of a running stack."""
    named = {name: url for name in VARIABLES.values() if (url := environment.get(name))}
    return [
        f"{name}: {shown_url(url)!r} is not a base URL; write it like http://127.0.0.1:8000, or unset it"
        for name, url in named.items()
        if not is_base_url(url)
    ]
