"""Reading of answers in the shapes that servers have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelbench.loadgen.record.foreign_text import one_line
from reelbench.loadgen.record.jobs import ServerTimes
from reelbench.loadgen.target.answer import seconds_of
from reelbench.loadgen.target.error_text import error_code, error_text
from reelbench.loadgen.target.reading import Reader, UnreadableError
from reelbench.loadgen.target.server_times import timing_header
from reelbench.loadgen.target.states import Words
from reelbench.loadgen.target.target_file import States

READER = Reader(Words(States(completed=("rendered",), failed=("oom",))), str)
PLAIN = {"id": "v", "object": "video", "status": "completed", "created_at": 5, "completed_at": 9}


def video(body: Any, asked: str = "", *, needs_id: bool = True) -> Any:
    return READER.video(json.dumps(body).encode(), asked, needs_id=needs_id)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("queued", "running"), ("IN_PROGRESS", "running"), ("generating", "running"), ("NOT_START", "running"),
        ("cancelling", "running"), ("warming_up", "running"), ("", "running"), (None, "running"), (True, "running"),
        ("completed", "completed"), ("SUCCESS", "completed"), ("Succeeded", "completed"), ("done", "completed"),
        ("Rendered", "completed"), ("ready", "completed"), ("failed", "failed"), ("FAILURE", "failed"),
        ("error", "failed"), ("timed-out", "failed"), ("OOM", "failed"), ("canceled", "cancelled"),
        ("cancelled", "cancelled"), ("expired", "expired"), ("Deleted", "deleted"),
    ],
)  # fmt: skip
def test_the_words_of_servers_have_a_meaning(word: Any, state: str) -> None:
    found = video({"id": "v", "status": word})
    assert (found.state, found.terminal) == (state, state != "running")
    assert found.word == (word if isinstance(word, str) and word else None)


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        PLAIN | {"unknown": [1]},
        {"video_id": "v", "status": "success"},
        {"task_id": "v", "state": "done"},
        {"job_id": "v", "status": "ready"},
        {"generation_id": "v", "task_status": "finished"},
        {"code": "success", "message": "", "data": {"task_id": "v", "status": "SUCCESS"}},
        {"code": 0, "status": "success", "data": {"id": "v", "status": "completed"}},
        {"data": [{"id": "v", "status": "completed"}]},
        {"response": {"video": {"id": "v", "status": "completed"}}},
    ],
)
def test_the_video_is_found_where_it_is(body: Any) -> None:
    found = video(body)
    assert (found.id, found.state) == ("v", "completed")


def test_the_word_of_an_envelope_is_not_that_of_the_job() -> None:
    assert video({"status": "success", "data": {"id": "v", "status": "processing"}}).state == "running"
    assert video({"status": "success", "data": {"task_id": "v"}}).state == "running"


def test_ids_may_be_numbers_and_those_that_are_asked_for_may_be_missing() -> None:
    assert video({"id": 7, "status": "queued"}).id == "7"
    assert video({"status": "queued"}, "asked").id == "asked"
    with pytest.raises(UnreadableError, match="no id of a video: queue is full"):
        video({"status": "queued", "message": "queue is full"})
    with pytest.raises(UnreadableError, match="the answer has no video: no such model"):
        video({"code": 1, "message": "no such model", "data": None})
    assert video({"data": [{"url": "http://h/f"}]}, needs_id=False).state == "completed"


@pytest.mark.parametrize("body", [b"", b"[", b"[" * 100_000, b'{"id": "\xff"}', b"null", b"[]", b"7", b'"x"', b"{}"])
def test_what_is_no_video_is_one_line(body: bytes) -> None:
    with pytest.raises(UnreadableError) as caught:
        READER.video(body)
    assert one_line(str(caught.value)).isprintable()


@pytest.mark.parametrize(
    ("given", "links", "inline"),
    [
        ({"url": "https://c/f"}, ("https://c/f",), None),
        ({"video_url": "/files/f"}, ("/files/f",), None),
        ({"unsigned_urls": ["http://a/1", "http://a/2"]}, ("http://a/1", "http://a/2"), None),
        ({"data": [{"url": "http://a/1"}]}, ("http://a/1",), None),
        ({"output": "http://a/1"}, ("http://a/1",), None),
        ({"output": ["http://a/1"]}, ("http://a/1",), None),
        ({"video": {"url": "http://a/1"}}, ("http://a/1",), None),
        ({"metadata": {"url": "http://a/1"}}, ("http://a/1",), None),
        ({"data": [{"b64_json": "AAAA"}]}, (), "AAAA"),
        ({"url": "data:video/mp4;base64,AAAA"}, (), "AAAA"),
        ({"url": "file:///etc/passwd"}, (), None),
        ({"url": "javascript:alert(1)"}, (), None),
        ({"url": None, "input_reference": "http://a/1"}, (), None),
    ],
)
def test_the_file_is_found_where_it_is(given: Any, links: tuple[str, ...], inline: str | None) -> None:
    found = video({"id": "v", "status": "completed"} | given)
    assert (found.links, found.inline) == (links, inline)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "m", "code": 500}}, "m"),
        ({"error": "m"}, "m"),
        ({"detail": "m"}, "m"),
        ({"detail": [{"loc": ["body", "size"], "msg": "bad", "type": "x"}]}, "body.size: bad"),
        ({"object": "error", "message": "m", "type": "t"}, "m"),
        ({"code": "x", "message": "m", "data": None}, "m"),
        ({"fail_reason": "m"}, "m"),
        ({"error": None, "data": {"fail_reason": "m"}}, "m"),
        ({"error": {"error": {"message": "m"}}}, "m"),
        ({"errors": ["m", "n"]}, "m; n"),
        ({"message": "a\nb\x1b[2J\u202e"}, "a b [2J"),
        ({"x": 1}, None),
        ([[[[[[[["m"]]]]]]]], None),
    ],
)
def test_the_reason_is_found_where_it_is(body: Any, text: str | None) -> None:
    assert error_text(body) == text


def test_codes_of_any_type_are_text() -> None:
    assert error_code({"error": {"code": 404}}) == "404"
    assert error_code({"error": {"code": None, "type": "invalid"}}) == "invalid"
    assert error_code({"code": "x"}) == "x"
    assert error_code({"error": "text"}) is None


def test_dates_and_the_work_of_the_server_are_read() -> None:
    body = {"id": "v", "status": "completed", "inference_time_s": 12.5, "peak_memory_mb": 2}
    dates = {"created": "2026-11-28T09:00:00Z", "started_at": 1795856401000, "completed_at": "1795856414"}
    more = {"metrics": {"denoise_ms": 1500, "tokens": 9}, "stage_durations": {"vae": 0.5}}
    more["usage"] = {"duration_seconds": 4.0}
    assert video(body | dates | more).times == ServerTimes(
        created=1795856400.0,
        started=1795856401.0,
        completed=1795856414.0,
        inference=12.5,
        peak_memory=2 * 1024 * 1024,
        stages={"vae": 0.5, "denoise": 1.5},
    )
    assert video(PLAIN).times == ServerTimes(created=5, completed=9)
    hostile = {"created_at": 0, "completed_at": "soon", "inference_time_s": -1, "peak_memory_mb": True}
    assert video({"id": "v", "status": "completed"} | hostile).times is None


def test_the_header_of_stages_is_in_milliseconds() -> None:
    header = 'pre_denoise;dur=12.5, denoise;desc="a";dur=1000, cache, x;dur=1.2.3, <b>;dur=1'
    assert timing_header(header) == {"pre_denoise": 0.0125, "denoise": 1.0}
    assert timing_header(None) == {}
    assert len(timing_header(",".join(f"s{n};dur=1" for n in range(999)))) == 32


def test_a_page_is_read_with_and_without_has_more() -> None:
    rows = [{"id": "a", "status": "queued"}, {"id": "b", "status": "SUCCESS"}, {"odd": 1}]
    pages: list[tuple[Any, bool | None]] = [
        ({"object": "list", "data": rows, "has_more": True}, True),
        ({"data": rows}, None),
        (rows, None),
        ({"videos": rows}, None),
        ({"code": 0, "data": {"items": rows, "has_more": False}}, False),
    ]
    for body, more in pages:
        found = READER.page(json.dumps(body).encode())
        assert ([one.id for one in found.data], found.has_more) == (["a", "b"], more)
    assert READER.page(b'{"data": []}').data == []
    for text in (b'{"data": null}', b'{"detail": "Not Found"}', b'[{"odd": 1}]'):
        with pytest.raises(UnreadableError):
            READER.page(text)


@pytest.mark.parametrize(
    ("body", "deleted", "cancelled", "pending"),
    [
        (b"", True, None, False),
        (b'{"id": "v", "deleted": true, "cancelled": false}', True, False, False),
        (b'{"deleted": true}', True, None, False),
        (b'{"deleted": false}', False, None, False),
        (b'{"id": "v", "status": "deleted"}', True, None, False),
        (b'{"id": "v", "status": "cancelling"}', True, True, True),
        (b'{"success": false, "message": "no"}', False, None, False),
    ],
)
def test_a_deletion_is_confirmed_in_many_ways(body: bytes, *, deleted: bool, cancelled: Any, pending: bool) -> None:
    found = READER.deletion(body, "v")
    assert (found.id, found.deleted, found.cancelled, found.pending) == ("v", deleted, cancelled, pending)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("soon", None), ("nan", None), ("inf", None), ("", None), (None, None)],
)
def test_the_time_to_wait_is_a_number(text: str | None, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_the_time_to_wait_may_be_a_date() -> None:
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    later = seconds_of("Wed, 21 Oct 2099 07:28:00 GMT")
    assert later is not None
    assert later > 1e9


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(
        st.sampled_from(["id", "status", "data", "error", "url", "message", "video", "created_at", "usage", "x"]),
        inside,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(ANY)
def test_no_json_breaks_the_reader(body: Any) -> None:
    data = json.dumps(body).encode()
    for read in (READER.video, READER.page, READER.files):
        try:
            read(data)
        except UnreadableError as error:
            assert len(one_line(str(error))) <= 200  # noqa: PT017 - both ends are right
    text = error_text(body)
    assert text is None or (text.isprintable() and len(text) <= 200)


@pytest.mark.parametrize(
    ("body", "asked", "accepted"),
    [
        (b'{"id":"a","object":"video","status":"queued","created_at":1}', "a", True),
        (b'{"id":"b","object":"video","status":"queued","created_at":1}', "a", False),
        (b'{"task_id":"b","status":"completed"}', "a", False),
        (b'{"id":"request-7","task_id":"a","status":"completed"}', "a", True),
        (b'{"id":"operations/a","status":"completed"}', "a", True),
        (b'{"id":"a","status":"completed"}', "operations/a", True),
        (b'{"id":"xa","status":"completed"}', "a", False),
        (b'{"status":"completed"}', "a", True),
        (b'{"id":7,"status":"completed"}', "7", True),
        (b'{"id":"\\u001b[31m\\u202eb","status":"completed"}', "a", False),
    ],
)
def test_an_answer_about_another_video_is_refused(body: bytes, asked: str, accepted: bool) -> None:  # noqa: FBT001
    if accepted:
        READER.video(body, asked)
        return
    with pytest.raises(UnreadableError) as found:
        READER.video(body, asked)
    assert str(found.value).isprintable()
