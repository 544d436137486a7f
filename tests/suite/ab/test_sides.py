"""What a side of an interleaved comparison may be, and what is refused before anything is started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reelbench.suite.ab.ab_error import AbError
from reelbench.suite.ab.checkouts import checked_out
from reelbench.suite.ab.sides import COMMITS, SETTINGS, TARGETS, read_sides
from reelbench.suite.commands.command_line import main
from tests.commands import ROOT


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Two commits of a package with a service, the second of which lost it."""
    folder = tmp_path / "checkout"
    (folder / "reelbench" / "service").mkdir(parents=True)
    (folder / "reelbench" / "service" / "__main__.py").write_text("print('one')\n")
    (folder / "requirements.lock").write_bytes((ROOT / "requirements.lock").read_bytes())
    git(folder.parent, "init", "-q", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    git(folder, "rm", "-rq", "reelbench")
    git(folder, "commit", "-qm", "two")
    return folder


def settings(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_two_commits_have_their_full_hashes(checkout: Path) -> None:
    base, head = read_sides("HEAD~1", "HEAD", checkout, force=False)
    assert (base.kind, head.kind) == (COMMITS, COMMITS)
    assert (base.commit, head.commit) == (git(checkout, "rev-parse", "HEAD~1"), git(checkout, "rev-parse", "HEAD"))
    assert base.described == f"commit {base.commit[:12]}"


def test_settings_files_are_read_and_secrets_are_not_shown(tmp_path: Path) -> None:
    first = settings(tmp_path, "a.env", "# slow\nPROVIDERS_LLM__MEDIAN='0.2'\n\nSERVICE_LLM_API_KEY=hunter2\n")
    second = settings(tmp_path, "b.env", "MALLOC_ARENA_MAX=2\n")
    base, head = read_sides(first, second, None, force=False)
    assert (base.kind, head.kind) == (SETTINGS, SETTINGS)
    assert base.settings == {"PROVIDERS_LLM__MEDIAN": "0.2", "SERVICE_LLM_API_KEY": "hunter2"}
    assert base.described == "PROVIDERS_LLM__MEDIAN=0.2, SERVICE_LLM_API_KEY=(secret)"
    assert head.settings == {"MALLOC_ARENA_MAX": "2"}


def test_two_targets_are_named_without_passwords() -> None:
    base, head = read_sides("http://u:secret@127.0.0.1:1", "http://127.0.0.1:2", None, force=False)
    assert (base.kind, base.name, base.described) == (TARGETS, "http://127.0.0.1:1", "http://127.0.0.1:1")
    assert head.target == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("PROVIDERS_LLM__MEDIAN 0.2\n", "line 1: 'PROVIDERS_LLM__MEDIAN 0.2' is not NAME=value"),
        ("PATH=/tmp\n", "PATH changes neither service nor providers"),
        ("SERVICE_DATA_DIR=/tmp\n", "SERVICE_DATA_DIR is set by Reelbench"),
        ("OTEL_SDK_DISABLED=true\n", "OTEL_SDK_DISABLED is set by Reelbench"),
    ],
)
def test_a_settings_file_with_a_mistake_is_refused(text: str, cause: str, tmp_path: Path) -> None:
    with pytest.raises(AbError, match=cause):
        read_sides(settings(tmp_path, "a.env", text), settings(tmp_path, "b.env", ""), None, force=False)


def test_equal_sides_need_force(tmp_path: Path, checkout: Path) -> None:
    first, second = (settings(tmp_path, name, "PROVIDERS_SEED=2\n") for name in ("a.env", "b.env"))
    for base, head in ((first, second), ("HEAD", "HEAD~0"), ("http://127.0.0.1:1", "http://127.0.0.1:1/")):
        with pytest.raises(AbError, match=r"both sides are the same .* or add --force"):
            read_sides(base, head, checkout, force=False)
        assert len(read_sides(base, head, checkout, force=True)) == 2


def test_sides_of_different_kinds_and_unknown_ones(tmp_path: Path, checkout: Path) -> None:
    with pytest.raises(AbError, match="of different kinds"):
        read_sides("HEAD", settings(tmp_path, "a.env", ""), checkout, force=False)
    with pytest.raises(AbError, match="'nope' is no commit"):
        read_sides("nope", "HEAD", checkout, force=False)
    with pytest.raises(AbError, match="run it from a checkout"):
        read_sides("HEAD", "HEAD~1", None, force=False)


def test_worktrees_are_removed_at_the_end_and_after_a_failure(checkout: Path, tmp_path: Path) -> None:
    one, two = git(checkout, "rev-parse", "HEAD~1"), git(checkout, "rev-parse", "HEAD")
    with checked_out([one], checkout, tmp_path / "cache", lambda _: None) as programs:
        assert (programs[0].directory / "reelbench" / "service" / "__main__.py").read_text() == "print('one')\n"
        assert git(checkout, "worktree", "list").count("\n") == 1
    assert not programs[0].directory.exists()
    with (
        pytest.raises(AbError, match=f"commit {two[:12]} has no package"),
        checked_out([one, two], checkout, tmp_path / "cache", lambda _: None),
    ):
        pass
    with (
        pytest.raises(KeyboardInterrupt),
        checked_out([one], checkout, tmp_path / "cache", lambda _: None),
    ):
        raise KeyboardInterrupt
    assert git(checkout, "worktree", "list").count("\n") == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (("--ab", "a.env", "b.env"), (2, "is no commit")),
        (("--ab", "one.env", "two.env", "--pairs", "5"), (2, "--pairs: is 5; use an even number from 4 to 100")),
        (("--ab", "one.env", "two.env", "--margin", "0"), (2, "--margin: is 0")),
        (("--ab", "one.env", "two.env", "--budget", "soon"), (2, "--budget: 'soon'")),
        (("--ab", "one.env", "two.env", "--scenario", "nope"), (2, "--scenario: 'nope' is unknown")),
        (("--ab", "one.env", "two.env", "--preset", "vllm_omni"), (2, "--preset: is about a server of yours")),
        (("--ab", "one.env", "two.env", "--fail-on", "x"), (2, "--fail-on: 'x' is unknown")),
        (("--ab", "one.env", "one.env"), (2, "both sides are the same")),
        (("--ab", "one.env", "two.env", "--kept"), (2, "--kept cannot be given with --ab")),
        (("--ab", "http://127.0.0.1:1", "http://127.0.0.1:2"), (4, "127.0.0.1:1")),
        (("--pairs", "6", "a", "b"), (2, "only with --ab")),
        (("a", "b", "--scenario", "single_request"), (2, "--scenario: only with --ab")),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_left(
    arguments: tuple[str, ...],
    end: tuple[int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    settings(tmp_path, "one.env", "PROVIDERS_SEED=1\n")
    settings(tmp_path, "two.env", "PROVIDERS_SEED=2\n")
    code, cure = end
    assert main(("compare", *arguments)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(line.startswith("error: ") for line in printed.err.splitlines())
    assert cure in printed.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.env", "two.env"]
