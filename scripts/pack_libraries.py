"""Make the shared libraries of an environment smaller: drop what is not loaded (symbols, padding between segments).

For the container image only: its slim base has no `strip`, and binutils needs an index of Debian in each build.
Wheels carry libraries with symbol tables of debuggers and with segments at multiples of 2 MB in the file. The loader
needs neither: it maps the segments that the program headers list, at addresses that stay the same. A file that is not a
64-bit little-endian ELF library, or has another layout, is left as it is.

Usage: python pack_libraries.py FOLDER
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

_MAGIC: Final = b"\x7fELF\x02\x01"
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
_LOAD: Final = 1
_X86_64: Final = 62
_PAGES: Final = {_X86_64: 4096}
_LARGEST_PAGE: Final = 65536
"""Page size that fits all Linux kernels of the other architectures."""


class LayoutError(ValueError):
    """A library has a layout that cannot be packed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header, in the order of its fields in the file."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    alignment: int


@dataclass(frozen=True, slots=True)
class Move:
    """Where the bytes of a loaded segment were, and where they are now."""

    start: int
    end: int
    now: int


def packed(library: bytes) -> bytes:
    """Return a library with its loaded segments alone, close together; the addresses stay.

    Raises:
        LayoutError: a segment that is needed lies outside the loaded ones.
    """
    machine = struct.unpack_from("<H", library, 18)[0]
    table, count = struct.unpack_from("<Q", library, 32)[0], struct.unpack_from("<H", library, 56)[0]
    size = _PROGRAM_HEADER.size
    segments = [Segment(*_PROGRAM_HEADER.unpack_from(library, table + size * index)) for index in range(count)]
    page = _PAGES.get(machine, _LARGEST_PAGE)
    out, moves = bytearray(), []
    for segment in segments:
        if segment.kind == _LOAD:
            out += bytes((segment.address - len(out)) % min(segment.alignment, page))
            end = segment.offset + segment.file_size
            moves.append(Move(segment.offset, end, len(out)))
            out += library[segment.offset : end]
    now = _moved(moves, table, size * count)
    for index, segment in enumerate(segments):
        _PROGRAM_HEADER.pack_into(out, now + size * index, *_fields(_placed(segment, moves, page)))
    struct.pack_into("<QQ", out, 32, now, 0)  # where the program headers are; no section headers
    struct.pack_into("<HH", out, 60, 0, 0)
    return bytes(out)


def pack_folder(folder: Path) -> tuple[int, int]:
    """Pack all libraries below a folder; return their bytes before and after."""
    before = after = 0
    for path in sorted(folder.rglob("*.so*")):
        if path.is_symlink() or not path.is_file():
            continue
        library = path.read_bytes()
        if not library.startswith(_MAGIC):
            continue
        try:
            small = packed(library)
        except LayoutError:
            small = library
        if len(small) < len(library):
            path.write_bytes(small)
        before, after = before + len(library), after + min(len(small), len(library))
    return before, after


def _placed(segment: Segment, moves: list[Move], page: int) -> Segment:
    if segment.kind == _LOAD:
        now = _moved(moves, segment.offset, segment.file_size)
        return replace(segment, offset=now, alignment=min(segment.alignment, page))
    return replace(segment, offset=_moved(moves, segment.offset, segment.file_size)) if segment.file_size else segment


def _moved(moves: list[Move], offset: int, size: int) -> int:
    for move in moves:
        if move.start <= offset and offset + size <= move.end:
            return move.now + offset - move.start
    raise LayoutError(f"the bytes from {offset} to {offset + size} are in no loaded segment")


def _fields(segment: Segment) -> tuple[int, ...]:
    return (
        segment.kind,
        segment.flags,
        segment.offset,
        segment.address,
        segment.physical,
        segment.file_size,
        segment.memory_size,
        segment.alignment,
    )


def main(folder: Path) -> None:
    """Pack all libraries below a folder, and print their size before and after."""
    before, after = pack_folder(folder)
    print(f"shared libraries: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")  # noqa: T201 - the build shows it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
