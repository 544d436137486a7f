from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from reelbench.reporting.catalogue.prices import PRICES_FILE, PricesError, load_prices


def changed(folder: Path, *changes: tuple[str, str]) -> Path:
    text = PRICES_FILE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "prices.yaml"
    path.write_text(text)
    return path


def test_the_shipped_list_has_the_prices_of_opencost() -> None:
    prices = load_prices()
    assert (prices.currency, prices.price("cpu"), prices.price("memory"), prices.price("egress")) == (
        "USD", 0.031611, 0.004237, 0.12,
    )  # fmt: skip
    assert prices.prices["tts"].unit == "1M characters"
    assert (prices.assumed("load"), prices.assumptions["load"].date) == (100_000, date(2026, 11, 24))


def test_the_price_of_a_gpu_hour_has_no_default_and_can_be_added(tmp_path: Path) -> None:
    assert load_prices().optional("gpu") is None
    gpu = "  gpu:\n    value: 2.5\n    unit: GPU-hour\n    source: mine\n    date: 2026-11-28\n"
    assert load_prices(changed(tmp_path, ("assumptions:\n", f"{gpu}assumptions:\n"))).optional("gpu") == 2.5
    wrong = changed(tmp_path, ("assumptions:\n", f"{gpu.replace('GPU-hour', 'hour')}assumptions:\n"))
    with pytest.raises(PricesError, match="prices: gpu: unit is 'hour'; write 'GPU-hour'"):
        load_prices(wrong)


def test_a_price_of_zero_is_valid(tmp_path: Path) -> None:
    assert load_prices(changed(tmp_path, ("value: 0.011", "value: 0"))).price("image") == 0


def test_every_error_of_a_list_is_named_at_once(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        ("version: 1", "version: 2"),
        ("currency: USD", "currency: ''\nregion: us"),
        ("value: 0.031611", "value: -1"),
        ("unit: GiB-hour", "unit: GB-hour"),
        ("  egress:\n    value: 0.12\n", "  outgoing:\n    value: 0.12\n"),
        ("value: 15.0", "value: much"),
        ("  image:\n    value: 0.011\n", "  image:\n    price: 0.011\n"),
        ("date: 2024-07-18", "date: July"),
    )
    with pytest.raises(PricesError) as caught:
        load_prices(path)
    assert [error.removeprefix(f"{path}: ") for error in caught.value.errors] == [
        "version is 2, this Reelbench reads version 1",
        "unknown key 'region'; did you mean 'version'?",
        "currency is ''; write text that is not empty",
        "prices: unknown key 'outgoing'; remove it",
        "prices: the key 'egress' is missing; add it",
        "prices: cpu: value is -1; write a number of 0 or more",
        "prices: llm_input: date is 'July'; write a day such as 2026-11-24",
        "prices: tts: value is 'much'; write a number of 0 or more",
        "prices: image: unknown key 'price'; remove it",
        "prices: image: the key 'value' is missing; add it",
        "prices: memory: unit is 'GB-hour'; write 'GiB-hour'",
    ]


def test_a_damaged_list_is_one_sentence_each(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    for text, sentence in (
        ("a: [\n", "prices.yaml: line 2: not valid YAML: "),
        ("a: 2026-99-99\n", "prices.yaml: line 1: not valid YAML: month must be in 1..12; correct it"),
        (f"version: 1\na: {'9' * 5000}\n", "prices.yaml: line 2: not valid YAML: Exceeds the limit (4300 digits)"),
        (f"version: 1\na: {'9' * 400}\n", "prices.yaml: line 2: not valid YAML: the number is too large; correct it"),
        ("a: \x00\n", "not valid YAML: unacceptable character #x0000: control characters are not allowed; correct it"),
        ("- 1\n", "is not a mapping of keys to values; begin with 'version: ...'"),
        ("version: 1\ncurrency: USD\nprices: 3\n", "prices is 3; write keys with values"),
        ("version: 1\ncurrency: USD\nprices: {}\nassumptions: {load: 3}\n", "load is 3; write keys with values"),
    ):
        path.write_text(text)
        with pytest.raises(PricesError, match=r"prices\.yaml") as caught:
            load_prices(path)
        assert sentence in str(caught.value)
        assert "\n" not in caught.value.errors[0]
        assert "string>" not in str(caught.value)


def test_a_duplicate_key_is_rejected_with_its_lines(tmp_path: Path) -> None:
    path = changed(tmp_path, ("currency: USD\n", "currency: USD\ncurrency: EUR\n"))
    first = path.read_text().splitlines().index("currency: USD") + 1
    with pytest.raises(PricesError) as caught:
        load_prices(path)
    assert caught.value.errors == [f"{path}: currency: given twice (lines {first} and {first + 1}); keep one"]


def test_a_missing_price_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match=r"none\.yaml: cannot be read \(No such file or directory\)"):
        load_prices(tmp_path / "none.yaml")
