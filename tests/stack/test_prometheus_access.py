"""A Prometheus that demands headers or a password: what is sent, and what is said when it is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.clock_sources import compared, prometheus_clocks
from reelbench.loadgen.record.prometheus_access import (
    HEADERS_VARIABLE,
    PrometheusHeadersError,
    access_errors,
    prometheus_headers,
    refusal,
)
from reelbench.reporting.evidence.prometheus import QueryError, connect
from reelbench.stack import http
from reelbench.stack.errors import StackError
from reelbench.stack.parts import prometheus_version
from tests.demanding_proxy import DemandingProxy, demanding
from tests.stack.test_external import PROMETHEUS

TOKEN = "t0ken-Geheim-4711"
HEADERS = f"X-Scope-OrgID=team-a, Authorization=Bearer%20{TOKEN}"
DEMANDED = {"X-Scope-OrgID": "team-a", "Authorization": f"Bearer {TOKEN}"}
TIME = b'{"status":"success","data":{"resultType":"scalar","result":[100.0,"100.0"]}}'


@pytest.fixture
def proxy(serve: Callable[..., str]) -> Iterator[DemandingProxy]:
    with demanding(serve(PROMETHEUS), DEMANDED, path="/prometheus") as running:
        yield running


def test_the_variable_has_the_form_of_the_otlp_headers() -> None:
    assert prometheus_headers({HEADERS_VARIABLE: HEADERS}) == DEMANDED
    assert prometheus_headers({HEADERS_VARIABLE: "A=b=c%2Cd,"}) == {"A": "b=c,d"}
    assert prometheus_headers({}) == {}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (TOKEN, "entry 1 is not Name=value"),
        (f"A=b,Authorization: Bearer {TOKEN}", "entry 2 is not Name=value"),
        (f"Authorization=Bearer {TOKEN}%0d%0aX: y", "the value of Authorization is empty, or has a character"),
        ("X-Scope-OrgID=", "the value of X-Scope-OrgID is empty"),
        (f"X-Key={TOKEN},x-key={TOKEN}", "x-key is given more than once"),
        (f"Host={TOKEN}", "Host is written by the client"),
    ],
)
def test_a_wrong_variable_is_one_sentence_without_its_value(value: str, said: str) -> None:
    with pytest.raises(PrometheusHeadersError) as error:
        prometheus_headers({HEADERS_VARIABLE: value})
    assert str(error.value).startswith(f"{HEADERS_VARIABLE}: {said}")
    assert TOKEN not in str(error.value)
    assert access_errors({}, {HEADERS_VARIABLE: value}) == [str(error.value)]


def test_a_password_and_a_token_exclude_each_other() -> None:
    urls = {"PROMETHEUS_URL": f"http://me:{TOKEN}@h:9090", "--prometheus": "http://h:9090"}
    (said,) = access_errors(urls, {HEADERS_VARIABLE: HEADERS})
    assert said == f"PROMETHEUS_URL: has a password and {HEADERS_VARIABLE} has Authorization; give one of them"
    assert access_errors(urls, {HEADERS_VARIABLE: "X-Scope-OrgID=team-a"}) == []


def test_every_query_of_the_stack_has_the_headers(proxy: DemandingProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StackError) as refused:
        prometheus_version(proxy.url)
    assert str(refused.value).startswith(f"Prometheus at {proxy.url} refused the access (HTTP 401); set its tenant")
    monkeypatch.setenv(HEADERS_VARIABLE, HEADERS)
    assert prometheus_version(proxy.url) == "3.14.0"
    assert (proxy.passed, proxy.refused) == (1, 1)


def test_the_queries_of_reports_have_the_headers(serve: Callable[..., str]) -> None:
    with demanding(serve({}), DEMANDED) as proxy:
        client = connect(proxy.url, environment={})
        with pytest.raises(QueryError, match=r"refused the access \(HTTP 401\)"):
            client.vector("up", 1.0)
        client.close()
        client = connect(proxy.url, environment={HEADERS_VARIABLE: HEADERS})
        with pytest.raises(
            QueryError, match="answered HTTP 501 and no instant vector"
        ):  # past the proxy: no POST there
            client.vector("up", 1.0)
        client.close()
        assert (proxy.passed, proxy.refused) == (1, 1)


async def test_the_clock_of_a_prometheus_is_asked_with_the_headers(serve: Callable[..., str]) -> None:
    clock = Clock(wall=100.0, anchor=0.0, tick=lambda: 0.0)
    with demanding(serve({"/api/v1/query": (200, TIME)}), DEMANDED) as proxy:
        variables = {"REELBENCH_SECRET_PROMETHEUS": proxy.url}
        (without,) = prometheus_clocks(variables)
        assert await compared(without, clock, "s", "before") is None
        (source,) = prometheus_clocks(variables | {HEADERS_VARIABLE: HEADERS})
        found = await compared(source, clock, "s", "before")
    assert found is not None
    assert found.offset == 0.0


async def test_a_password_of_the_address_is_used_and_not_shown(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HEADERS_VARIABLE, raising=False)
    basic = base64.b64encode(b"me:p@ss-Geheim").decode()
    with demanding(serve(PROMETHEUS), {"Authorization": f"Basic {basic}"}) as proxy:
        url = proxy.url.replace("://", "://me:p%40ss-Geheim@")
        assert http.query(url, "up", timeout=5) == [{"metric": {}, "value": [1, "9"]}]
        with pytest.raises(StackError) as wrong:
            http.query(url.replace("Geheim", "Falsch"), "up", timeout=5)
        assert str(wrong.value).startswith(f"Prometheus at {proxy.url} refused the access (HTTP 401)")
        client = connect(proxy.url, environment={"PROMETHEUS_URL": url})
        with pytest.raises(QueryError) as refused:
            client.vector("up", 1.0)
        client.close()
        assert str(refused.value).startswith(f"{proxy.url} answered HTTP 501 ")
        assert (proxy.passed, proxy.refused) == (2, 1)


def test_no_header_follows_a_redirect(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HEADERS_VARIABLE, HEADERS)
    said = r"refers to another address \(HTTP 307\), to which no header is sent"
    with demanding(serve(PROMETHEUS), {}) as other, demanding("", {}, moved=other.url) as first:
        with pytest.raises(StackError, match=said):
            http.query(first.url, "up", timeout=5)
        client = connect(first.url)
        with pytest.raises(QueryError, match=said):
            client.vector("up", 1.0)
        client.close()
        assert (first.passed, other.passed) == (2, 0)
    assert refusal("http://h", 200) is None
    assert refusal("http://h", 503) is None
