from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.option_line import Options
from reelbench.loadgen.options import OptionsError, check_options
from reelbench.loadgen.record.address import shown_url, with_password
from reelbench.loadgen.target.access import AccessError, parse_headers, refusal, resolve, root_url
from reelbench.loadgen.target.target_file import Access

URL = "http://video.example:8000"
KEY = "sk-Str0ng.K3y"


def resolved(url: str = URL, environment: dict[str, str] | None = None, **access: object) -> Credentials:
    return resolve(url, Access.model_validate(access), environment or {})[1]


def errors(url: str = URL, environment: dict[str, str] | None = None, **access: object) -> tuple[str, ...]:
    with pytest.raises(AccessError) as caught:
        resolved(url, environment, **access)
    return caught.value.errors


def test_a_key_comes_from_the_named_variable_or_else_from_the_usual_one() -> None:
    environment = {"OPENAI_API_KEY": "usual", "MINE": KEY}
    assert resolved(environment=environment).headers == {"Authorization": "Bearer usual"}
    assert resolved(environment=environment, api_key_env="MINE").headers == {"Authorization": f"Bearer {KEY}"}
    assert resolved(environment={"OPENAI_API_KEY": ""}).headers == {}
    assert errors(environment={}, api_key_env="MINE") == (
        "--api-key-env: the environment variable MINE is not set; set it",
    )


def test_a_password_of_the_url_is_sent_as_basic_and_leaves_the_url() -> None:
    bare, credentials = resolve("http://me:p%40ss%3A1@video.example/api", Access(), {"OPENAI_API_KEY": KEY})
    assert bare == "http://video.example/api"
    words = base64.b64decode(credentials.headers["Authorization"].removeprefix("Basic "))
    assert words == b"me:p@ss:1"
    assert credentials.full(bare) == "http://me:p%40ss%3A1@video.example/api"
    (both,) = errors("http://me:pw12@h", {"MINE": KEY}, api_key_env="MINE")
    assert "give one" in both
    (header,) = errors("http://me:pw12@h", {"MINE": KEY}, headers={"Authorization": "Basic ${MINE}"})
    assert "a password in --target" in header


def test_headers_of_secrets_come_from_the_environment() -> None:
    secret = {"X-Api-Key": "${MINE}", "X-Org": "acme", "Cookie": "session=${MINE}"}
    credentials = resolved(environment={"MINE": KEY}, headers=secret)
    assert dict(credentials.headers) == {"X-Api-Key": KEY, "X-Org": "acme", "Cookie": f"session={KEY}"}
    for name in ("Authorization", "Cookie", "X-Api-Key", "X-Auth-Token", "Client-Secret"):
        (line,) = errors(headers={name: "literal-value"})
        assert f"'{name}: ${{NAME}}'" in line
        assert "literal-value" not in line
    for value in ("a\r\nX: y", "a\x00b", "ü", ""):
        assert len(errors(headers={"X-Org": value})) == 1
    (line,) = errors(environment={"MINE": f"{KEY}\n"}, headers={"X-Api-Key": "${MINE}"})
    assert "MINE has a line break" in line
    assert KEY not in line
    assert len(errors(headers={"Bad Name": "x", "Content-Length": "1", "X-Key": "${NO}"})) == 3


def test_headers_of_the_command_line() -> None:
    assert parse_headers(["X-Org: acme: two", "X-Key:${K}"]) == {"X-Org": "acme: two", "X-Key": "${K}"}
    with pytest.raises(AccessError) as caught:
        parse_headers(["no colon", "X: 1", "x: 2"])
    assert [line.split(";")[1].strip() for line in caught.value.errors] == [
        "write it like 'X-Org: ${ORG}'",
        "give it once",
    ]


def test_the_base_url_may_name_variables() -> None:
    environment = {"HOST": "video.example", "PASSWORD": "pw%40"}
    options = Options(target="http://me:${PASSWORD}@${HOST}:1/v1", header=("X-Org: acme",), insecure=True)
    settings = check_options(Path("absent"), "r", options, environment=environment)
    assert settings.target == "http://video.example:1"
    assert settings.credentials.user == "me:pw%40"
    assert settings.credentials.headers["X-Org"] == "acme"
    assert settings.credentials.insecure
    for target, line in (
        ("http://${ABSENT}", "--target: the environment variable ABSENT is not set; set it"),
        ("me:pw@h", "--target: 'h' is not a base URL; write it like http://127.0.0.1:8000"),
        ("http://me:pw@h?a", "--target: 'http://h?a' is not a base URL; write it like http://127.0.0.1:8000"),
        ("http://h/me:12@h", "--target: 'http://h' is not a base URL; write it like http://127.0.0.1:8000"),
    ):
        with pytest.raises(OptionsError) as caught:
            check_options(Path("absent"), "r", Options(target=target), environment=environment)
        assert caught.value.errors == (line,)


def test_the_command_line_replaces_what_the_target_file_says(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ntitle: Mine\nbase_url: http://file.example\n"
        "access: {api_key_env: FILE_KEY, headers: {X-Org: file, X-Team: file}}\n"
    )
    options = Options(target_file=tmp_path / "mine.yaml", header=("x-org: line",))
    environment = {"FILE_KEY": "f", "LINE_KEY": "l"}
    settings = check_options(tmp_path / "run", "r", options, environment=environment)
    assert settings.target == "http://file.example"
    assert settings.credentials.headers == {"X-Team": "file", "x-org": "line", "Authorization": "Bearer f"}
    both = replace(options, api_key_env="LINE_KEY", target="http://line.example")
    settings = check_options(tmp_path / "run", "r", both, environment=environment)
    assert (settings.target, settings.credentials.headers["Authorization"]) == ("http://line.example", "Bearer l")


def test_no_representation_has_a_secret() -> None:
    environment = {"MINE": KEY, "HTTPS_PROXY": "http://me:pr0xypw@proxy.example:3128"}
    credentials = resolved("https://me:urlpw@h", environment, headers={"X-Api-Key": "${MINE}"})
    for shown in (repr(credentials), str(credentials), f"{credentials}"):
        assert not any(secret in shown for secret in (KEY, "urlpw", "pr0xypw", "bWU6"))
    said = f"bad {KEY}, me:urlpw, pr0xypw and {credentials.headers['Authorization']}"
    assert credentials.clean(said) == "bad ***, ***, *** and ***"


@pytest.mark.parametrize(
    ("origin", "url", "goes"),
    [
        ("http://h:80/api", "http://h/else", True),
        ("http://h", "https://h/else", True),
        ("http://h:8000", "https://h:8443", True),
        ("https://h", "http://h", False),
        ("https://h", "https://h:444", False),
        ("http://h:1", "http://h:2", False),
        ("http://h", "http://h.evil", False),
        ("http://h", "http://h@evil/", False),
        ("http://h", "//", False),
        ("", "http://h", False),
    ],
)
def test_secrets_go_to_the_same_server_only(origin: str, url: str, *, goes: bool) -> None:
    credentials = Credentials(
        origin=origin,
        headers={"Authorization": "x"},
        user="u:p",
        ca_file=Path("a"),
        client_cert=Path("c"),
        client_key=Path("k"),
    )
    allowed = credentials.on(url)
    assert bool(allowed.headers and allowed.user and allowed.client_cert and allowed.client_key) is goes
    assert allowed.ca_file == Path("a")


def test_proxies_are_those_of_the_environment_and_never_for_loopback() -> None:
    environment = {
        "HTTP_PROXY": "upper.example:1",
        "http_proxy": "me:pw12@lower.example:1",
        "HTTPS_PROXY": "http://tls.example:2",
        "NO_PROXY": "inner.example, .corp, 10.0.0.0/8,exact.example:81",
    }
    credentials = resolved(environment=environment)
    assert credentials.proxy("http://video.example") == "http://me:pw12@lower.example:1"
    assert credentials.proxy("https://video.example/x") == "http://tls.example:2"
    assert resolved(environment={"all_proxy": "a.example:1"}).proxy("https://h") == "http://a.example:1"
    for host in ("inner.example", "a.inner.example", "h.corp", "10.1.2.3", "exact.example:81"):
        assert credentials.proxy(f"http://{host}") is None, host
    for host in ("127.0.0.1:8000", "localhost", "[::1]:1", "127.8.8.8"):
        assert credentials.proxy(f"http://{host}") is None, host
    assert credentials.proxy("http://exact.example:82") is not None
    (line,) = errors(environment={"HTTP_PROXY": "socks5://me:pw12@s.example:1"})
    assert "socks5://s.example:1 is no http proxy" in line


def test_files_of_certificates_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "text.pem").write_text("no certificate")
    assert "cannot be read" in errors(ca_file=str(tmp_path / "absent.pem"))[0]
    assert "has no certificate in PEM form" in errors(ca_file=str(tmp_path / "text.pem"))[0]
    assert "are no certificate and key" in errors(client_cert=str(tmp_path / "empty.pem"))[0]
    assert "give both" in errors(client_key=str(tmp_path / "text.pem"))[0]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:1/p", "http://h:1/p"),
        ("http://me:pw@h:1/p?q=@", "http://h:1/p?q=@"),
        ("http://me:p@w@h", "http://h"),
        ("redis://:pw@store:6379/0", "redis://store:6379/0"),
        ("https://h/@me/video", "https://h/@me/video"),
        ("http://me:p/w@h", "http://h"),
        ("http://me:p#w@h", "http://h"),
        ("me:pw@h", "h"),
        ("http://me:pw@", "http://"),
        ("", ""),
    ],
)
def test_the_shown_form_has_no_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_the_password_of_a_recorded_address_comes_from_the_environment() -> None:
    environment = {"TEMPO_URL": "http://me:pw@tempo:3200/", "PROMETHEUS_URL": "http://prometheus:9090"}
    assert with_password("http://tempo:3200", environment) == "http://me:pw@tempo:3200"
    for url in ("http://prometheus:9090", "http://other:3200"):
        assert with_password(url, environment) == url


def test_the_last_part_of_the_base_url_is_not_doubled() -> None:
    for url, path, root in (
        ("http://h/v1", "/v1/videos", "http://h"),
        ("http://h/api/v1/", "/v1/videos", "http://h/api"),
        ("http://h/api", "/v1/videos", "http://h/api"),
        ("http://h/videos", "/videos", "http://h/videos"),
    ):
        assert root_url(url, path) == root


def test_refusals_say_what_to_set() -> None:
    key = Credentials(headers={"Authorization": f"Bearer {KEY}"})
    for status in (401, 403):
        none = refusal(URL, status, f"HTTP {status}: who are you", Credentials())
        assert none is not None
        assert "none was sent; set OPENAI_API_KEY" in none
        refused = refusal(URL, status, f"HTTP {status}: {KEY} is wrong", key)
        assert refused is not None
        assert "refused the key that was sent (HTTP" in refused
        assert KEY not in refused
    assert "proxy" in str(refusal(URL, 407, "HTTP 407", key))
    assert refusal(URL, 404, "HTTP 404", key) is None
