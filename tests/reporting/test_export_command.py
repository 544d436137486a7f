"""The command ``scripts/export_reports.py`` with invalid or unusable arguments."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from reelbench.loadgen.record.prometheus_access import HEADERS_VARIABLE
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE
from reelbench.reporting.export import export
from tests.commands import ROOT, invoke
from tests.demanding_proxy import demanding


def refused(*arguments: str) -> str:
    """The one sentence with which the command refuses these arguments."""
    done = invoke("export_reports.py", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr.removeprefix("error: ").strip()


def test_an_invalid_run_folder_is_rejected_before_prometheus_starts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    end = "name a folder under runs/"
    for path, reason in (
        (file, "Not a directory"),
        (tmp_path / "absent", "No such file or directory"),
        (tmp_path, "No such file or directory"),
        (tmp_path / ("a" * 300), "File name too long"),
    ):
        assert refused(str(path)) == f"{path} is not a run directory: cannot read run.json ({reason}); {end}"


def test_a_stack_file_that_cannot_be_read_is_one_sentence(run_dir: Path) -> None:
    stack = run_dir / "stack.json"
    stack.unlink(missing_ok=True)
    stack.mkdir()
    assert refused(str(run_dir)) == f"cannot read {stack} (Is a directory); name a readable run directory"


def test_reports_that_cannot_be_written_are_one_sentence(measured_dir: Path) -> None:
    reports = measured_dir / "reports"
    for path in reports.iterdir():
        path.unlink()
    reports.rmdir()
    reports.write_text("in the way")
    sentence = refused(str(measured_dir), "--kept", "--no-charts")
    assert sentence == f"cannot read or write {reports} (File exists); correct it and export again"


def test_kept_requires_measurements_from_prometheus(run_dir: Path) -> None:
    sentence = f"nothing is kept: {run_dir} has no measurements"
    assert refused(str(run_dir), "--kept", "--no-charts").startswith(sentence)
    assert not (run_dir / "reports").exists()
    export(run_dir, None, charts=False)  # writes measurements without a Prometheus
    assert refused(str(run_dir), "--kept", "--no-charts").startswith(sentence)


def test_invalid_values_of_the_prometheus_option_are_rejected(tmp_path: Path) -> None:
    sentence = refused(str(tmp_path), "--prometheus", "foo")
    assert sentence == "--prometheus: 'foo' is not a base URL; write it like http://127.0.0.1:9090"
    sentence = refused(str(tmp_path), "--kept", "--prometheus", "http://127.0.0.1:9090")
    assert sentence == "--kept asks no Prometheus; leave out --kept or --prometheus"


@pytest.mark.extended
@pytest.mark.acceptance
def test_headers_of_prometheus_are_sent_and_written_nowhere(
    run_dir: Path, measured_dir: Path, prometheus_url: str
) -> None:
    token = "t0ken-Geheim-4711"
    demanded = {"X-Scope-OrgID": "team-a", "Authorization": f"Bearer {token}"}
    with demanding(prometheus_url, demanded, path="/prometheus") as proxy:
        arguments = (str(run_dir), "--prometheus", proxy.url, "--no-charts")
        without = invoke("export_reports.py", *arguments)
        assert (without.returncode, without.stderr.count("\n")) == (4, 1)
        assert without.stderr.startswith(f"error: Prometheus at {proxy.url} refused the access (HTTP 401)")
        headers = {HEADERS_VARIABLE: f"X-Scope-OrgID=team-a,Authorization=Bearer%20{token}"}
        done = invoke("export_reports.py", *arguments, **headers)
        assert done.returncode == 0, done.stderr
        assert proxy.passed > 20
        wrong = invoke("export_reports.py", *arguments, **{HEADERS_VARIABLE: f"Authorization: {token}"})
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "entry 1 is not Name=value" in wrong.stderr
    assert "Geheim" not in "".join(text for one in (without, done, wrong) for text in (one.stdout, one.stderr))
    assert [path for path in run_dir.rglob("*") if path.is_file() and token.encode() in path.read_bytes()] == []
    kept, direct = ((folder / MEASUREMENTS_FILE).read_bytes() for folder in (run_dir, measured_dir))
    assert kept == direct


@pytest.mark.extended
@pytest.mark.acceptance
def test_a_password_in_the_address_of_prometheus_is_used_and_written_nowhere(
    run_dir: Path, prometheus_url: str
) -> None:
    basic = base64.b64encode(b"me:p@ss-Geheim").decode()
    with demanding(prometheus_url, {"Authorization": f"Basic {basic}"}) as proxy:
        address = proxy.url.replace("://", "://me:p%40ss-Geheim@")
        done = invoke("export_reports.py", str(run_dir), "--prometheus", address, "--no-charts")
        gone = address.replace(proxy.url.rpartition(":")[2], "9")
        lost = invoke("export_reports.py", str(run_dir), "--prometheus", gone, "--no-charts")
    assert (done.returncode, proxy.refused) == (0, 0), done.stderr
    assert (lost.returncode, lost.stderr.count("\n")) == (4, 1)
    assert "Geheim" not in done.stdout + done.stderr + lost.stdout + lost.stderr
    written = [path.read_bytes() for path in run_dir.rglob("*") if path.is_file()]
    assert not any(secret in content for content in written for secret in (b"Geheim", basic.encode()))


@pytest.mark.extended
@pytest.mark.acceptance
def test_writing_reports_does_not_load_the_load_generator() -> None:
    heavy = "('loadgen.session', 'aiohttp', 'redis')"
    code = f"import sys, scripts.export_reports; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
