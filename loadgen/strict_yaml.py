"""Strict reader of YAML files: no repeated keys, and every mistake reported with its line and cure.

Files of users are limited in size and have no aliases; files of this project are trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 64 * 1024
_MAX_BITS = 1023
"""Size limit of whole numbers: larger ones do not fit into a float and can be too long to print."""

_MAX_DEPTH = 100
_OLD = re.compile(r"[-+]?(?:0[0-7_]+|[0-9_]+(?::[0-9_]+)+(?:\.[0-9_]*)?)")
"""Numbers that the reader takes for octal or sexagesimal ones: 060 for 48, and 1:30 for 90."""


class UnreadableError(Exception):
    """A file that contains no readable mapping; the message is one line without the name of the file."""


def read_mapping(path: Path, kind: str, first: str, *, ours: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Return the mapping of a file, and one error for every repeated key.

    Args:
        path: The file.
        kind: Noun for messages, such as "scenario".
        first: First key of such a file, for messages.
        ours: The file is trusted: aliases and any size are allowed.

    Raises:
        UnreadableError: there is no readable mapping.
    """
    return parse_mapping(read_bytes(path), kind, first, ours=ours)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        UnreadableError: the file cannot be read.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # The load generator reads it again, and a pipe without a writer never ends.
            raise UnreadableError("is no regular file; write it to a file first")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror}); make it a readable file") from error


def parse_mapping(data: bytes, kind: str, first: str, *, ours: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Parse bytes; arguments, result and errors as for `read_mapping`."""
    if len(data) > MAX_BYTES and not ours:
        raise UnreadableError(f"has {len(data)} bytes; a {kind} has at most {MAX_BYTES}")
    try:
        text = data.decode("utf-8")
        if not ours:
            _reject_expansion(text, kind)
        return _parse(_Loader(text), kind, first)
    except UnicodeDecodeError as error:
        raise UnreadableError("is not UTF-8 text; save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UnreadableError(f"{line}not valid YAML: {error.problem or error.context}; correct it") from error
    except yaml.YAMLError as error:
        # Cut off the name of PyYAML's buffer ('in "<unicode string>", position 3').
        problem = " ".join(str(error).split('in "<')[0].split())
        raise UnreadableError(f"not valid YAML: {problem}; correct it") from error


def dotted(location: tuple[int | str, ...]) -> str:
    """Return the location of a value, such as ``cases.0.iterations``, as one line even for unprintable keys."""
    return ".".join(text if (text := str(part)).isprintable() else repr(text) for part in location)


class _Checked(yaml.constructor.SafeConstructor):
    """Constructor that reports invalid dates and numbers with their line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        try:
            made = super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # an invalid date or number
            problem = str(error).split(";", maxsplit=1)[0]
        except (LookupError, AttributeError):  # what PyYAML raises for !!bool maybe and !!timestamp soon
            problem = f"the value is not a {node.tag.rpartition(':')[2]}"
        else:
            if isinstance(node, yaml.ScalarNode) and isinstance(made, int | float) and _OLD.fullmatch(node.value):
                problem = f"{node.value} is {made:g} in YAML 1.1, but not in YAML 1.2; write a plain decimal number"
            elif not isinstance(made, int) or made.bit_length() <= _MAX_BITS:
                return made
            else:
                problem = "the number is too large"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


class _Loader(_Checked, yaml.CSafeLoader):
    """Safe loader on libyaml, which is several times faster than pure PyYAML."""


def _reject_expansion(text: str, kind: str) -> None:
    """Reject aliases (exponential expansion) and deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            mark: Any = event.start_mark  # a mark of libyaml has the fields of PyYAML's mark, but another type
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not allowed; write the value out", problem_mark=mark
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise UnreadableError(f"is nested too deeply; a {kind} has three levels")


def _parse(loader: _Loader, kind: str, first: str) -> tuple[dict[str, Any], list[str]]:
    node = loader.get_single_node()
    if node is None:
        raise UnreadableError(f"is empty; copy another {kind} file to begin with")
    if not isinstance(node, yaml.MappingNode):
        raise UnreadableError(f"is not a mapping of keys to values; begin with '{first}: ...'")
    return loader.construct_document(node), list(_repeated_keys(node, (), set()))


def _repeated_keys(node: yaml.Node, path: tuple[int | str, ...], known: set[int]) -> Iterator[str]:
    if id(node) in known:  # an alias is the same node: report its mistakes once
        return
    known.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            word, line = str(key.value), key.start_mark.line + 1
            if word in seen:
                yield f"{dotted((*path, word))}: given twice (lines {seen[word]} and {line}); keep one"
            seen[word] = line
            yield from _repeated_keys(value, (*path, word), known)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated_keys(item, (*path, index), known)
