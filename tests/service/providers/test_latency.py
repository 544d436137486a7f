from __future__ import annotations

import statistics

import pytest

from reelbench.service.providers.latency import Latency, Lognormal

TENTH = Lognormal(median=0.1, sigma=0.25)


def test_quantiles_equal_the_lognormal_distribution() -> None:
    assert TENTH.quantile(0.5) == pytest.approx(0.1)
    assert TENTH.quantile(0.95) == pytest.approx(0.1 * 2.718281828459045 ** (0.25 * 1.6448536269514722))


def test_delay_depends_on_content_and_not_on_the_order_of_requests() -> None:
    contents = [b"a", b"b", b"c", b"a"]
    forward, backward = Latency("llm", TENTH, 1), Latency("llm", TENTH, 1)
    drawn = sorted((content, forward.next(content)) for content in contents)
    assert drawn == sorted((content, backward.next(content)) for content in reversed(contents))
    assert len({delay for _, delay in drawn}) == 4, "a repeated request gets a delay of its own"


@pytest.mark.parametrize(("provider", "seed"), [("tts", 1), ("llm", 2)])
def test_provider_and_seed_change_the_delay(provider: str, seed: int) -> None:
    assert Latency(provider, TENTH, seed).next(b"a") != Latency("llm", TENTH, 1).next(b"a")


def test_a_delay_is_reproducible() -> None:
    assert Latency("llm", TENTH, 1).next(b"a") == pytest.approx(0.0961, abs=0.03)
    assert Latency("llm", TENTH, 1).next(b"a", scale=2.0) == 2 * Latency("llm", TENTH, 1).next(b"a")


def test_delays_have_the_configured_median_and_spread() -> None:
    latency = Latency("image", TENTH, 7)
    delays = sorted(latency.next(str(number).encode()) for number in range(4000))
    assert statistics.median(delays) == pytest.approx(0.1, rel=0.02)
    assert delays[3799] == pytest.approx(TENTH.quantile(0.95), rel=0.03)


def test_the_number_of_counted_contents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelbench.service.providers.latency._REMEMBERED", 2)
    latency = Latency("llm", TENTH, 1)
    first = latency.next(b"a")
    for content in (b"b", b"c"):
        latency.next(content)
    assert latency.next(b"a") == first, "the oldest content is forgotten, and starts again"
    assert len(latency._ordinals) == 2
