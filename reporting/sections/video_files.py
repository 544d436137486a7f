"""The downloaded files: whether they decode and are what the jobs asked for."""

from __future__ import annotations

from collections import Counter

from reelbench.loadgen.record.videos import FPS_SHARE, FRAMES, LENGTH_SECONDS, PIXELS, Property
from reelbench.reporting.analysis.video_files import Files, Followed, Opened, opened_files
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence, place_name

TITLE = "Files as asked"
EXAMPLES = 5
KINDS = 3
"""Most different values of a property that a cell names."""
NAMES = {
    Property.DECODES: "decodes to its end",
    Property.LENGTH: "length",
    Property.FRAMES: "number of frames",
    Property.SIZE: "size of the picture",
    Property.FPS: "frame rate",
}


def section(evidence: Evidence, dimension: str) -> Section | None:
    """Return the shares of files that are as asked, what the others have, and examples with their traces."""
    if evidence.run.check_videos is None:
        return None
    found = opened_files(evidence, dimension)
    if not found.opened:
        return Section(TITLE, (Paragraph(f"No downloaded file was opened{_why(evidence)}."),), level=3)
    most = evidence.run.check_videos
    sample = "all" if most == "all" else f"at most {most} of each case, drawn by the seed"
    items = [
        (
            f"Files opened and decoded frame by frame: {len(found.opened):,} of {found.completed:,} ({sample}; "
            "`--check-videos`), after the measured window of their case."
        ),
        _formats(found),
        *(_ignored(one, evidence) for one in found.never),
    ]
    if good := found.good:
        without = f", without {text.listed([NAMES[one.kind] for one in found.never])}" if found.never else ""
        items.append(f"As asked in everything{without}: {text.quoted(good)}, exact interval.")
    blocks: list[Block] = [Bullets(tuple(items)), _properties(found)]
    return Section(TITLE, (*blocks, *([_examples(found.wrong)] if found.wrong else [])), level=3)


def _why(evidence: Evidence) -> str:
    return " (`--check-videos 0`)" if evidence.run.check_videos == 0 else ", as no job completed with one"


def _formats(found: Files) -> str:
    kinds = Counter(f"{o.video.codec} in {o.video.container}" for o in found.opened if o.video.codec)
    sound = sum(o.video.audio for o in found.opened)
    words = ", ".join(f"{literal(kind)} ({number:,})" for kind, number in kinds.most_common(KINDS)) or "none known"
    return f"Formats: {words}. With sound: {sound:,} of {len(found.opened):,}."


def _ignored(one: Followed, evidence: Evidence) -> str:
    ours = " The mock service of this project makes small files on purpose." if _by_design(one, evidence) else ""
    return f"**The server does not follow the {NAMES[one.kind]} that jobs ask for**: {_others(one)}.{ours}"


def _by_design(one: Followed, evidence: Evidence) -> bool:
    return one.kind is Property.SIZE and not evidence.foreign and _is_mock(evidence)


def _is_mock(evidence: Evidence) -> bool:
    return evidence.run.server is not None or (evidence.stack is not None and evidence.stack.has_service)


def _others(one: Followed) -> str:
    shown = [
        f"{literal(found)}{f' instead of {literal(asked)}' if asked else ''} ({number:,})"
        for found, asked, number in one.otherwise[:KINDS]
    ]
    rest = sum(number for _, _, number in one.otherwise[KINDS:])
    return ", ".join([*shown, *([f"others ({rest:,})"] if rest else [])])


def _properties(found: Files) -> Table:
    rows = tuple(
        (NAMES[one.kind], text.fraction(one.share), text.rate(one.share), _others(one) or text.NONE)
        for one in found.properties
    )
    columns = ("Property", "As asked", "Share % (95 % CI)", "Otherwise")
    caption = (
        "Of the files whose job asked for the property. Tolerances, as models make whole blocks of frames and pixels: "
        f"length ± {LENGTH_SECONDS:g} s or one frame, number of frames ± {FRAMES}, width and height ± {PIXELS} pixels, "
        f"frame rate ± {FPS_SHARE * 100:g} %. Only a file that does not decode makes its job unsuccessful."
    )
    return Table(columns, rows, columns[1:3], caption)


def _examples(wrong: tuple[Opened, ...]) -> Table:
    rows = tuple(
        (
            place_name(one.job.scenario, one.job.case),
            str(one.job.index),
            "; ".join(
                f"{NAMES[d.kind]}: {literal(d.found)}{f', asked {literal(d.asked)}' if d.asked else ''}"
                for d in one.video.wrong
            ).replace(f"{NAMES[Property.DECODES]}: ", "does not decode: "),
            text.size(one.video.bytes),
            literal(one.video.kept) if one.video.kept else text.NONE,
            f"`{one.job.trace_id}`",
        )
        for one in wrong[:EXAMPLES]
    )
    columns = ("Scenario / case", "Job", "Found", "Bytes", "Kept as", "Trace")
    caption = f"Files that are not as asked, {len(wrong):,} in all, broken ones first; `videos.jsonl` has every file."
    return Table(columns, rows, ("Job", "Bytes"), caption)
