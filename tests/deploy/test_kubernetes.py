"""The manifests of Kubernetes: what kustomize makes of them, by value and against the schemas."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
import typer
import yaml

from reelbench.loadgen.__main__ import run
from reelbench.suite.commands import merge
from tests.pages import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZE = next(
    (words for words in (["kubectl", "kustomize"], ["kustomize", "build"]) if shutil.which(words[0])), None
)

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], Manifest]:
    if KUSTOMIZE is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    made = subprocess.run([*KUSTOMIZE, str(FOLDER)], capture_output=True, text=True, check=True, timeout=60)
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(made.stdout)}


def pod(manifest: Manifest) -> Manifest:
    found: Manifest = manifest["spec"]["template"]["spec"]
    return found


def test_one_number_and_one_run_id_reach_all_parts(manifests: dict[tuple[str, str], Manifest]) -> None:
    ((config, content),) = [(name, one["data"]) for (kind, name), one in manifests.items() if kind == "ConfigMap"]
    generators, report = manifests["Job", "generators"], manifests["Job", "report"]
    assert content["REELBENCH_REPLICAS"] == "3"
    spec = generators["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == (0, 0)
    for job in (generators, report):
        assert pod(job)["containers"][0]["envFrom"] == [{"configMapRef": {"name": config}}]
        assert pod(job)["enableServiceLinks"] is False


def test_every_container_is_limited_and_without_privileges(manifests: dict[tuple[str, str], Manifest]) -> None:
    found = [pod(one) for (kind, _), one in manifests.items() if kind in {"Job", "Deployment"}]
    assert len(found) == 3
    for one in found:
        assert one["securityContext"]["runAsNonRoot"] is True
        for container in one["containers"]:
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_the_command_lines_are_known_to_the_programs(manifests: dict[tuple[str, str], Manifest]) -> None:
    for function, words in (
        (run, pod(manifests["Job", "generators"])["containers"][0]["command"][4:]),
        (merge.main, pod(manifests["Job", "report"])["containers"][0]["args"][1:]),
    ):
        app = typer.Typer()
        app.command()(function)
        options = {name for one in typer.main.get_command(app).params for name in one.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options


def test_the_manifests_hold_by_the_schemas(manifests: dict[tuple[str, str], Manifest]) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for manifest in manifests.values():
        validate.validate(manifest, "1.32", strict=True)
