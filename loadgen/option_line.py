"""The options that the commands of the suite and the load generator share: one home for names, types and help texts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import typer

from reelbench.loadgen.plan.scenario import MLPERF_LIKE, PROFILES

NO_DOCUMENT = Path("none")
"""Value of --document for jobs without an upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure and how, as the user typed it: each field is the option of that name."""

    target: Annotated[str | None, typer.Option(help="Base URL of the server to measure.")] = None
    target_file: Annotated[Path | None, typer.Option(help="File that describes the server (docs/targets.md).")] = None
    preset: Annotated[str | None, typer.Option(help="Known kind of server, such as vllm_omni.")] = None
    model: Annotated[str | None, typer.Option(help="Model that every job names.")] = None
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the API key. Default: OPENAI_API_KEY, if it is set.")
    ] = None
    header: Annotated[
        tuple[str, ...], typer.Option(help="Header of every request, such as 'X-Org: ${ORG}'; repeatable.")
    ] = ()
    ca_file: Annotated[Path | None, typer.Option(help="PEM file with the certificate authorities to trust.")] = None
    client_cert: Annotated[Path | None, typer.Option(help="PEM file with the client's certificate.")] = None
    client_key: Annotated[Path | None, typer.Option(help="PEM file with the key of the client's certificate.")] = None
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept any certificate of the server.")] = False
    scenario: Annotated[
        tuple[str, ...], typer.Option(help="Scenario to run; repeatable. Default: all, or those of --scenarios.")
    ] = ()
    scenarios: Annotated[
        Path | None, typer.Option(help="Folder with scenario files of your own, in addition to the built-in ones.")
    ] = None
    profile: Annotated[str, typer.Option(help=f"Size of the run: {', '.join(PROFILES)}; or {MLPERF_LIKE}.")] = "quick"
    seed: Annotated[int, typer.Option(help="Seed of the plan.")] = 1
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time for the whole load, such as 20m: fewer jobs are planned. Default for servers of other makers: "
            "20m, unless scenarios are named; none: the whole profile."
        ),
    ] = None
    objective: Annotated[
        tuple[str, ...], typer.Option(help="Objective of this run, such as p95_response_time=120s; repeatable.")
    ] = ()
    time_limit: Annotated[float | None, typer.Option(help="Seconds until a job is given up.")] = None
    poll_interval: Annotated[float | None, typer.Option(help="Seconds between two polls of a job.")] = None
    document: Annotated[
        Path | None,
        typer.Option(
            help="PDF or text file that jobs upload; none: jobs send only a prompt. Default: a sample paper for "
            "servers that take documents."
        ),
    ] = None
    prompts: Annotated[Path | None, typer.Option(help="Prompts: text, JSONL or CSV, a job a row.")] = None
    prompt_order: Annotated[str, typer.Option(help="Order of the prompts: file, or drawn by the seed.")] = "file"
    image: Annotated[
        tuple[Path, ...], typer.Option(help="Image or video that jobs upload as reference; repeatable.")
    ] = ()
    arrivals: Annotated[Path | None, typer.Option(help="Arrival times to replay: CSV or JSONL.")] = None
    speed: Annotated[float, typer.Option(help="Speed of the replay: 2 halves the gaps between arrivals.")] = 1.0
    check_videos: Annotated[
        str | None,
        typer.Option(
            help="Videos of a case that are decoded: a number, or all. Default: 25 of each case, by the seed."
        ),
    ] = None
    keep_videos: Annotated[
        int, typer.Option(help="Videos of a case that are kept in the run's folder, those that are not as asked first.")
    ] = 0
    metrics: Annotated[tuple[str, ...], typer.Option(help="Address of the server's metrics; repeatable.")] = ()
    prometheus: Annotated[
        str | None, typer.Option(help="Prometheus of yours that has the server's metrics; needs --selector.")
    ] = None
    selector: Annotated[
        tuple[str, ...], typer.Option(help="Series of the server in it, such as '{job=\"vllm\"}'; repeatable.")
    ] = ()
    gpu_hour_price: Annotated[float | None, typer.Option(help="Price of one GPU for one hour.")] = None
    gpus: Annotated[int | None, typer.Option(help="GPUs of the server, where its metrics do not show them.")] = None
    rest: Annotated[
        float | None,
        typer.Option(help="Least seconds without load around each case. Default: enough to read the server's metrics."),
    ] = None
    slis: Annotated[
        Path | None, typer.Option(help="File with indicators of your own, in the format of the catalogue.")
    ] = None
    allow_commands: Annotated[
        bool, typer.Option("--allow-commands", help="Run the commands that scenario files name.")
    ] = False

    def arguments(self) -> list[str]:
        """Return the command line of the load generator for these options."""
        words: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None or value == field.default:
                continue
            flag = "--" + field.name.replace("_", "-")
            if value is True:
                words.append(flag)
                continue
            for one in value if isinstance(value, tuple) else (value,):
                words += [flag, str(one.resolve()) if isinstance(one, Path) and one != NO_DOCUMENT else str(one)]
        return words


ACCESS: Final = (
    "target_file", "preset", "model", "api_key_env", "header", "ca_file", "client_cert", "client_key", "insecure",
    "time_limit",
)  # fmt: skip
"""The options about the server alone."""
WORKLOAD: Final = (
    *ACCESS, "scenario", "scenarios", "profile", "seed", "document", "prompts", "prompt_order", "image", "arrivals",
    "speed", "poll_interval",
)  # fmt: skip
"""The options about server and load, without those about metrics and files."""


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the parameters of a function and all shared options.

    The function receives the shared options as `options`, a keyword argument.
    """
    return _with(function, [field.name for field in fields(Options)])


def with_access(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command as `with_options` does, with the options of `ACCESS` alone."""
    return _with(function, ACCESS)


def with_workload(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command as `with_options` does, with the options of `WORKLOAD` alone."""
    return _with(function, WORKLOAD)


def _with(function: Callable[..., None], names: Sequence[str]) -> Callable[..., None]:
    own = inspect.signature(function, eval_str=True)
    types = get_type_hints(Options, include_extras=True)
    defaults = {field.name: field.default for field in fields(Options)}
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults[name] or None if _many(types[name]) else defaults[name],
            annotation=_listed(types[name]),
        )
        for name in names
    ]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        values: dict[str, Any] = {name: given.pop(name) for name in names}
        values |= {name: tuple(value or ()) for name, value in values.items() if _many(types[name])}
        function(options=Options(**values), **given)

    parameters = [*shared, *(one for name, one in own.parameters.items() if name != "options")]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # read by typer
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _many(kind: Any) -> bool:
    """Return whether an option is repeatable."""
    return get_origin(get_args(kind)[0]) is tuple


def _listed(kind: Any) -> Any:
    """Return the type of an option as typer knows it: a list where the record has a tuple."""
    if not _many(kind):
        return kind
    bare, option = get_args(kind)
    return Annotated[list[get_args(bare)[0]] | None, option]  # type: ignore[misc] # a type made at run time
