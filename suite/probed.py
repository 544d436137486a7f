"""What a probe found: the tables for the terminal, and the target file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from reelbench.loadgen.control.preflight import needs
from reelbench.loadgen.plan.arrivals import expected_jobs
from reelbench.loadgen.plan.scenario import PROFILES, Case, Profile, Scenario
from reelbench.loadgen.plan.search import most_visits
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.foreign_text import one_line
from reelbench.loadgen.record.jobs import ServerTimes
from reelbench.loadgen.target.identify import Looks
from reelbench.loadgen.target.probe import Facts
from reelbench.loadgen.target.target_file import Access, Metrics, Pace, TargetFile
from reelbench.loadgen.videos.decoder import Decoded
from reelbench.reporting.catalogue.server_metrics import sets_of

SHOWN: Final = 5
"""Models that are printed."""
OURS: Final = "reelbench"
SHORTEST_POLL, LONGEST_POLL = 0.1, 2.0
"""Seconds between two polls of a job in a written target file."""
_MINUTE, _HOUR = 60, 3600
Table = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a probe found."""

    server: TargetFile
    """What was assumed of the server."""
    preset: str | None
    """The preset that fits; None: too little speaks for any."""
    reasons: tuple[str, ...]
    looks: Looks
    facts: Facts | None
    """None: no job was sent."""
    video: Decoded | None

    @property
    def sets(self) -> list[str]:
        """Sets of known metric names on the page of metrics."""
        return list(sets_of(self.looks.metric_names))

    def has(self, operation: str) -> bool | None:
        """Return whether the server has an operation; None: it was not tried."""
        given: bool | None = getattr(self.server.offers, operation)
        if operation == "list" and not self.server.create.synchronous:
            return isinstance(self.looks.listed.mapping.get("data"), list) and self.looks.listed.ok
        if operation == "manifest" and given is None:
            return self.preset == OURS
        if self.facts is not None and operation in {"wait", "delete"}:
            seen = self.facts.has_wait if operation == "wait" else self.facts.has_delete
            return given if seen is None else seen
        if operation == "cancel" and self.has("delete") is False and self.server.offers.cancel_path is None:
            return False
        return given


def rows(found: Found, url: str, scenarios: Sequence[Scenario]) -> Iterator[tuple[str, Table]]:
    """Yield the tables with their titles."""
    yield "The server", [*_identity(found, url), *_api(found), *_job(found)]
    possible, left_out = _fitting(found, scenarios)
    yield "What is left out, and why", left_out or [("nothing", "every scenario can run")]
    if found.facts is not None and found.facts.error is None:
        yield "Time of all scenarios that can run", list(_costs(found.facts.complete, possible))


def _identity(found: Found, url: str) -> Table:
    looks = found.looks
    title = found.server.title if found.preset is not None else "unknown"
    table = [
        ("address", f"{url}{looks.path}"),
        ("kind", f"{title}: {'; '.join(found.reasons) or 'too little speaks for any known kind'}"),
        ("preset that fits best", found.preset or f"{found.server.name} (a guess)"),
    ]
    version = looks.version.mapping.get("version")
    if isinstance(version, str | int | float):
        table.append(("version", one_line(str(version), 80)))
    if "server" in looks.listed.headers:
        table.append(("web server", one_line(looks.listed.headers["server"], 80)))
    if names := looks.model_names:
        more = ", ..." if len(names) > SHOWN else ""
        table.append(("models", ", ".join(one_line(name, 80) for name in names[:SHOWN]) + more))
    return table


def _api(found: Found) -> Table:
    words = {True: "yes", False: "no", None: "not tried"}
    table = [(name, words[found.has(name)]) for name in ("list", "wait", "manifest", "delete", "cancel")]
    if found.facts is not None and found.facts.deleted not in {"deleted", "not offered"}:
        table[3] = ("delete", f"{table[3][1]} ({found.facts.deleted})")
    names = found.looks.metric_names
    known = ", ".join(found.sets) or "none known"
    return [*table, ("metrics", f"/metrics with {len(names)} names; sets: {known}" if names else "no page at /metrics")]


def _job(found: Found) -> Table:
    facts = found.facts
    if facts is None:
        return [("job", "none was sent")]
    create = facts.create
    form = "as form" if create.encoding == "multipart" else "as JSON"
    fields = ", ".join(["prompt", *(["model"] if facts.model else []), *create.fields.values()])
    table = [
        ("create", f"accepted {form} with HTTP {facts.status}; fields that jobs may send: {fields}"),
        *(("refused before", line) for line in facts.refused),
        ("states", " -> ".join(facts.words) or "none: the answer to create has the file"),
        ("job", facts.error or f"ended after {facts.done:.2f} s, file read after {facts.complete:.2f} s"),
    ]
    if facts.content is not None:
        table.append(("content", f"{facts.content_source}, {facts.content.bytes:,} bytes"))
    if found.video is not None:
        table.append(("file", _file(found.video)))
    return [*table, ("times of the server", _times(facts.times))]


def _file(video: Decoded) -> str:
    if video.error is not None:
        return f"does not decode: {video.error}"
    seconds = f"{video.seconds:.2f} s" if video.seconds is not None else "unknown length"
    rate = f" at {video.fps:g} per second" if video.fps is not None else ""
    return f"{video.codec} in {video.container}, {video.width}x{video.height}, {video.frames} frames{rate}, {seconds}"


def _times(times: ServerTimes | None) -> str:
    if times is None:
        return "none"
    dates = [name for name in ("created", "started", "completed") if getattr(times, name) is not None]
    parts = [f"dates: {', '.join(dates)}"] if dates else []
    if times.inference is not None:
        parts.append(f"inference {times.inference:.2f} s")
    if times.peak_memory is not None:
        parts.append(f"peak memory {times.peak_memory / 2**20:,.0f} MiB")
    parts += [f"{name} {seconds:.2f} s" for name, seconds in times.stages.items()]
    return "; ".join(parts) or "none"


def _fitting(found: Found, scenarios: Sequence[Scenario]) -> tuple[list[Scenario], Table]:
    """Return the scenarios that can run, and a table of what is left out and why."""
    possible, reasons = [], dict[str, list[str]]()
    for scenario in scenarios:
        why = _impossible(found, scenario)
        if why is not None:
            reasons.setdefault(why, []).append(scenario.name)
            continue
        possible.append(scenario)
        lacking = [
            step for step in ("list", "manifest", "delete") if step in scenario.steps and found.has(step) is False
        ]
        if lacking:
            reasons.setdefault(f"without the steps {', '.join(lacking)}: the server does not have them", []).append(
                scenario.name
            )
    table = [(", ".join(names), why) for why, names in reasons.items()]
    if found.preset == OURS:
        needed = (
            "only where the service has SERVICE_FAULTS=true and SERVICE_ADMIN=true, and its mock providers are known"
        )
        table.append(("scenarios with faults or switches", needed))
    elif not found.sets:
        table.append(("resources report", "no data on memory, CPU and GPU: the server has no metrics that are known"))
    return possible, table


def _impossible(found: Found, scenario: Scenario) -> str | None:
    if found.preset != OURS and needs(scenario) - {"network"}:
        return "faults and switches are those of the service of this project"
    if "cancel" in scenario.steps and (found.server.create.synchronous or found.has("cancel") is False):
        return "the server cannot cancel jobs"
    if "assets" in scenario.steps and found.has("manifest") is not True:
        return "the server has no manifest of the files of a job"
    return None


def _costs(job_seconds: float, scenarios: Sequence[Scenario]) -> Iterator[tuple[str, str]]:
    for profile in PROFILES:
        jobs = sum(_jobs(case, profile) for scenario in scenarios for case in most_visits(scenario, profile))
        parallel, serial = (
            sum(
                _seconds(case, profile, job_seconds, at_once=at_once)
                for one in scenarios
                for case in most_visits(one, profile)
            )
            for at_once in (True, False)
        )
        at_once = f"{_span(parallel)} if the server works on all jobs in flight at once"
        yield f"--profile {profile}", f"{jobs:,} jobs: {at_once}, {_span(serial)} if it makes one video at a time"
    yield "--budget 20m", "fewer jobs and cases that fit into that time"


def _jobs(case: Case, profile: Profile) -> int:
    warmup = case.warmup.of(profile) if case.model == "closed" else 0
    return round(expected_jobs(case, profile)) + warmup


def _seconds(case: Case, profile: Profile, job_seconds: float, *, at_once: bool) -> float:
    """Return the length of a case: jobs x seconds / concurrency, but no shorter than its arrivals or its rest."""
    jobs = _jobs(case, profile)
    if case.model == "closed":
        return jobs * job_seconds / (case.concurrency if at_once else 1)
    assert case.seconds is not None, "the scenario is checked"
    length = case.seconds.of(profile)
    return max(length + job_seconds, 0.0 if at_once else jobs * job_seconds) if jobs else length


def _span(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


def described(found: Found, path: Path, url: str, access: Access) -> TargetFile:
    """Return the target file of the server: the assumed one with what was found."""
    server, facts = found.server, found.facts
    name = re.sub(r"[^a-z0-9_]", "_", path.stem.lower())[:48]
    create = server.create
    if facts is not None:
        create = facts.create
        if create.encoding == "any" and found.preset is None:
            create = create.model_copy(update={"encoding": "json"})
        create = create.model_copy(update={"model": facts.model})
    offers = {operation: found.has(operation) for operation in ("list", "wait", "manifest", "delete", "cancel")}
    return server.model_copy(
        update={
            "name": name if re.match(r"[a-z]", name) else f"server_{name}"[:48],
            "title": server.title if found.preset is not None else "Server of an unknown kind",
            "base_url": url if "${" in url else shown_url(url) or server.base_url,
            "access": access.model_copy(update=_absolute(access)),
            "create": create,
            "offers": server.offers.model_copy(update=offers),
            "pace": _pace(found),
            "metrics": (Metrics(names=tuple(found.sets)),) if found.sets else (),
        }
    )


def _pace(found: Found) -> Pace:
    """Return the times of a job; polls are at most 5 % of the job's length apart, as far as the server allows it."""
    pace, facts = found.server.pace, found.facts
    if facts is None or facts.throttled or not facts.words:
        return pace
    usual = pace.poll_interval or LONGEST_POLL
    return pace.model_copy(update={"poll_interval": min(usual, max(SHORTEST_POLL, round(facts.done / 20, 2)))})


def _absolute(access: Access) -> dict[str, str]:
    files = {name: getattr(access, name) for name in ("ca_file", "client_cert", "client_key")}
    return {name: str(Path(file).resolve()) for name, file in files.items() if file is not None}


def written(file: TargetFile, found: Found, url: str) -> str:
    """Return the text of a target file; secrets are named by their variables."""
    what = (
        f"Found by reelbench probe; the preset {found.preset} fits best."
        if found.preset
        else "Found by reelbench probe."
    )
    lines = [f"# {what}"]
    if "@" in url and "${" not in url:
        lines.append("# User and password of the URL are not written; give them with --target, or as ${NAME} here.")
    content: dict[str, Any] = file.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join(lines) + "\n" + text
