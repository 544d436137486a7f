"""Options of the user, checked together before anything is started or written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reelbench.loadgen.document import Document, DocumentError, read_document
from reelbench.loadgen.plan.scenario import PROFILES, Profile, Scenario
from reelbench.loadgen.plan.scenario_file import ScenarioError, load_folder
from reelbench.loadgen.record.journal import occupied


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


class OptionsError(Exception):
    """Invalid options; `errors` has one sentence for each mistake."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def check_options(  # noqa: PLR0917 - one argument per option
    run_dir: Path,
    run_id: str | None,
    target: str,
    names: list[str],
    profile: str,
    seed: int,
    document: Path,
    *,
    providers: str | None = None,
    rendezvous: str | None = None,
) -> Settings:
    """Check all options and return them as settings.

    Raises:
        OptionsError: with all mistakes.
    """
    errors: list[str] = []
    scenarios: dict[str, Scenario] = {}
    try:
        scenarios = load_folder()
        unknown = [name for name in dict.fromkeys(names) if name not in scenarios]
        errors += [f"--scenario: {name!r} is unknown; use {', '.join(scenarios)}" for name in unknown]
    except ScenarioError as error:
        errors += error.errors
    errors += [f"--scenario: {name!r} is given more than once; give it once" for name in _repeated(names)]
    chosen: Profile | None = next((known for known in PROFILES if known == profile), None)
    if chosen is None:
        errors.append(f"--profile: {profile!r} is unknown; use {', '.join(PROFILES)}")
    errors += _name_errors(run_id, rendezvous)
    if seed < 0:
        errors.append(f"--seed: is {seed}; use 0 or more")
    if not is_base_url(target):
        errors.append(f"--target: {target!r} is not a base URL; write it like http://127.0.0.1:8000")
    if providers is not None and not is_base_url(providers):
        errors.append(f"--providers: {providers!r} is not a base URL; write it like http://127.0.0.1:9000")
    if (name := occupied(run_dir)) is not None:
        errors.append(f"--run-dir: {run_dir} already holds a run ({name}); choose another folder")
    elif run_dir.exists() and not run_dir.is_dir():
        errors.append(f"--run-dir: {run_dir} is a file; choose a folder")
    try:
        upload = read_document(document)
    except DocumentError as error:
        errors.append(f"--document: {error}")
    if errors or chosen is None:
        raise OptionsError(errors)
    return Settings(
        run_dir=run_dir,
        run_id=run_id,
        scenarios=[scenarios[name] for name in names or scenarios],
        profile=chosen,
        seed=seed,
        target=target.rstrip("/"),
        document=upload,
        providers=providers,
        named=bool(names),
        rendezvous=rendezvous,
    )


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


def _repeated(names: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
