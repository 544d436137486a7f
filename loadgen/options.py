"""Options of the user, checked together before anything is started or written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reelbench.loadgen.allowed_faults import directory_of, fault_errors, secret_variables
from reelbench.loadgen.document import Document, DocumentError, read_document
from reelbench.loadgen.option_line import Options
from reelbench.loadgen.plan.scenario import PROFILES, Profile, Scenario
from reelbench.loadgen.plan.scenario_file import ScenarioError, load_folder
from reelbench.loadgen.record.journal import occupied
from reelbench.loadgen.target.target_file import TargetFile, TargetFileError, load_preset, load_target_file

LONGEST_JOB = 86_400
SHORTEST_POLL, LONGEST_POLL = 0.01, 600


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked options of one run."""

    run_dir: Path
    run_id: str | None
    """None: the replicas agree on one."""
    scenarios: Sequence[Scenario]
    profile: Profile
    seed: int
    target: str
    document: Document
    providers: str | None = None
    """Base URL of the mock providers, whose faults scenarios control; None: no mock providers."""
    named: bool = False
    """Whether the user named the scenarios; impossible scenarios of a default choice are left out."""
    rendezvous: str | None = None
    """URL of the store that coordinates replicas; None: this generator runs the whole plan."""
    directory: Path = Path()
    """Folder in which the commands of faults run: that of the scenario files."""
    secret_variables: frozenset[str] = frozenset()
    """Environment variables that hold a secret, regardless of their names."""
    server: TargetFile | None = None
    """How to speak to the target; None: a target of which nothing is said, whose manners are found out."""
    model: str | None = None
    """Model that every job names; None: that of the target file, if it has one."""
    time_limit: float | None = None
    """Seconds until a job is given up; None: as the target file or the scenario says."""
    poll_interval: float | None = None
    """Seconds between two polls; None: as the target file or the scenario says."""


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
) -> Settings:
    """Check all options and return them as settings.

    Raises:
        OptionsError: with all mistakes.
    """
    errors: list[str] = []
    scenarios = _scenarios(options, errors)
    chosen: Profile | None = next((known for known in PROFILES if known == options.profile), None)
    if chosen is None:
        errors.append(f"--profile: {options.profile!r} is unknown; use {', '.join(PROFILES)}")
    errors += _name_errors(run_id, rendezvous)
    errors += fault_errors(scenarios, options, rendezvous)
    if options.seed < 0:
        errors.append(f"--seed: is {options.seed}; use 0 or more")
    server = _server(options, errors)
    errors += _manner_errors(options, server)
    target = _target(options, server, errors)
    if providers is not None and not is_base_url(providers):
        errors.append(f"--providers: {providers!r} is not a base URL; write it like http://127.0.0.1:9000")
    if (name := occupied(run_dir)) is not None:
        errors.append(f"--run-dir: {run_dir} already holds a run ({name}); choose another folder")
    elif run_dir.exists() and not run_dir.is_dir():
        errors.append(f"--run-dir: {run_dir} is a file; choose a folder")
    try:
        upload = read_document(options.document)
    except DocumentError as error:
        errors.append(f"--document: {error}")
    if errors or chosen is None or target is None:
        raise OptionsError(errors)
    return Settings(
        run_dir=run_dir,
        run_id=run_id,
        scenarios=scenarios,
        profile=chosen,
        seed=options.seed,
        target=target.rstrip("/"),
        document=upload,
        providers=providers,
        named=bool(options.scenario),
        rendezvous=rendezvous,
        directory=directory_of(options),
        secret_variables=secret_variables(options, server),
        server=server,
        model=options.model,
        time_limit=options.time_limit,
        poll_interval=options.poll_interval,
    )


def _scenarios(options: Options, errors: list[str]) -> list[Scenario]:
    """Return the scenarios that the options name; without names those of the user's folder, or all."""
    try:
        built_in = load_folder()
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


def _target(options: Options, server: TargetFile | None, errors: list[str]) -> str | None:
    """Return the base URL of the target."""
    target = options.target or (server.base_url if server is not None else None)
    if target is None:
        errors.append("--target: is missing; give the base URL of the server, such as http://127.0.0.1:8000")
    elif not is_base_url(target):
        errors.append(f"--target: {target!r} is not a base URL; write it like http://127.0.0.1:8000")
    return target


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
        errors.append(f"--rendezvous: {rendezvous!r} is no store; write it like redis://127.0.0.1:6379/0")
    return errors


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
