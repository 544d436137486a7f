"""The page about all runs of a folder: each group of runs with its key figures over time, and every other run."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reelbench.loadgen.record.run_files import RecordError, write_atomically
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.document import text
from reelbench.reporting.trend.history import Common, History, RunValues, Value, facts, read_history
from reelbench.reporting.trend.records import Change, Group
from reelbench.suite.result import PAGE, REPORTS_DIR
from reelbench.suite.run_folders import Found, find_runs

INDEX_FILE: Final = "index.html"
KEY_FIGURES: Final = ("response_time_p95", "throughput", "success_rate", "sustained_rate", "memory_per_job")
"""Indicators that stand for a run; those that it does not have are left out."""
MOST_FIGURES: Final = 4
TEMPLATES: Final = Path(__file__).with_name("templates")
ASSETS: Final = Path(__file__).parents[1] / "reporting" / "render" / "assets"
COLOURS: Final = {"PASS": "pass", "FAIL": "fail", "INVALID": "fail", "NO DATA": "unsure", "INCONCLUSIVE": "unsure"}
WIDTH, HEIGHT, EDGE = 160.0, 36.0, 4.0
"""Size of a sparkline, and the space at its edges."""

Place = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Spark:
    """A key figure over the runs of a group."""

    title: str
    place: str
    newest: str
    lines: tuple[str, ...]
    """Points of each stretch without a gap, for a polyline."""
    dots: tuple[tuple[float, float], ...]
    """Values without a neighbour, and the newest value."""
    marks: tuple[tuple[float, str, str], ...]
    """Change points: position, colour class and sentence."""
    described: str
    """The values in words, for a screen reader."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    name: str
    link: str | None
    """Relative address of its page; None: it has none."""
    started: str
    commit: str
    verdict: str
    colour: str
    cells: tuple[str, ...]
    """Its key figures; of a run outside all groups target, profile and the reason."""
    size: str


@dataclass(frozen=True, slots=True)
class Card:
    """Runs of one target, profile, plan and machine."""

    title: str
    about: str
    figures: tuple[str, ...]
    """Headings of the key figures."""
    sparks: tuple[Spark, ...]
    changes: tuple[str, ...]
    """What changed, one sentence each."""
    note: str
    rows: tuple[Row, ...]


def write_index(runs: Path, now: float) -> Path:
    """Write the page about all runs of a folder; return its path.

    Raises:
        RecordError: there is no run in the folder.
        OSError: the page cannot be written.
    """
    found = find_runs(runs, now)
    if not found:
        raise RecordError(f"there is no run in {runs}; make one with: reelbench run, or name another --runs")
    history = read_history([one.folder for one in found])
    folders = {one.run.run_id: one for one in found if one.run is not None}
    cards = tuple(_cards(history, folders))
    grouped = {run.run_id for members in history.groups.values() for run in members}
    reasons = {one.run: one.reason for one in history.left_out}
    others = [one for one in found if one.run is None or one.run.run_id not in grouped]
    rows = tuple(_other(one, reasons) for one in sorted(others, key=_started, reverse=True))
    path = runs / INDEX_FILE
    write_atomically(path, _page(cards, rows, len(found), text.size(sum(one.size for one in found))).encode())
    return path


def _started(one: Found) -> float:
    return one.run.started if one.run is not None else 0.0


def _page(cards: Sequence[Card], others: Sequence[Row], count: int, size: str) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    styles = (ASSETS / "palette.css", ASSETS / "plain.css", TEMPLATES / "index.css")
    style = "".join(path.read_text(encoding="utf-8") for path in styles)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("index.html.j2").render(
        cards=cards,
        others=others,
        count=text.counted(count, "run"),
        size=size,
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=f"sha256-{digest}",
        width=WIDTH,
        height=HEIGHT,
    )


def _cards(history: History, folders: dict[str, Found]) -> Iterator[Card]:
    with_changes = find_spec("otava") is not None
    for common, runs in history.groups.items():
        group = _judged(common, runs) if with_changes else None
        places = _places(runs[-1])
        changes = {(one.sli, one.scenario, one.case, one.member): one.changes for one in group.series} if group else {}
        yield Card(
            title=f"{common.target}, profile {common.profile}, {text.counted(len(runs), 'run')}",
            about=common.machine,
            figures=tuple(f"{value.title}, {_where(value)}" for value in places),
            sparks=tuple(_spark(value, runs, changes.get(_key(value), ())) for value in places),
            changes=_sentences(group),
            note="" if with_changes else "Change points are not shown: Apache Otava is not installed.",
            rows=tuple(_row(run, places, folders) for run in reversed(runs)),
        )


def _judged(common: Common, runs: Sequence[RunValues]) -> Group:
    from reelbench.reporting.trend.judge import judge  # noqa: PLC0415 - needs Apache Otava, and scipy takes a second

    return judge(common, runs, load())


def _sentences(group: Group | None) -> tuple[str, ...]:
    if group is None:
        return ()
    from reelbench.reporting.trend.report import SHOWN, causes, sentence  # noqa: PLC0415 - as the judgement

    return tuple(sentence(group, cause) for cause in causes(group)[:SHOWN])


def _places(run: RunValues) -> list[Value]:
    """Return the key figures of a run, each in its hardest place; without any of them the first judged ones."""
    found = []
    for sli in KEY_FIGURES:
        values = [value for value in run.places.values() if value.sli == sli and value.value is not None]
        if values:
            least = (objective := values[0].objective) is not None and objective.direction == "at_least"
            least = least or sli in {"success_rate", "throughput"}
            found.append((min if least else max)(values, key=lambda value: value.value or 0.0))
    found = found or [value for value in run.places.values() if value.objective is not None and value.value is not None]
    return found[:MOST_FIGURES]


def _key(value: Value) -> Place:
    return value.sli, value.scenario, value.case, value.member


def _where(value: Value) -> str:
    return " / ".join(filter(None, (value.scenario, value.case, value.member)))


def _spark(value: Value, runs: Sequence[RunValues], changes: Sequence[Change]) -> Spark:
    series = [found.value if (found := run.places.get(_key(value))) is not None else None for run in runs]
    known = [number for number in series if number is not None]
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = (WIDTH - 2 * EDGE) / max(1, len(series) - 1)

    def point(index: int, number: float) -> tuple[float, float]:
        height = 0.5 if high == low else (number - low) / span
        return round(EDGE + index * step, 1), round(HEIGHT - EDGE - height * (HEIGHT - 2 * EDGE), 1)

    points = [None if number is None else point(index, number) for index, number in enumerate(series)]
    stretches = _stretches(points)
    dots = [stretch[0] for stretch in stretches if len(stretch) == 1]
    newest = next(one for one in reversed(points) if one is not None)
    return Spark(
        title=value.title,
        place=_where(value),
        newest=text.with_unit(value.value, value.unit),
        lines=tuple(" ".join(f"{x:g},{y:g}" for x, y in stretch) for stretch in stretches if len(stretch) > 1),
        dots=tuple(dict.fromkeys((*dots, newest))),
        marks=tuple(
            (
                round(EDGE + (change.run - 1.5) * step, 1),
                "fail" if change.worse else "pass",
                f"{'worse' if change.worse else 'better'} from run {runs[change.run - 1].run_id}",
            )
            for change in changes
        ),
        described=f"{value.title} over {len(known)} runs: least {text.with_unit(low, value.unit)}, most "
        f"{text.with_unit(high, value.unit)}, newest {text.with_unit(value.value, value.unit)}",
    )


def _stretches(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Return the points between gaps."""
    found: list[list[tuple[float, float]]] = [[]]
    for one in points:
        if one is None or any(math.isnan(part) for part in one):
            found.append([])
        else:
            found[-1].append(one)
    return [stretch for stretch in found if stretch]


def _row(run: RunValues, places: Sequence[Value], folders: dict[str, Found]) -> Row:
    found = folders.get(run.run_id)
    values = [run.places.get(_key(value)) for value in places]
    return Row(
        name=found.folder.name if found else run.run_id,
        link=_link(found),
        started=text.instant(run.started),
        commit=facts(run)["Commit"],
        verdict=str(run.verdict),
        colour=COLOURS.get(run.verdict, ""),
        cells=tuple(text.with_unit(value.value if value else None, value.unit if value else "") for value in values),
        size=text.size(found.size) if found else text.NONE,
    )


def _other(one: Found, reasons: dict[str, str]) -> Row:
    run = one.run
    commit = (run.environment.commit or "") if run else ""
    reason = "it goes on" if one.going else one.why
    for name in (run.run_id if run else "", str(one.folder)):
        reason = reason or reasons.get(name, "")
    return Row(
        name=one.folder.name,
        link=_link(one),
        started=text.instant(run.started if run else None),
        commit=commit[:12] or "unknown",
        verdict=one.state,
        colour="unsure",
        cells=(run.target if run else text.NONE, run.profile if run else text.NONE, reason),
        size=text.size(one.size),
    )


def _link(found: Found | None) -> str | None:
    if found is None or not (found.folder / REPORTS_DIR / PAGE).is_file():
        return None
    return f"{quote(found.folder.name)}/{REPORTS_DIR}/{PAGE}"
