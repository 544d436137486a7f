"""The commands of the pages: how each is run, or the reason why it is not run."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

import typer
import yaml

import reelbench.loadgen.__main__ as generator
from reelbench.stack.endpoints import free_ports
from reelbench.suite.commands.command_line import COMMANDS
from tests.pages import ROOT, Block, pages, tracked

DEADLINE = 600
"""Seconds for the commands of one section."""
JUDGES = re.compile(r"scripts/(run_suite|export_reports)\.py|reelbench (run|report|compare)")
SLOW = re.compile(rf"{JUDGES.pattern}|reelbench list runs|-m reelbench.service")
VERDICTS = (0, 1, 3)
"""Exit codes of a command that judges: its verdict depends on the machine."""
SERVER = (
    "python docs/examples/videos_server.py 8000 &",
    "curl --silent --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8000/v1/videos",
)
_ASSIGNMENTS = re.compile(r"^(?:[A-Z_]+=\S* )+")


@dataclass(frozen=True)
class Reason:
    """The reason why commands are not run, and the check made instead; `check` raises AssertionError."""

    pattern: str
    why: str
    check: Callable[[str], None]

    def matches(self, command: str) -> bool:
        return re.fullmatch(self.pattern, command) is not None


def parses(command: str) -> None:
    """Check a command line of the project: every option exists and every value has a valid form."""
    words = shlex.split(_ASSIGNMENTS.sub("", command).removesuffix("&"))
    if words[1:3] == ["-m", "reelbench.loadgen"]:
        app, arguments = generator.app, words[3:]
    else:
        app, arguments = typer.Typer(add_completion=False), words[2:]
        app.command()(importlib.import_module(module_of(words)).main)
    group = typer.main.get_command(app)
    with group.make_context(words[1], list(arguments)) as context:
        if known := getattr(group, "commands", {}):
            assert arguments[0] in known, f"{arguments[0]} is not one of {', '.join(known)}"
            known[arguments[0]].make_context(arguments[0], list(arguments[1:]), parent=context)


def module_of(words: Sequence[str]) -> str:
    """Return the module with the function `main` of a script or of a subcommand of `reelbench`."""
    if words[0] == "reelbench":
        assert words[1] in COMMANDS, f"{words[1]} is not one of {', '.join(COMMANDS)}"
        return f"reelbench.suite.commands.{words[1]}"
    assert words[0] == "python", words
    assert (ROOT / words[1]).is_file(), words[1]
    return f"scripts.{Path(words[1]).stem}"


def is_target(command: str) -> None:
    """Check that the targets are in the Makefile."""
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = {word for part in command.split("&&") for word in part.split()[1:] if "=" not in word}
    assert wanted <= known, f"{wanted - known} are no targets of the Makefile"


def composes(command: str) -> None:
    """Check subcommands and options of docker compose, and the services and profiles of our file."""
    file = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = file["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    words = shlex.split(command)[2:]
    subcommand = None
    while words:
        word = words.pop(0)
        if word == "--profile":
            assert words.pop(0) in profiles, command
        elif word == "--scale":
            name, _, count = words.pop(0).partition("=")
            assert name in services, command
            assert count.isdigit() or count == "N", command
        elif word.startswith("-"):
            assert word in {"-a", "-d", "--rm", "--wait", "-v"}, command
        elif subcommand is None:
            subcommand = word
            assert word in {"up", "down", "ps", "logs", "run", "cp", "restart"}, command
        elif subcommand == "cp":
            assert word.partition(":")[0] in {*services, "."}, command
        else:
            assert word in services, command


RUN = r"(python scripts/run_suite\.py|reelbench run)"
REASONS = (
    Reason(r"docker compose .+", "the tests have no container engine", composes),
    Reason(
        r"thanos .+",
        "there is no Thanos; tests/stack/full/test_thanos.py runs it where THANOS_BIN is set",
        lambda _: None,
    ),
    Reason(r"make .+", "installs, or runs everything: continuous integration's own commands", is_target),
    Reason(r"pip install .+", "installs; a test of its own installs the wheel", lambda _: None),
    Reason(f"{RUN}", "drives every scenario, as the acceptance suite itself does", parses),
    Reason(rf"{RUN} --profile \w+", "takes up to an hour", parses),
    Reason(r"reelbench compare --ab .+", "takes minutes; tests/suite/ab runs it against made runs", parses),
    Reason(
        r"reelbench report runs/<name>\.ab .+",
        "needs an interleaved comparison; tests/reporting/compare/test_ab.py writes its report again",
        parses,
    ),
    Reason(r".* --fail-on worse", "needs two runs of one plan; docs/commands.md compares such", parses),
    Reason(r"reelbench trend.*", "needs six runs of one plan; tests/reporting/trend makes them", parses),
    Reason(
        r"PROMETHEUS_URL=\S+(mimir|thanos)\S+ .+|.+--prometheus \S+mimir\S+",
        "there is no Mimir and no Thanos here",
        parses,
    ),
    Reason(
        r"python -m reelbench.loadgen run .+--rendezvous .+",
        "needs a Redis; tests/loadgen/test_replicas.py runs it",
        parses,
    ),
    Reason(r"docker build .+|kubectl .+", "the tests have no container engine and no cluster", lambda _: None),
    Reason(r"reelbench merge /shares .+", "tests/suite/test_merging.py merges made shares", parses),
    Reason(rf"{RUN} --replicas 3", "tests/suite/test_shared_run.py runs three generators", parses),
    Reason(
        rf"SERVICE_(RETRIES|BREAKER)=false {RUN} --embedded --scenario \w+",
        "tests/scripts/test_reliability_suite.py runs it",
        parses,
    ),
    Reason(rf"{RUN} --(repeat 5|ablate cache,pooling)", "tests/scripts/test_series_suite.py runs fewer", parses),
    Reason(rf"{RUN} --prompts \S+ --scenario single_request", "docs/workload.md runs it without a document", parses),
    Reason(r"reelbench probe .+", "tests/suite/test_probe.py runs it against fakes", parses),
    Reason(r"reelbench run --target-file vllm_omni.yaml .+", "the file is one that reelbench probe wrote", parses),
    Reason(rf"{RUN} --target \S+ --budget \d+m", "takes as long as its budget", parses),
    Reason(r".+ --preset vllm_omni.*", "tests/loadgen/test_targets.py runs each preset against a fake", parses),
    Reason(r".+ --target-file my_server.yaml", "the file is the reader's", parses),
    Reason(r".+ --allow-commands", "runs a command of the reader's", parses),
    Reason(r"source \.venv/bin/activate", "the tests run in an environment already", lambda _: None),
)


def reason(command: str) -> Reason | None:
    """The reason why a command is not run; None if it is run."""
    return next((one for one in REASONS if one.matches(command)), None)


def sections() -> dict[tuple[str, str], list[Block]]:
    """Shell blocks with a command to run, by page and section, without sections that only repeat another one's."""
    found: dict[tuple[str, str], list[Block]] = {}
    for page in pages():
        for block in page.blocks:
            if block.language == "sh" and any(reason(command) is None for command in block.commands):
                found.setdefault((page.name, block.section), []).append(block)
    run = {
        place: {c for block in blocks for c in block.commands if reason(c) is None} for place, blocks in found.items()
    }
    repeated = {place for place, commands in run.items() if any(commands < other for other in run.values())}
    return {place: blocks for place, blocks in found.items() if place not in repeated}


def copy_checkout(target: Path) -> Path:
    """Copy the checkout, for commands that write into it; with the compiled modules, which take seconds to compile."""
    for name in tracked():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)  # with the time that the compiled module has
        if name.endswith(".py") and (compiled := Path(cache_from_source(str(ROOT / name)))).is_file():
            copied = Path(cache_from_source(str(target / name)))
            copied.parent.mkdir(exist_ok=True)
            shutil.copy2(compiled, copied)
    for link in (ROOT / "reelbench").iterdir():
        if link.is_symlink():
            (target / "reelbench" / link.name).symlink_to(link.readlink(), target_is_directory=True)
    return target


STAND_INS = {
    "<run_id>": "$RUN_ID",
    "NEW": "$(dirname $(ls runs/*/run.json | tail -n 1))",
    "OLD": "$(dirname $(ls runs/*/run.json | tail -n 2 | head -n 1))",
}
"""Placeholders of the pages: the acceptance suite's run, and the last two."""


def script(commands: Sequence[str]) -> str:
    """Return a shell script of a section's commands: each must exit as expected, and its processes are ended.

    RUN_ID is a run in its folder runs/.
    """
    ports = dict(zip(("8000", "9001"), free_ports(2), strict=True))
    lines = ["trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    if any("--target" in command for command in commands) and not any(command.endswith("&") for command in commands):
        commands = (*SERVER, *commands)  # a service of the reader
    for command in commands:
        line = fitted(command)
        for documented, stand_in in STAND_INS.items():
            line = re.sub(rf"(?<!\w){re.escape(documented)}(?!\w)", lambda _, text=stand_in: str(text), line)  # type: ignore[misc]
        for documented, port in ports.items():
            line = re.sub(rf"\b{documented}\b", str(port), line)
        lines.append(f"echo {shlex.quote('$ ' + line)}")
        if line.endswith("&"):
            lines.append(line)
            continue
        good = VERDICTS if JUDGES.search(line) else (0,)
        wanted = " && ".join(f"[ $code -ne {code} ]" for code in good)
        lines.append(f'{line}\ncode=$?\nif {wanted}; then echo "ended with $code"; exit 9; fi')
    return "\n".join(lines) + "\n"


def fitted(command: str) -> str:
    """Reduce a run of all scenarios to one scenario on its own stack."""
    if not re.match(RUN, _ASSIGNMENTS.sub("", command)):
        return command
    if "--scenario" not in command:
        command += " --scenario component_speed"
    return command if "--target" in command or "--embedded" in command else f"{command} --embedded"


def shim(folder: Path) -> Path:
    """Make a folder for PATH in which `python` is this interpreter, and `reelbench` the checkout's command."""
    folder.mkdir()
    for name, words in (("python", ""), ("reelbench", "-m reelbench ")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        (folder / name).chmod(0o755)
    return folder
