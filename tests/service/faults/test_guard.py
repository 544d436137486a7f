"""Who may use the guarded endpoints: addresses, names, other sites and the token."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from reelbench.loadgen.control.admin_client import AdminClient, AdminError
from reelbench.service.api.app import create_app
from reelbench.service.faults.guard import read_token
from reelbench.service.providers.app import Settings as ProviderSettings
from reelbench.service.providers.app import create_app as create_providers
from reelbench.service.settings import Settings

LOOPBACK, STRANGER = "127.0.0.1", "203.0.113.7"
TOKEN = {"X-Reelbench-Token": "a-secret"}
CASES: list[tuple[dict[str, Any], str, dict[str, str], str | None]] = [
    ({}, LOOPBACK, {"Host": "localhost:8000"}, None),
    ({}, LOOPBACK, {"Host": "127.0.0.1:8000"}, None),
    ({}, LOOPBACK, {"Host": "[::1]:8000"}, None),
    ({}, LOOPBACK, {"Host": "service:8000"}, None),
    # A name of the web that resolves to 127.0.0.1.
    ({}, LOOPBACK, {"Host": "rebound.example:8000"}, "unknown_host"),
    ({}, LOOPBACK, {"Host": "127.0.0.1.rebound.example"}, "unknown_host"),
    ({}, LOOPBACK, {"Host": ""}, "unknown_host"),
    ({"remote": True}, STRANGER, {"Host": "10.0.0.1:8000"}, None),
    ({"remote": True}, STRANGER, {"Host": "rebound.example"}, "unknown_host"),
    ({}, LOOPBACK, {"Host": "localhost", "Origin": "http://localhost"}, None),
    ({}, LOOPBACK, {"Host": "localhost", "Origin": "https://evil.example"}, "cross_site"),
    ({}, LOOPBACK, {"Host": "localhost", "Origin": "null"}, "cross_site"),
    ({}, LOOPBACK, {"Host": "localhost:8000", "Origin": "http://localhost:9000"}, "cross_site"),
    ({}, LOOPBACK, {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, "cross_site"),
    ({}, LOOPBACK, {"Host": "localhost", "Sec-Fetch-Site": "same-site"}, "cross_site"),
    ({}, LOOPBACK, {"Host": "localhost", "Sec-Fetch-Site": "none"}, None),
    ({}, STRANGER, {"Host": "localhost", "X-Forwarded-For": LOOPBACK, "Forwarded": f"for={LOOPBACK}"}, "remote"),
    ({"token": "a-secret"}, STRANGER, {"Host": "any.example", **TOKEN}, None),
    ({"token": "a-secret"}, LOOPBACK, {"Host": "localhost"}, "wrong_token"),
    ({"token": "a-secret"}, LOOPBACK, {"Host": "localhost", "X-Reelbench-Token": "a-secre"}, "wrong_token"),
    (
        {"token": "a-secret", "remote": True},
        LOOPBACK,
        {"Host": "localhost", "X-Reelbench-Token": "é"},
        "wrong_token",
    ),
    ({"token": "a-secret"}, LOOPBACK, {"Host": "a.example", "Origin": "http://b.example", **TOKEN}, "cross_site"),
]
PLANS = {
    "service": {"seed": 1, "rules": [{"provider": "store", "kind": "latency", "seconds": 0}]},
    "providers": {"seed": 1, "rules": [{"provider": "tts", "kind": "outage"}]},
}


def application(name: str, folder: Path, *, remote: bool = False, token: str = "") -> FastAPI:
    options = {"faults": True, "faults_remote": remote, "control_token": token}
    if name == "providers":
        return create_providers(ProviderSettings.model_validate(options))
    settings = Settings.model_validate({**options, "admin": True, "admin_remote": remote, "data_dir": folder / "data"})
    app = create_app(settings)
    app.state.service = SimpleNamespace(settings=settings)  # all that the endpoint of settings asks
    return app


@pytest.mark.parametrize("name", ["service", "providers"])
@pytest.mark.parametrize(("options", "caller", "headers", "code"), CASES)
async def test_who_may_put_a_fault_plan(  # noqa: PLR0917 - the columns of the table
    name: str, options: dict[str, Any], caller: str, headers: dict[str, str], code: str | None, tmp_path: Path
) -> None:
    transport = httpx.ASGITransport(application(name, tmp_path, **options), client=(caller, 1))
    sent = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.put("/faults", content=json.dumps(PLANS[name]), headers=sent)
        expected = {"remote": "remote_caller"}.get(code or "", code)
        assert (answer.status_code, answer.json().get("error", {}).get("code")) == (403 if code else 200, expected)
        if name == "service":
            answer = await client.get("/v1/admin/settings", headers=sent)
            expected = {"remote": "loopback_only"}.get(code or "", code)
            assert (answer.status_code, answer.json().get("error", {}).get("code")) == (403 if code else 200, expected)


def test_a_token_is_read_from_its_file_or_refused_with_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(ValueError, match=r"token, .*/token, cannot be read \(No such file or directory\)\."):
        read_token(SecretStr(""), file)
    file.write_text("\n")
    with pytest.raises(ValueError, match=r"is empty; write a token into it\."):
        read_token(SecretStr(""), file)
    file.write_text("a-secret\n")
    assert read_token(SecretStr("other"), file) == "a-secret"
    assert read_token(SecretStr("other"), None) == "other"


async def test_the_load_generator_sends_the_token_and_the_settings_do_not_show_it(start: Any) -> None:
    running = start(admin=True, faults=True, control_token="a-secret")
    async with AdminClient(running.url, token="a-secret") as client:
        assert (await client.state()).live == 0
        found = await client.running("/v1/admin/settings")
    assert found.settings["SERVICE_CONTROL_TOKEN"] == "set"
    assert "a-secret" not in str(found)
    async with AdminClient(running.url) as client:
        with pytest.raises(AdminError, match=r"answered 403 \(This endpoint needs the token"):
            await client.state()
