"""What a process says it runs with: effective values, and no secret."""

from __future__ import annotations

from importlib import metadata

import pytest

from reelbench.service.providers.app import Settings as ProviderSettings
from reelbench.service.settings import Settings
from reelbench.telemetry import running
from reelbench.telemetry.running import environment, flat, shown, versions


def test_the_service_says_which_settings_are_not_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_LEAK_BYTES_PER_JOB", "1000000")
    monkeypatch.setenv("SERVICE_WORKERS", "16")  # the default
    monkeypatch.setenv("SERVICE_CACHE", "off")
    monkeypatch.setenv("SERVICE_MODELS", "a,b")
    monkeypatch.setenv("SERVICE_DATA_DIR", "/private/place")
    found = Settings().running(12.5)
    assert (found.name, found.time) == ("service", 12.5)
    assert set(found.changed) == {"SERVICE_LEAK_BYTES_PER_JOB", "SERVICE_CACHE", "SERVICE_MODELS"}
    assert {name: found.settings[name] for name in (*found.changed, "SERVICE_WORKERS")} == {
        "SERVICE_LEAK_BYTES_PER_JOB": "1000000",
        "SERVICE_CACHE": "false",
        "SERVICE_MODELS": "a,b",
        "SERVICE_WORKERS": "16",
    }
    assert "/private/place" not in str(found)
    assert found.versions["uvicorn"].count(".") >= 1


def test_no_secret_of_the_service_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_API_KEY", "sesame-1")
    monkeypatch.setenv("SERVICE_REDIS_URL", "rediss://user:sesame-2@store:6379/0?password=sesame-3")
    monkeypatch.setenv("SERVICE_LLM_URL", "http://user:sesame-4@llm:9000/v1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=sesame-5")
    monkeypatch.setenv("PYTHON_KEYRING_PASSWORD", "sesame-6")
    found = Settings().running(0.0)
    assert "sesame" not in str(found)
    assert (found.settings["SERVICE_API_KEY"], found.settings["SERVICE_PROVIDER_API_KEY"]) == ("set", "not set")
    assert "SERVICE_API_KEY" in found.changed
    assert found.settings["SERVICE_REDIS_URL"] == "rediss://store:6379/0"
    assert found.settings["SERVICE_LLM_URL"] == "http://llm:9000/v1"


def test_the_providers_say_their_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDERS_LLM__MEDIAN", "0.2")
    found = ProviderSettings().running(1.0)
    assert found.changed == ("PROVIDERS_LLM__MEDIAN",)
    assert found.settings["PROVIDERS_LLM__MEDIAN"] == "0.2"
    assert found.settings["PROVIDERS_TTS__MEDIAN"] == "0.05"


def test_only_variables_that_change_behaviour_are_kept() -> None:
    given = {
        "PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "2", "LD_PRELOAD": "libx.so", "TZ": "UTC", "HOME": "/somewhere",
        "OTEL_TRACES_SAMPLER": "always_off", "UV_INDEX_URL": "https://index", "http_proxy": "http://u:p@proxy:1",
    }  # fmt: skip
    assert environment(given) == {
        "LD_PRELOAD": "libx.so", "MALLOC_ARENA_MAX": "2", "OTEL_TRACES_SAMPLER": "always_off", "PYTHONHASHSEED": "0",
        "TZ": "UTC", "http_proxy": "http://proxy:1",
    }  # fmt: skip


def test_values_are_kept_on_one_line() -> None:
    assert shown("a\n  b\tc") == "a b c"
    assert len(shown("x" * 1000)) == 303
    assert flat({"a": {"b": True, "c": (1, 2)}, "d": None}, "P_") == {"P_A__B": "true", "P_A__C": "1,2", "P_D": "None"}


def test_the_version_of_a_package_is_read_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "1.2")
    running._installed.cache_clear()
    first = versions(["made"])
    monkeypatch.setattr(metadata, "version", lambda _: "1.3")
    assert first["made"] == versions(["made"])["made"] == "1.2"
    running._installed.cache_clear()


def test_packages_that_are_not_installed_have_no_version() -> None:
    assert list(versions(["no-such-package", "pydantic"])) == ["python", "pydantic"]
