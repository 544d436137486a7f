"""The pages that users read, parsed: blocks of code, inline code, links, headings."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    section: str
    """Anchor of the heading above it."""
    line: int
    language: str
    body: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, without comments and with continuation lines joined."""
        lines = self.body.replace("\\\n", " ").splitlines()
        return [command for line in lines if (command := re.sub(r"(^|\s)#.*", "", line).strip())]


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    name: str
    """Path below the checkout."""
    text: str

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The fenced blocks of the page, in order."""
        found = []
        for match in _FENCE.finditer(self.text):
            indent, start = match["indent"], match.start()
            body = "".join(line.removeprefix(indent) for line in match["body"].splitlines(keepends=True))
            above = [anchor for at, anchor in self._anchors if at < start]
            line = self.text.count("\n", 0, start) + 1
            found.append(Block(self.name, above[-1] if above else "", line, match["language"], body))
        return tuple(found)

    @cached_property
    def prose(self) -> str:
        """The text of the page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def inline(self) -> tuple[str, ...]:
        """Code in running text."""
        return tuple(_INLINE.findall(self.prose.replace("\\|", "|")))

    @cached_property
    def links(self) -> tuple[str, ...]:
        """Targets of links and pictures."""
        return tuple(_LINK.findall(self.prose))

    @property
    def anchors(self) -> set[str]:
        """Valid fragments of links to this page."""
        return {anchor for _, anchor in self._anchors}

    @cached_property
    def _anchors(self) -> list[tuple[int, str]]:
        """Position and anchor of each heading, in GitHub's form."""
        fences = [(match.start(), match.end()) for match in _FENCE.finditer(self.text)]
        seen: Counter[str] = Counter()
        found = []
        for match in _HEADING.finditer(self.text):
            if any(start <= match.start() < end for start, end in fences):
                continue
            words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", match[2]).strip().lower()
            slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            found.append((match.start(), f"{slug}-{seen[slug]}" if seen[slug] else slug))
            seen[slug] += 1
        return found


@cache
def tracked() -> tuple[str, ...]:
    """Files under version control and new ones; without a Git history, all files of the project."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.splitlines() or [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
    names = [name for name in names if not name.startswith((".venv", ".cache", ".git/", "runs/"))]
    return tuple(name for name in names if (ROOT / name).is_file())


def pages() -> list[Page]:
    """The pages at the top level and those of docs/."""
    names = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
    paths = [*(ROOT / name for name in names), *sorted((ROOT / "docs").glob("**/*.md"))]
    return [Page(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths]
