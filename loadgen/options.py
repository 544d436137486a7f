"""Options of the user, checked together before anything is started or written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reelbench.loadgen.allowed_faults import directory_of, fault_errors, secret_variables
from reelbench.loadgen.http.credentials import NO_CREDENTIALS, Credentials
from reelbench.loadgen.inputs import Inputs, read_inputs
from reelbench.loadgen.option_line import Options
from reelbench.loadgen.plan import quantity
from reelbench.loadgen.plan.fault_plan import sides
from reelbench.loadgen.plan.quantity import QuantityError
from reelbench.loadgen.plan.replay import REPLAY, replay
from reelbench.loadgen.plan.row_file import RowFileError
from reelbench.loadgen.plan.scenario import DIMENSIONS, MLPERF_LIKE, PROFILES, Profile, Scenario
from reelbench.loadgen.plan.scenario_file import FOLDER, MLPERF_FOLDER, ScenarioError, load_folder
from reelbench.loadgen.plan.search import expanded
from reelbench.loadgen.record.address import shown_url, without_user
from reelbench.loadgen.record.journal import occupied
from reelbench.loadgen.target.access import AccessError, filled, parse_headers, resolve, root_url
from reelbench.loadgen.target.target_file import (
    Access,
    Create,
    TargetFile,
    TargetFileError,
    load_preset,
    load_target_file,
)
from reelbench.loadgen.videos.check import DEFAULT_CHECKS

LONGEST_JOB = 86_400
SHORTEST_POLL, LONGEST_POLL = 0.01, 600

JOIN_LIMIT = 300.0
"""Seconds; enough for a cluster that has to fetch the image first."""
MOST_REPLICAS = 10_000
MOST_REST = 600.0
"""Seconds; also the limit of a scenario file."""


NO_BUDGET = "none"
"""Value of --budget for the whole profile."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked options of one run."""

    run_dir: Path
    run_id: str | None
    """None: the replicas agree on one."""
    scenarios: Sequence[Scenario]
    profile: Profile
    """Source of the sizes."""
    seed: int
    target: str
    """Base URL of the server, without user and password and without the ``/v1`` that the paths begin with."""
    inputs: Inputs
    providers: str | None = None
    """Base URL of the mock providers, whose faults scenarios control; None: no mock providers."""
    named: bool = False
    """Whether the user named the scenarios; impossible scenarios of a default choice are left out."""
    rendezvous: str | None = None
    """URL of the store that coordinates replicas; None: this generator runs the whole plan."""
    credentials: Credentials = NO_CREDENTIALS
    """What the target gets with each request; all secrets are in it."""
    directory: Path = Path()
    """Folder in which the commands of faults run: that of the scenario files."""
    secret_variables: frozenset[str] = frozenset()
    """Environment variables that hold a secret, regardless of their names."""
    server: TargetFile | None = None
    """How to speak to the target; None: a target of which nothing is said, whose manners are found out."""
    rest: float = 0.0
    """Least seconds without load around each case."""
    model: str | None = None
    """Model that every job names; None: that of the target file, if it has one."""
    time_limit: float | None = None
    """Seconds until a job is given up; None: as the target file or the scenario says."""
    poll_interval: float | None = None
    """Seconds between two polls; None: as the target file or the scenario says."""
    growing_polls: bool = False
    """Whether a preset alone says how often a job is polled: its pace is then the slowest one."""
    profile_name: str = ""
    """The profile as the user named it; empty: as `profile`."""
    objectives: Mapping[str, float] = field(default_factory=dict)
    """Objectives of this run: SLI id to value in base units."""
    budget: float | None = None
    """Seconds for the whole load; 0: the profile alone decides; None: not said."""
    check_videos: int | None = DEFAULT_CHECKS
    """Most downloaded files of a case that are opened; None: all."""
    keep_videos: int = 0
    """Files of a case that are kept."""
    replicas: int | None = None
    """Number of the load generators that run one plan; None: those that have come within a quiet window."""
    index: int | None = None
    """Share of this one, from 0."""
    join_limit: float = JOIN_LIMIT
    """Seconds within which all replicas of a known number must be there."""
    first_job: bool = True
    """Whether one job before the plan shows that a server of another maker takes such jobs."""


class OptionsError(Exception):
    """Invalid options; `errors` has one sentence for each mistake."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def check_options(
    run_dir: Path,
    run_id: str | None,
    options: Options,
    *,
    providers: str | None = None,
    rendezvous: str | None = None,
    replicas: int | None = None,
    index: int | None = None,
    join_limit: float = JOIN_LIMIT,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Check all options and return them as settings; the environment has the secrets and the proxies.

    Raises:
        OptionsError: with all mistakes.
    """
    errors: list[str] = []
    scenarios = _scenarios(options, errors)
    if rendezvous is not None and not options.scenario and options.scenarios is None:
        # A default choice leaves out what several generators cannot run, as it leaves out what a server cannot.
        scenarios = [scenario for scenario in scenarios if "network" not in sides(scenario)]
    chosen = _profile(options, errors)
    errors += _name_errors(run_id, rendezvous)
    errors += _replica_errors(rendezvous, replicas, index, join_limit)
    if rendezvous is not None and options.budget is not None:
        errors.append("--budget: does not go with --rendezvous, whose replicas share one plan; leave it out")
    if options.seed < 0:
        errors.append(f"--seed: is {options.seed}; use 0 or more")
    if options.rest is not None and not 0 <= options.rest <= MOST_REST:
        errors.append(f"--rest: is {options.rest:g}; use 0 to {MOST_REST:g} seconds")
    server = _server(options, errors)
    errors += _manner_errors(options, server)
    target = _target(options, server, environment, errors)
    errors += fault_errors(scenarios, options, rendezvous)
    objectives = _objectives(options, server, errors)
    budget = _budget(options, errors)
    providers = _filled(providers, environment, "--providers", errors)
    rendezvous = _filled(rendezvous, environment, "--rendezvous", errors)
    checks = _checks(options, errors)
    if providers is not None and not is_base_url(providers):
        errors.append(f"--providers: {shown_url(providers)!r} is not a base URL; write it like http://127.0.0.1:9000")
    if (name := occupied(run_dir)) is not None:
        errors.append(f"--run-dir: {run_dir} already holds a run ({name}); choose another folder")
    elif run_dir.exists() and not run_dir.is_dir():
        errors.append(f"--run-dir: {run_dir} is a file; choose a folder")
    inputs = read_inputs(options, server, errors)
    scenarios = _with_replay(scenarios, inputs, options, server, errors)
    if errors or chosen is None or target is None:
        raise OptionsError(errors)
    sized = tuple(expanded(scenario, chosen) for scenario in scenarios)
    return Settings(
        run_dir=run_dir,
        run_id=run_id,
        scenarios=tuple(scenario for scenario in sized if scenario.cases),
        profile=chosen,
        profile_name=options.profile,
        seed=options.seed,
        target=target[0],
        credentials=target[1],
        inputs=inputs,
        providers=providers,
        named=bool(options.scenario or options.arrivals),
        rendezvous=rendezvous,
        replicas=replicas,
        index=index if replicas is not None else None,
        join_limit=join_limit,
        directory=directory_of(options),
        secret_variables=secret_variables(options, server),
        server=server,
        rest=options.rest or 0.0,
        model=options.model,
        time_limit=options.time_limit,
        poll_interval=options.poll_interval,
        growing_polls=_growing_polls(options, server),
        objectives=objectives,
        budget=budget,
        check_videos=checks,
        keep_videos=options.keep_videos,
    )


def _growing_polls(options: Options, server: TargetFile | None) -> bool:
    by_user = options.poll_interval is not None or options.target_file is not None
    return not by_user and server is not None and server.pace.poll_interval is not None


def _profile(options: Options, errors: list[str]) -> Profile | None:
    """Return the profile that has the sizes of the run."""
    if options.profile == MLPERF_LIKE:
        return "standard"
    if (found := next((known for known in PROFILES if known == options.profile), None)) is None:
        errors.append(f"--profile: {options.profile!r} is unknown; use {', '.join((*PROFILES, MLPERF_LIKE))}")
    return found


def check_access(
    options: Options, environment: Mapping[str, str] = os.environ
) -> tuple[str, Credentials, TargetFile | None]:
    """Check the options about the server alone; return base URL, credentials and target file.

    Raises:
        OptionsError: with all mistakes.
    """
    errors: list[str] = []
    server = _server(options, errors)
    target = _target(options, server, environment, errors)
    if errors or target is None:
        raise OptionsError(errors)
    return *target, server


def target_access(options: Options, server: TargetFile | None) -> Access:
    """Return the access of the target file with what the command line replaces.

    Raises:
        AccessError: a header of the command line has no name.
    """
    access = server.access if server is not None else Access()
    given = parse_headers(options.header)
    names = {name.lower() for name in given}
    kept = {name: value for name, value in access.headers.items() if name.lower() not in names}
    files = {"ca_file": options.ca_file, "client_cert": options.client_cert, "client_key": options.client_key}
    changes: dict[str, object] = {name: str(path) for name, path in files.items() if path is not None}
    if options.api_key_env is not None:
        changes["api_key_env"] = options.api_key_env
    if options.insecure:
        changes["insecure"] = True
    return access.model_copy(update=changes | {"headers": kept | given})


def _scenarios(options: Options, errors: list[str]) -> list[Scenario]:
    """Return the scenarios that the options name; without names those of the user's folder, or all."""
    try:
        built_in = load_folder(MLPERF_FOLDER if options.profile == MLPERF_LIKE else FOLDER)
    except ScenarioError as error:
        errors += error.errors
        return []
    own = {} if options.scenarios is None else _own_scenarios(options.scenarios, built_in, errors)
    if own is None:
        return []
    known, names = built_in | own, options.scenario
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    errors += [f"--scenario: {name!r} is unknown; use {', '.join(known)}" for name in unknown]
    errors += [f"--scenario: {name!r} is given more than once; give it once" for name in _repeated(names)]
    return [known[name] for name in names or own or built_in if name in known]


def _with_replay(
    scenarios: list[Scenario], inputs: Inputs, options: Options, server: TargetFile | None, errors: list[str]
) -> list[Scenario]:
    """Return the scenarios that the user named and the replay of the trace; without a trace the scenarios alone."""
    if inputs.workload.arrivals is None:
        return scenarios
    named = scenarios if options.scenario or options.scenarios else []
    if any(scenario.name == REPLAY for scenario in named):
        errors.append(f"--arrivals: the name {REPLAY!r} of its scenario is taken; rename the scenario file")
    try:
        found = replay(inputs.workload, options.time_limit or (server.pace.time_limit if server is not None else None))
    except RowFileError as error:
        errors += [f"--arrivals: {line}" for line in error.errors]
        return named
    return sorted([*named, found], key=lambda scenario: DIMENSIONS.index(scenario.dimension))


def _own_scenarios(folder: Path, built_in: Mapping[str, Scenario], errors: list[str]) -> dict[str, Scenario] | None:
    """Return the scenarios of a folder of the user's by name; None: with mistakes."""
    try:
        own = load_folder(folder)
    except ScenarioError as error:
        errors += [f"--scenarios: {line}" for line in error.errors]
        return None
    taken = [name for name in own if name in built_in]
    errors += [
        f"--scenarios: {name}.yaml has the name of a built-in scenario; give the file and the scenario another name"
        for name in taken
    ]
    return own if not taken else None


def _target(
    options: Options, server: TargetFile | None, environment: Mapping[str, str], errors: list[str]
) -> tuple[str, Credentials] | None:
    """Return the base URL of the target and the credentials; the command line replaces what the target file says."""
    given = options.target or (server.base_url if server is not None else None)
    if given is None:
        errors.append("--target: is missing; give the base URL of the server, such as http://127.0.0.1:8000")
        return None
    target = _filled(given, environment, "--target", errors)
    if target is None:
        return None
    if not is_base_url(target) or "@" in urlsplit(target).path:
        errors.append(f"--target: {without_user(target)!r} is not a base URL; write it like http://127.0.0.1:8000")
        return None
    try:
        return resolve(
            root_url(target, (server.create if server is not None else Create()).path),
            target_access(options, server),
            environment,
        )
    except AccessError as error:
        errors += error.errors
        return None


def _filled(text: str | None, environment: Mapping[str, str], option: str, errors: list[str]) -> str | None:
    """Return the value of an option with the environment variables that it names; None: not given, or one is unset."""
    try:
        return None if text is None else filled(text, environment, option)
    except AccessError as error:
        errors += error.errors
        return None


def _objectives(options: Options, server: TargetFile | None, errors: list[str]) -> dict[str, float]:
    """Return the objectives of the target file, replaced by those of the options."""
    found = dict(server.objectives) if server is not None else {}
    given: set[str] = set()
    for text in options.objective:
        try:
            name, value = quantity.objective(text)
        except QuantityError as error:
            errors.append(f"--objective: {text!r}: {error}")
            continue
        if name in given:
            errors.append(f"--objective: {name} is given more than once; give it once")
        given.add(name)
        found[name] = value
    return found


def _budget(options: Options, errors: list[str]) -> float | None:
    """Return the seconds of the budget; 0: the user wants none; None: not said, or a mistake."""
    if options.budget is None:
        return None
    if options.budget == NO_BUDGET:
        return 0.0
    try:
        return quantity.seconds(options.budget)
    except QuantityError as error:
        errors.append(f"--budget: {options.budget!r}: {error}")
        return None


def _server(options: Options, errors: list[str]) -> TargetFile | None:
    """Return the target file or the preset that the options name; None: neither, or one with mistakes."""
    if options.target_file is not None and options.preset is not None:
        errors.append("--preset: is given with --target-file; give one of them")
        return None
    try:
        if options.target_file is not None:
            return load_target_file(options.target_file)
        return load_preset(options.preset) if options.preset is not None else None
    except TargetFileError as error:
        option = "--target-file" if options.target_file is not None else "--preset"
        errors += [f"{option}: {line}" for line in error.errors]
        return None


def _manner_errors(options: Options, server: TargetFile | None) -> list[str]:
    """Return the mistakes in the model and in the times of a job."""
    errors = []
    if options.model is not None and not options.model.strip():
        errors.append("--model: is empty; name a model, or leave the option out")
    if server is not None and server.create.model_required and not (options.model or server.create.model):
        errors.append(f"--model: is missing; {server.title} refuses jobs that name no model")
    if options.time_limit is not None and not 0 < options.time_limit <= LONGEST_JOB:
        errors.append(f"--time-limit: is {options.time_limit:g}; use seconds above 0 and up to {LONGEST_JOB:,}")
    if options.poll_interval is not None and not SHORTEST_POLL <= options.poll_interval <= LONGEST_POLL:
        errors.append(f"--poll-interval: is {options.poll_interval:g}; use {SHORTEST_POLL:g} to {LONGEST_POLL} seconds")
    return errors


def _checks(options: Options, errors: list[str]) -> int | None:
    """Return the most files of a case that are opened; None: all."""
    if options.keep_videos < 0:
        errors.append(f"--keep-videos: is {options.keep_videos}; use 0 or more")
    given = options.check_videos
    if given is None:
        return DEFAULT_CHECKS
    if given == "all":
        return None
    if not (given.isascii() and given.isdecimal()):
        errors.append(f"--check-videos: {given!r} is no number of videos; use 0 or more, or all")
        return DEFAULT_CHECKS
    return int(given)


def is_base_url(text: str) -> bool:
    """Return whether a text is an http or https URL with a host and without query and fragment."""
    try:
        url = urlsplit(text)
        port_ok = url.port is None or url.port > 0
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname) and port_ok and not url.query and not url.fragment


def _name_errors(run_id: str | None, rendezvous: str | None) -> list[str]:
    errors = []
    if run_id is None and rendezvous is None:
        errors.append("--run-id: is needed, unless replicas agree on one (--rendezvous)")
    if run_id is not None and not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", run_id):
        errors.append("--run-id: use 1 to 64 letters, digits and _ . : -")
    if rendezvous is not None and not re.match(r"(redis|rediss|unix)://.", rendezvous):
        errors.append(f"--rendezvous: {shown_url(rendezvous)!r} is no store; write it like redis://127.0.0.1:6379/0")
    return errors


def _replica_errors(rendezvous: str | None, replicas: int | None, index: int | None, limit: float) -> list[str]:
    """Return the mistakes in the number of replicas; an index without a number can be of another job of the cluster."""
    if replicas is None:
        return []
    errors = []
    if not 1 <= replicas <= MOST_REPLICAS:
        errors.append(f"--replicas: is {replicas}; use 1 to {MOST_REPLICAS:,}")
    if rendezvous is None:
        errors.append("--replicas: needs --rendezvous, the store in which the replicas meet")
    if index is None:
        errors.append("--index: is missing; give each replica its number, from 0 (or JOB_COMPLETION_INDEX)")
    elif not 0 <= index < max(1, replicas):
        errors.append(f"--index: is {index}; use 0 to {replicas - 1}")
    if not 0 < limit <= LONGEST_JOB:
        errors.append(f"--join-limit: is {limit:g}; use seconds above 0 and up to {LONGEST_JOB:,}")
    return errors


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
