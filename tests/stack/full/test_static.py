"""Checks of the compose stack without starting it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from reelbench.service.settings import MIB, Settings
from reelbench.stack import dotenv
from reelbench.stack.dotenv import image_version
from reelbench.stack.environment import pushing_environment, version
from reelbench.stack.errors import StackError
from reelbench.stack.external import published
from reelbench.stack.tools import Tools
from tests.stack.full import compose
from tests.stack.full.native import NETWORK

ROOT = compose.ROOT
SERVICES: dict[str, Any] = compose.load()["services"]
SETTINGS = dotenv.read(environment={})
COLLECTOR: dict[str, Any] = yaml.safe_load((ROOT / "otel" / "collector.yaml").read_text())
PROMETHEUS: dict[str, Any] = yaml.safe_load(compose.prometheus_configuration(SETTINGS["INTERVAL"]))
TEMPO: dict[str, Any] = yaml.safe_load((ROOT / "tempo" / "tempo.yaml").read_text())
DATASOURCES = {
    source["uid"]: source
    for source in yaml.safe_load((ROOT / "grafana/provisioning/datasources/reelbench.yaml").read_text())["datasources"]
}
OLD_NAMES = {"otlp/", "otlphttp", "spanmetrics", "servicegraph", "hostmetrics", "prometheusremotewrite", "batch/"}


def test_every_image_is_pinned_once_in_env() -> None:
    text = compose.FILE.read_text()
    assert set(re.findall(r"image: (\S+)", text)) == {
        "reelbench:${REELBENCH_VERSION}",
        "reelbench-reports:${REELBENCH_VERSION}",
        *(f"${{{name}}}" for name in SETTINGS if name.endswith("_IMAGE") and name != "PYTHON_IMAGE"),
    }
    for name in SETTINGS:
        if name.endswith("_IMAGE"):
            assert re.fullmatch(r"\d+\.\d+\.\d+", image_version(SETTINGS, name)), name
    assert SETTINGS["REELBENCH_VERSION"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_every_variable_of_env_is_used() -> None:
    used = set(re.findall(r"\$\{(\w+)", compose.FILE.read_text()))
    assert used == set(SETTINGS)


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports), ports
    assert len({port.split(":")[1] for port in ports}) == len(ports) == 7


def test_every_container_is_limited_and_unprivileged(subtests: pytest.Subtests) -> None:
    for name, service in SERVICES.items():
        with subtests.test(name):
            assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
            assert service["memswap_limit"] == service["mem_limit"]  # no swap: a limit of memory is a limit
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert service.get("read_only") or name == "grafana"
            # All images set a user except Valkey's and Reelbench's.
            assert (service.get("user") in {"root", "0"}) == (name == "configuration")
            assert service.get("cap_add", []) == (["CHOWN", "DAC_OVERRIDE"] if name == "configuration" else [])
            assert "user" in service or name == "otel-collector"
            unchecked = {"loadgen", "report", "collector-ready", "otel-collector", "configuration"}
            assert ("healthcheck" in service) == (name not in unchecked)
            assert "privileged" not in service
            assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


def test_the_workers_of_the_service_fit_into_its_container() -> None:
    settings = Settings()
    workers = settings.media_processes * settings.media_memory
    assert SERVICES["service"]["mem_limit"] == "1536m"
    assert workers + 256 * MIB <= 1536 * MIB


def test_no_proxy_is_between_the_containers() -> None:
    names = SERVICES["service"]["environment"]["NO_PROXY"].split(",")
    ends = {
        name
        for name, service in SERVICES.items()
        if service.get("scale") != 0 and "restart" not in service and "profiles" not in service
    }
    assert set(names) == {"localhost", "127.0.0.1", "::1"} | ends
    for name, service in SERVICES.items():
        environment = service.get("environment", {})
        variables = {environment.get("NO_PROXY"), environment.get("no_proxy")}
        assert variables == ({None} if name in {"valkey", "configuration"} else {",".join(names)}), name


def test_dependencies_wait_for_health_checks_that_exist() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            assert ("healthcheck" in SERVICES[other]) == (condition == "service_healthy"), (name, other)
    senders = {name for name, service in SERVICES.items() if "OTEL_SERVICE_NAME" in service.get("environment", {})}
    for name in senders:
        assert SERVICES[name]["depends_on"]["collector-ready"]["condition"] == "service_completed_successfully"
        assert SERVICES[name]["environment"]["OTEL_SERVICE_NAME"] == name
    assert senders == {"service", "providers", "loadgen"}


def test_every_mounted_file_and_volume_exists() -> None:
    volumes = compose.load()["volumes"]
    used = set()
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source, _, rest = mount.partition(":")
            if source.startswith("./"):
                assert name == "configuration"  # the other containers cannot read a clone made with umask 077
                if mount == "./.cache/control:/control":
                    continue  # Docker makes the folder
                assert (ROOT / source).exists(), (name, mount)
                assert rest.endswith(":ro"), (name, mount)
            else:
                used.add(source)
    assert used == set(volumes)
    assert (ROOT / SERVICES["service"]["build"]["dockerfile"]).exists()
    sent = (ROOT / ".dockerignore").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "service" / "Dockerfile").read_text(), re.MULTILINE)
    assert copied == ["requirements-image.lock", "scripts/pack_libraries.py", "reelbench", "service", "loadgen"]
    assert all(f"!{path}\n" in sent for path in copied)


def test_addresses_name_containers_and_their_listening_ports() -> None:
    files = [compose.FILE, *(ROOT / folder for folder in ("otel/collector.yaml", "tempo/tempo.yaml"))]
    files += [ROOT / "prometheus/prometheus.yml", ROOT / "grafana/provisioning/datasources/reelbench.yaml"]
    named = {
        address
        for path in files
        for address in re.findall(r"\b([a-z][a-z-]+:\d{4,5})\b", path.read_text())
        if address.split(":")[0] in SERVICES
    }
    assert named <= set(NETWORK)
    assert {"otel-collector:4318", "prometheus:9090", "tempo:4317", "tempo:3200", "providers:9000"} <= named


def test_all_intervals_are_equal() -> None:
    seconds = SETTINGS["INTERVAL"]
    for name in ("service", "providers", "loadgen"):
        assert SERVICES[name]["environment"]["OTEL_METRIC_EXPORT_INTERVAL"] == f"{seconds}000"
    assert PROMETHEUS["global"]["scrape_interval"] == PROMETHEUS["global"]["evaluation_interval"] == f"{seconds}s"
    assert DATASOURCES["prometheus"]["jsonData"]["timeInterval"] == "${INTERVAL}s"
    for name in ("grafana", "otel-collector", "tempo"):
        assert SERVICES[name]["environment"]["INTERVAL"] == int(seconds)
    assert COLLECTOR["connectors"]["span_metrics"]["metrics_flush_interval"] == "${env:INTERVAL:-5}s"
    assert TEMPO["metrics_generator"]["registry"]["collection_interval"] == "${INTERVAL:-5}s"


def test_a_local_load_generator_has_the_telemetry_of_the_containers() -> None:
    inside = {key: str(value) for key, value in SERVICES["loadgen"]["environment"].items()}
    outside = pushing_environment("loadgen", inside["OTEL_EXPORTER_OTLP_ENDPOINT"], int(SETTINGS["INTERVAL"]), {})
    assert {key: value for key, value in outside.items() if key.startswith("OTEL_")} == {
        key: value for key, value in inside.items() if key.startswith("OTEL_")
    }
    assert f"service.version={version()}," in inside["OTEL_RESOURCE_ATTRIBUTES"]
    addresses = published(SETTINGS)
    ports = {name: [p.rsplit(":", 1)[0] for p in service.get("ports", [])] for name, service in SERVICES.items()}
    assert addresses.service.removeprefix("http://") in ports["service"]
    assert addresses.prometheus.removeprefix("http://") in ports["prometheus"]
    assert addresses.tempo.removeprefix("http://") in ports["tempo"]
    assert addresses.collector.removeprefix("http://") in ports["otel-collector"]


def test_every_member_of_a_pipeline_is_defined_and_used() -> None:
    pipelines = COLLECTOR["service"]["pipelines"]
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in pipelines.values():
        assert pipeline["processors"][0] == "memory_limiter"
        for kind, members in pipeline.items():
            used[kind] |= set(members)
    connectors = set(COLLECTOR["connectors"])
    assert connectors <= used["receivers"] & used["exporters"]
    assert used["receivers"] - connectors == set(COLLECTOR["receivers"])
    assert used["exporters"] - connectors == set(COLLECTOR["exporters"])
    assert used["processors"] == set(COLLECTOR["processors"])
    assert set(COLLECTOR["service"]["extensions"]) == set(COLLECTOR["extensions"])


def test_collector_components_have_current_names() -> None:
    names = {name for kind in ("exporters", "processors", "connectors", "extensions") for name in COLLECTOR[kind]}
    assert not {name for name in names if any(f"{name}/".startswith(old) for old in OLD_NAMES)}
    assert "batch" not in COLLECTOR["processors"]
    for exporter in COLLECTOR["exporters"].values():
        assert "batch" in exporter["sending_queue"]
    assert COLLECTOR["exporters"]["otlp_http/prometheus"]["sending_queue"]["num_consumers"] == 1


def test_tests_and_compose_use_the_same_collector() -> None:
    config = yaml.safe_load((ROOT / "otel" / "builder-config.yaml").read_text())
    pinned = image_version(SETTINGS, "COLLECTOR_IMAGE")
    assert config["dist"]["version"] == pinned
    for kind in ("receivers", "processors", "exporters", "connectors", "extensions"):
        assert all(part["gomod"].endswith(f" v{pinned}") for part in config[kind])
        assert len(config[kind]) == len({name.split("/")[0] for name in COLLECTOR[kind]})


def test_data_sources_link_to_each_other() -> None:
    assert set(DATASOURCES) == {"prometheus", "tempo"}
    (link,) = DATASOURCES["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert link == {"name": "trace_id", "datasourceUid": "tempo"}
    tempo = DATASOURCES["tempo"]["jsonData"]
    assert tempo["serviceMap"]["datasourceUid"] == tempo["tracesToMetrics"]["datasourceUid"] == "prometheus"
    assert TEMPO["overrides"]["defaults"]["metrics_generator"]["trace_id_label_name"] == link["name"]
    assert all("$__" not in query["query"].replace("$$__", "") for query in tempo["tracesToMetrics"]["queries"])


def test_grafana_has_no_password_login() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Editor"
    assert not [key for key in environment if "PASSWORD" in key]


def test_promtool_accepts_the_configuration(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(compose.prometheus_configuration(SETTINGS["INTERVAL"]))
    (tmp_path / "rules").symlink_to(ROOT / "prometheus" / "rules")
    done = subprocess.run(
        [str(tools.promtool), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_the_collector_accepts_its_configuration(tools: Tools) -> None:
    command = [str(tools.collector), "validate", "--config=otel/collector.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr


def test_tempo_accepts_its_configuration(tempo: Path | None) -> None:
    if tempo is None:
        pytest.skip("TEMPO_BIN names no Tempo")
    command = [str(tempo), "-config.file=tempo/tempo.yaml", "-config.expand-env=true", "-config.verify=true"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_docker_compose_accepts_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker compose here")
    done = subprocess.run([docker, "compose", "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_docker_compose_accepts_the_file_with_tls_in_front(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker compose here")
    command = [docker, "compose", "-f", "docker-compose.yml", "-f", "deploy/compose.tls.yml", "config"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(tmp_path))}
    refused = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "set DOMAIN to the name of this server" in refused.stderr
    environment["DOMAIN"] = "reelbench.example.org"
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    both = yaml.safe_load(done.stdout)["services"]
    given = both["front"]["environment"]
    assert given["DOMAIN"] == "reelbench.example.org"
    behind = {"grafana", "service", "prometheus", "tempo", "otel-collector"}  # the parts of deploy/Caddyfile
    assert behind <= set(given["NO_PROXY"].split(","))
    assert given["no_proxy"] == given["NO_PROXY"]
    lasting = {name for name, service in both.items() if service.get("restart") == "unless-stopped"}
    assert lasting == set(SERVICES) - {"configuration", "collector-ready", "loadgen", "report"} | {"front"}
    open_to_all = {
        port["published"] for service in both.values() for port in service.get("ports", []) if "host_ip" not in port
    }
    assert open_to_all == {"80", "443"}


def test_the_front_leads_to_ports_of_containers() -> None:
    front = (ROOT / "deploy" / "Caddyfile").read_text()
    leads = set(re.findall(r"import part (\S+)", front))
    assert leads == {"grafana:3000", "service:8000", "prometheus:9090", "tempo:3200", "otel-collector:4318"}
    assert leads - {"grafana:3000"} <= set(NETWORK)


def test_the_container_configuration_fills_in_the_interval(tmp_path: Path) -> None:
    """The command of the container, on a clone that only its owner can read."""
    clone, config, control = (tmp_path / name for name in ("clone", "config", "control"))
    for folder in ("grafana", "otel", "prometheus", "tempo"):
        shutil.copytree(ROOT / folder, clone / folder)
    for path in clone.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    config.mkdir(mode=0o755)
    control.mkdir()
    (config / "of-an-earlier-start").touch()
    command = [part.replace("/clone", str(clone)) for part in SERVICES["configuration"]["command"]]
    command = [part.replace("/config", str(config)) for part in command]
    command = [part.replace(" /control", f" {control}") for part in command]
    variables = {"INTERVAL": "7", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    subprocess.run(command, env=variables, check=True)
    token = (control / "token").read_text()
    assert len(token.strip()) == 43
    assert (control / "token").stat().st_mode & 0o777 == 0o600
    assert (config / "control-token").read_text() == token
    subprocess.run(command, env=variables, check=True)  # a further start keeps the token: the service has read it
    assert (control / "token").read_text() == token
    assert (config / "prometheus/prometheus.yml").read_text() == compose.prometheus_configuration("7")
    assert sorted(path.name for path in config.iterdir()) == ["control-token", "grafana", "otel", "prometheus", "tempo"]
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in config.rglob("*"))
    assert all(path.stat().st_mode & 0o011 == 0o011 for path in config.rglob("*") if path.is_dir())
    assert (config / "otel/collector.yaml").read_bytes() == (ROOT / "otel/collector.yaml").read_bytes()


def test_the_guarded_endpoints_need_the_token_and_are_open_to_no_other_machine() -> None:
    file = "/config/control-token"
    for name, variable in (
        ("service", "SERVICE_CONTROL_TOKEN_FILE"),
        ("providers", "PROVIDERS_CONTROL_TOKEN_FILE"),
        ("loadgen", "REELBENCH_CONTROL_TOKEN_FILE"),
    ):
        environment = SERVICES[name]["environment"]
        assert environment[variable] == file
        assert "configuration:/config:ro" in SERVICES[name]["volumes"]
        assert [key for key in environment if key.endswith("_REMOTE")] == []


def test_env_is_read_like_compose_reads_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# comment\n\nA=1\nB=x=y\nINTERVAL=10\n")
    assert dotenv.read(path, environment={"A": "2", "C": "3"}) == {"A": "2", "B": "x=y", "INTERVAL": "10"}
    for value in ("10s", "0", "-1", "1.5", ""):
        with pytest.raises(StackError, match=rf"^INTERVAL is '{value}'; write whole seconds, such as INTERVAL=10\.$"):
            dotenv.read(path, environment={"INTERVAL": value})
    path.write_text("A=1\nnonsense\n")
    with pytest.raises(StackError, match="line 2: 'nonsense' is not NAME=value"):
        dotenv.read(path, environment={})
    assert image_version({"X": "repo/name:v1.2.3-alpine@sha256:00"}, "X") == "1.2.3"
    with pytest.raises(StackError, match=r"X in \.env has no version"):
        image_version({"X": "repo/name:latest"}, "X")
