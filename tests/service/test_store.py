"""The store, with a server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

from reelbench.service.metrics import Metrics
from reelbench.service.store.connection import Connection, StoreError, connect
from reelbench.service.store.store import Store


@pytest.fixture
async def store() -> AsyncIterator[Any]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    store = Store(Connection(connect("", 1.0), Metrics(provider.get_meter("test"))))
    vars(store)["reader"] = reader
    yield store
    await store.close()
    provider.shutdown()


async def test_order_is_by_sequence_and_pages_have_no_gap(store: Any) -> None:
    for name, sequence in (("c", 3), ("a", 1), ("d", 2**53 - 1), ("b", 2)):
        await store.add(name, sequence, name.encode(), b"m")
    assert await store.page(None, 3, descending=False) == ([("a", b"a"), ("b", b"b"), ("c", b"c")], True)
    assert await store.page("c", 3, descending=False) == ([("d", b"d")], False)
    assert await store.page(None, 2, descending=True) == ([("d", b"d"), ("c", b"c")], True)
    assert await store.page("a", 2, descending=True) == ([], False)
    assert await store.page("x", 2, descending=True) is None


async def test_an_update_never_restores_a_deleted_job(store: Any) -> None:
    await store.add("a", 1, b"1", b"m1")
    assert await store.update("a", b"2", b"m2") == "written"
    assert (await store.video("a"), await store.manifest("a")) == (b"2", b"m2")
    assert await store.delete("a")
    assert not await store.delete("a")
    assert await store.update("a", b"3", b"m3") == "deleted"
    assert await store.update("a", b"3", b"m3", terminal=True) == "deleted"
    assert (await store.video("a"), await store.manifest("a")) == (None, None)
    assert await store.page(None, 10, descending=False) == ([], False)


async def test_services_with_in_process_stores_are_isolated(store: Any) -> None:
    other = Store(Connection(connect("", 1.0), store._connection._metrics))
    await store.add("a", 1, b"1", b"m")
    assert await other.video("a") is None
    await other.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OutOfMemoryError("used memory > 'maxmemory'."), "OutOfMemoryError (used memory > 'maxmemory')"),
        (ResponseError("DENIED protected mode.\nsecond line"), "ResponseError (DENIED protected mode)"),
        (RedisConnectionError("Error 111 connecting to secret:6379. Connection refused."), "ConnectionError"),
    ],
)
async def test_a_reply_of_the_store_is_the_reason_of_the_error(
    store: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        await asyncio.sleep(0)
        raise error

    monkeypatch.setattr("redis.asyncio.client.Pipeline.execute", fail)
    with pytest.raises(StoreError) as failed:
        await store.add("a", 1, b"{}", b"{}")
    assert str(failed.value) == f"The job store failed at SET: {reason}."
    with pytest.raises(StoreError) as away:
        await store.add("b", 2, b"{}", b"{}")
    assert (
        str(away.value)
        == f"The job store is away{reason[reason.find(' (') :] if '(' in reason else ''}; try again later."
    )


async def test_a_failure_is_a_store_error_and_is_counted(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_key: Any) -> None:
        await asyncio.sleep(0)
        raise RedisConnectionError("secret host")

    monkeypatch.setattr(store._redis, "mget", fail)
    with pytest.raises(StoreError, match=r"^The job store failed at MGET: ConnectionError\.$"):
        await store.video("a")
    (metric,) = store.reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.data.data_points
    assert dict(point.attributes) == {
        "db.system.name": "redis",
        "db.operation.name": "MGET",
        "error.type": "ConnectionError",
    }
    assert point.count == 1
    with pytest.raises(StoreError, match=r"^The job store is away; try again later\.$"):
        await store.manifest("a")
    assert store.away
    store.returned()
    assert await store.page(None, 1, descending=False) == ([], False)


async def test_a_late_write_does_not_change_an_ended_job(store: Any) -> None:
    await store.add("a", 1, b"queued", b"m1")
    assert await store.update("a", b"running", b"m2") == "written"
    assert await store.update("a", b"completed", b"m3", terminal=True) == "written"
    assert await store.update("a", b"running", b"m2") == "ended"
    assert await store.update("a", b"failed", b"m4", terminal=True) == "ended"
    assert await store.update("a", b"completed", b"m3", terminal=True) == "written"
    assert (await store.video("a"), await store.manifest("a")) == (b"completed", b"m3")
    await store.add("a", 1, b"queued", b"m1")
    assert (await store.video("a"), await store.manifest("a")) == (b"completed", b"m3")
    assert await store.page(None, 10, descending=True) == ([("a", b"completed")], False)
    assert await store.delete("a")
    assert await store.page(None, 10, descending=True) == ([], False)
    assert await store._redis.keys() == []
