"""Sets of metric names that servers are known to have: what each metric means, in which unit, by which labels."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from reelbench.loadgen.strict_yaml import UnreadableError, read_mapping
from reelbench.reporting.catalogue.strict import Text, build, near

FOLDER = Path(__file__).with_name("servers")
"""The sets, one file each."""
VERSION = 1
_SUFFIXES = {"counter": ("", "_total"), "gauge": ("",), "histogram": ("_sum",)}
"""What an exposition adds to the name of a metric, by its type; a histogram is recognised by its sum."""


class ServerRole(StrEnum):
    """The meaning of a metric of a server."""

    RUNNING = "running"
    """Requests that are worked on."""
    WAITING = "waiting"
    """Requests that wait for their turn."""
    REQUESTS = "requests"
    """Ended requests, by result."""
    LATENCY = "latency"
    """From the arrival of a request to its end, in seconds."""
    QUEUE_TIME = "queue_time"
    """Wait of a request for its turn, in seconds."""
    STAGE_TIME = "stage_time"
    """One execution of a stage, in seconds."""
    STEP_TIME = "step_time"
    """One denoising step, in seconds."""
    INFERENCE_TIME = "inference_time"
    """Work of the model on a request, in seconds."""
    STEPS = "steps"
    """Denoising steps of a request."""
    BATCH_SIZE = "batch_size"
    """Requests that run together."""
    PEAK_MEMORY = "peak_memory"
    """Peak of GPU memory as the server reports it, in bytes."""
    GPU_UTILISATION = "gpu_utilisation"
    """Share of the time in which the GPU ran a kernel."""
    GPU_MEMORY = "gpu_memory"
    """GPU memory in use, in bytes."""
    GPU_POWER = "gpu_power"
    """Power of a GPU in watts."""
    GPU_ENERGY = "gpu_energy"
    """Energy that a GPU used, in joules."""
    GPU_TEMPERATURE = "gpu_temperature"
    """Temperature of a GPU in degrees Celsius."""
    GPU_ERRORS = "gpu_errors"
    """Code of the last XID error of a GPU; 0: no error."""
    CPU_SECONDS = "cpu_seconds"
    """CPU time of the server's process, in seconds."""
    RESIDENT_MEMORY = "resident_memory"
    """Resident memory of the server's process, in bytes."""
    OPEN_FILES = "open_files"
    """Open file descriptors of the server's process."""
    START_TIME = "start_time"
    """Unix time at which the server's process started."""


Result = Literal["completed", "failed", "cancelled", "all"]


class ResultOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The result that a value of the result label means."""

    value: Text
    result: Result


class Excluded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Series that are left out, by a label."""

    label: Text
    value: Text


class ServerMetric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric. The fields are explained in `docs/server-metrics.md`."""

    role: ServerRole
    metric: Text
    type: Literal["gauge", "counter", "histogram"]
    factor: Annotated[float, msgspec.Meta(gt=0, le=1e12, description="a number above 0")] = 1.0
    labels: tuple[str, ...] = ()
    exclude: tuple[Excluded, ...] = ()
    result: Result | None = None
    result_label: str | None = None
    results: tuple[ResultOf, ...] = ()
    per: str | None = None
    of: Literal["jobs", "requests"] = "jobs"
    stage: str | None = None

    def result_of(self, labels: dict[str, str]) -> str:
        """Return the result that a series counts; empty for a metric without results."""
        if self.result_label is not None:
            value = labels.get(self.result_label)
            for one in self.results:
                if one.value == value:
                    return one.result
        return self.result or ""

    def kept(self, labels: dict[str, str]) -> dict[str, str]:
        """Return the labels of a series that distinguish its values."""
        found = {name: labels[name] for name in self.labels if name in labels}
        return found if self.stage is None else {**found, "stage": self.stage}

    def excludes(self, labels: dict[str, str]) -> bool:
        """Return True for a series that is left out."""
        return any(labels.get(one.label) == one.value for one in self.exclude)


class MetricSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The metrics of one kind of server."""

    version: int
    name: Text
    title: Text
    prefixes: tuple[str, ...] = ("",)
    without: tuple[str, ...] = ()
    metrics: Annotated[
        tuple[ServerMetric, ...], msgspec.Meta(min_length=1, description="a list of metrics, each with its role")
    ]

    def named(self, metric: ServerMetric, present: Collection[str]) -> str | None:
        """Return the name of a metric without suffixes, as the first prefix that is present writes it."""
        for prefix in self.prefixes:
            for suffix in _SUFFIXES[metric.type]:
                if f"{prefix}{metric.metric}{suffix}" in present:
                    return f"{prefix}{metric.metric}{suffix if metric.type == 'counter' else ''}"
        return None

    def known(self, present: Collection[str]) -> bool:
        """Return True when a page with these names has a metric of this set."""
        return any(self.named(metric, present) is not None for metric in self.metrics)


class MetricSetError(Exception):
    """A set that cannot be used; `errors` holds every error, the message all of them, one a line."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)


def read_set(path: Path) -> MetricSet:
    """Read one set.

    Raises:
        MetricSetError: with every error of the file, one a line.
    """
    try:
        document, errors = read_mapping(path, "metric set", "version")
    except UnreadableError as error:
        raise MetricSetError(f"{path}: {error}") from error
    found = build(MetricSet, document, "", errors)
    if document.get("version", VERSION) != VERSION:
        errors.append(f"version is {document['version']!r}, this Reelbench reads version {VERSION}")
    if found is not None:
        errors += _problems(found, path.stem)
    if found is None or errors:
        raise MetricSetError(*(f"{path}: {error}" for error in errors))
    return found


def _problems(found: MetricSet, stem: str) -> Iterator[str]:
    """Yield what keys of a set say against each other."""
    if found.name != stem:
        yield f"name is {found.name!r}; write {stem!r}, the name of the file"
    for number, metric in enumerate(found.metrics, 1):
        place = f"metrics: {number} ({metric.metric})"
        if metric.role is ServerRole.REQUESTS and metric.result is None:
            yield f"{place}: role requests needs result, of a series that results does not name"
        if (metric.result_label is None) != (not metric.results):
            yield f"{place}: result_label and results belong together"
        if metric.per is not None and metric.type != "counter":
            yield f"{place}: per needs type counter, it is {metric.type}"


@cache
def known_sets(folder: Path = FOLDER) -> dict[str, MetricSet]:
    """Return every set by its name.

    Raises:
        MetricSetError: a file of the folder is wrong.
    """
    found = [read_set(path) for path in sorted(folder.glob("*.yaml"))]
    return {one.name: one for one in found}


def sets_of(present: Collection[str]) -> tuple[str, ...]:
    """Return the names of the sets that a page with these metric names has, in alphabetical order."""
    found = [one for one in known_sets().values() if one.known(present)]
    left_out = {name for one in found for name in one.without}
    named = tuple(one.name for one in found if one.name not in left_out)
    alone = len(named) == 1  # with a set of a server on the page, the process is that server
    return named if alone else tuple(one.name for one in found)


def unknown_sets(names: Collection[str]) -> list[str]:
    """Return one sentence for each name that is no set."""
    known = known_sets()
    all_of_them = f"use {', '.join(known)}"
    return [
        f"{name!r} is no set of known metric names; {near(name, known, all_of_them)}"
        for name in names
        if name not in known
    ]
