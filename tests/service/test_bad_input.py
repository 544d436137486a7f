"""Each row: a request that is wrong, and the status, code and param of its answer."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))

UNKNOWN = "video_" + "0" * 32
JSON = {"content-type": "application/json"}


def check(answer: Any, status: int, code: str, param: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    kind = {429: "rate_limit_error"}.get(status, "invalid_request_error" if status < 500 else "server_error")
    assert (error["code"], error["param"], error["type"]) == (code, param, kind)
    assert error["message"]
    assert "Traceback" not in answer.text


def test_path_method_or_query(shared: Any, subtests: pytest.Subtests) -> None:
    for method, path, status, code, param in [
        ("GET", "/", 404, "unknown_url", None),
        ("GET", "/v1/nothing", 404, "unknown_url", None),
        ("GET", "/v1/videos/", 404, "unknown_url", None),
        ("GET", "/docs", 404, "unknown_url", None),
        ("GET", "/v1/videos/../../etc/passwd", 404, "unknown_url", None),
        ("GET", "/v1/videos/..%2f..%2fetc%2fpasswd", 404, "unknown_url", None),
        ("GET", "/v1/videos/..%5c..%5cetc", 404, "video_not_found", "video_id"),
        ("GET", "/v1/videos/%2e%2e/content", 404, "video_not_found", "video_id"),
        ("GET", "/v1/videos/%00", 404, "video_not_found", "video_id"),
        ("GET", "/v1/videos/%ff%fe", 404, "video_not_found", "video_id"),
        ("GET", f"/v1/videos/{UNKNOWN}", 404, "video_not_found", "video_id"),
        ("GET", f"/v1/videos/{UNKNOWN.upper()}", 404, "video_not_found", "video_id"),
        ("GET", f"/v1/videos/{UNKNOWN}/wait", 404, "video_not_found", "video_id"),
        ("GET", f"/v1/videos/{UNKNOWN}/content", 404, "video_not_found", "video_id"),
        ("GET", f"/v1/videos/{UNKNOWN}/manifest", 404, "video_not_found", "video_id"),
        ("DELETE", f"/v1/videos/{UNKNOWN}", 404, "video_not_found", "video_id"),
        ("DELETE", "/v1/videos/x", 404, "video_not_found", "video_id"),
        ("GET", f"/v1/videos/{UNKNOWN}/wait?timeout=31", 400, "invalid_value", "timeout"),
        ("GET", f"/v1/videos/{UNKNOWN}/wait?timeout=-1", 400, "invalid_value", "timeout"),
        ("GET", f"/v1/videos/{UNKNOWN}/wait?timeout=nan", 400, "invalid_value", "timeout"),
        ("GET", f"/v1/videos/{UNKNOWN}/wait?timeout=abc", 400, "invalid_value", "timeout"),
        ("GET", f"/v1/videos/{UNKNOWN}/content?variant=poster", 400, "invalid_value", "variant"),
        ("GET", "/v1/videos?limit=0", 400, "invalid_value", "limit"),
        ("GET", "/v1/videos?limit=101", 400, "invalid_value", "limit"),
        ("GET", "/v1/videos?limit=abc", 400, "invalid_value", "limit"),
        ("GET", "/v1/videos?limit=1e1", 400, "invalid_value", "limit"),
        ("GET", "/v1/videos?order=up", 400, "invalid_value", "order"),
        ("GET", f"/v1/videos?after={UNKNOWN}", 400, "invalid_cursor", "after"),
        ("GET", "/v1/videos?after=%00", 400, "invalid_cursor", "after"),
        ("PUT", "/v1/videos", 405, "method_not_allowed", None),
        ("PATCH", f"/v1/videos/{UNKNOWN}", 405, "method_not_allowed", None),
        ("OPTIONS", "/v1/videos", 405, "method_not_allowed", None),
        ("POST", "/health", 405, "method_not_allowed", None),
        ("QUERY", "/v1/videos", 405, "method_not_allowed", None),
    ]:
        with subtests.test(method=method, path=path):
            check(HTTP.request(method, shared.url + path), status, code, param)


def test_head_has_status_and_headers_of_the_envelope_only(shared: Any) -> None:
    for path, status in (("/v1/videos/unknown", 404), ("/v1/videos/video_1/remix", 405)):
        answer = HTTP.head(f"{shared.url}{path}")
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (status, "application/json", b"")


def test_json_field(shared: Any, subtests: pytest.Subtests) -> None:
    for fields, code, param in [
        ({}, "missing_required_parameter", "prompt"),
        ({"prompt": ""}, "invalid_value", "prompt"),
        ({"prompt": "x" * 32_001}, "invalid_value", "prompt"),
        ({"prompt": None}, "invalid_value", "prompt"),
        ({"prompt": 5}, "invalid_value", "prompt"),
        ({"prompt": ["x"]}, "invalid_value", "prompt"),
        ({"prompt": {"a": 1}}, "invalid_value", "prompt"),
        ({"prompt": "x", "model": ""}, "invalid_value", "model"),
        ({"prompt": "x", "model": "m" * 101}, "invalid_value", "model"),
        ({"prompt": "x", "seconds": "5"}, "invalid_value", "seconds"),
        ({"prompt": "x", "seconds": 4.0}, "invalid_value", "seconds"),
        ({"prompt": "x", "seconds": True}, "invalid_value", "seconds"),
        ({"prompt": "x", "seconds": "4 "}, "invalid_value", "seconds"),
        ({"prompt": "x", "size": "720X1280"}, "invalid_value", "size"),
        ({"prompt": "x", "size": [720, 1280]}, "invalid_value", "size"),
        ({"prompt": "x", "quality": "best"}, "invalid_value", "quality"),
        (
            {"prompt": "x", "input_reference": {"image_url": "http://x"}},
            "unsupported_input_reference",
            "input_reference",
        ),
        ({"prompt": "x", "input_reference": {"file_id": "file-1"}}, "unsupported_input_reference", "input_reference"),
        ({"prompt": "x", "input_reference": "text"}, "unsupported_input_reference", "input_reference"),
    ]:
        with subtests.test(fields=str(fields)[:80]):
            check(HTTP.post(f"{shared.url}/v1/videos", json=fields), 400, code, param)


def test_raw_body(shared: Any, subtests: pytest.Subtests) -> None:
    for headers, content, status, code in [
        (JSON, b"", 400, "invalid_json"),
        (JSON, b"{", 400, "invalid_json"),
        (JSON, b"[]", 400, "invalid_json"),
        (JSON, b'"x"', 400, "invalid_json"),
        (JSON, b'{"prompt": NaN}', 400, "invalid_json"),
        (JSON, b'{"prompt": "\xff"}', 400, "invalid_json"),
        (JSON, b'{"prompt": "\\ud800"}', 400, "invalid_json"),
        (JSON, b"[" * 100_000, 400, "invalid_json"),
        (JSON, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400, "invalid_json"),
        (JSON, b'"' + b"x" * (1 << 20) + b'"', 413, "request_too_large"),
        ({}, b"prompt=x", 415, "unsupported_media_type"),
        ({"content-type": "text/plain"}, b"x", 415, "unsupported_media_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"prompt=x", 415, "unsupported_media_type"),
        ({"content-type": "multipart/form-data"}, b"--x\r\n", 400, "invalid_multipart"),
        (
            {"content-type": "multipart/form-data; boundary=x; charset=undefined"},
            b'--x\r\ncontent-disposition: form-data; name="seconds"\r\n\r\n4\r\n--x--\r\n',
            400,
            "missing_required_parameter",
        ),
        ({"content-type": "multipart/form-data; boundary="}, b"----\r\n", 400, "missing_required_parameter"),
        ({"content-type": "multipart/form-data; boundary=" + "b" * 5000}, b"--b\r\n", 400, "invalid_multipart"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"", 400, "invalid_multipart"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 400, "missing_required_parameter"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"garbage", 400, "invalid_multipart"),
        (
            {"content-type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\ntruncated',
            400,
            "invalid_multipart",
        ),
        (
            {"content-type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\xfe\r\n--x--\r\n',
            400,
            "invalid_multipart",
        ),
        (
            {"content-type": "multipart/form-data; boundary=x"},
            b"--x\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x--\r\n",
            400,
            "invalid_multipart",
        ),
        (
            {"content-type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="' + b"n" * 90_000 + b'"\r\n\r\nv\r\n--x--\r\n',
            400,
            "invalid_multipart",
        ),
        (
            {"content-type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + b"x" * 300_000 + b"\r\n--x--\r\n",
            400,
            "invalid_multipart",
        ),
    ]:
        with subtests.test(content=content[:80]):
            answer = HTTP.post(f"{shared.url}/v1/videos", headers=headers, content=content)
            check(answer, status, code, "prompt" if code == "missing_required_parameter" else None)


def test_document(shared: Any, subtests: pytest.Subtests) -> None:
    for document, status, code in [
        (("a.pdf", b"", "application/pdf"), 400, "empty_document"),
        (("a.pdf", b"not a pdf", "application/pdf"), 400, "unsupported_document"),
        (("a.gif", b"GIF89a", "image/gif"), 400, "unsupported_document"),
        (("a.png", b"\x89PNG\r\n\x1a\n", "image/png"), 400, "invalid_image"),
        (("a.pdf", b"%PDF-1.4\ngarbage\n%%EOF", "application/pdf"), 400, "invalid_document"),
        (("a.pdf", b"%PDF-1.4", "application/pdf"), 400, "invalid_document"),
        (("a.txt", b"\xff\xfe\xfd", "text/plain"), 400, "invalid_document"),
        (("a.txt", b"nul \0 byte", "text/plain"), 400, "invalid_document"),
        (("a.txt", b" \n ", "text/plain"), 400, "invalid_document"),
        (("a.txt", b"x" * 100_001, "text/plain"), 413, "document_too_large"),
    ]:
        with subtests.test(content=document[1][:40]):
            answer = HTTP.post(f"{shared.url}/v1/videos", data={"prompt": "x"}, files={"input_reference": document})
            check(answer, status, code, "input_reference")


def test_encrypted_pageless_or_truncated_pdf(shared: Any, files: Any) -> None:
    whole = files.pdf()
    for content, code in (
        (files.encrypted_pdf(), "encrypted_document"),
        (files.pdf(pages=0), "invalid_document"),
        (whole[: len(whole) // 2], "invalid_document"),
    ):
        answer = HTTP.post(f"{shared.url}/v1/videos", data={"prompt": "x"}, files={"input_reference": ("a", content)})
        check(answer, 400, code, "input_reference")


def test_multipart_fields(shared: Any) -> Any:
    def post(**parts: Any) -> Any:
        return HTTP.post(f"{shared.url}/v1/videos", **parts)

    form = {"prompt": "x"}
    check(
        post(data={**form, "input_reference[file_id]": "f"}, files={"x": (None, b"")}),
        400,
        "unsupported_input_reference",
        "input_reference",
    )
    check(
        post(files={"prompt": (None, "x"), "input_reference": (None, "x")}),
        400,
        "unsupported_input_reference",
        "input_reference",
    )
    check(post(files=[("prompt", (None, "a")), ("prompt", (None, "b"))]), 400, "duplicate_parameter", "prompt")
    check(post(files={"prompt": ("a.txt", b"x")}), 400, "invalid_value", "prompt")
    check(post(data=form, files={"other": ("a.txt", b"x")}), 400, "unknown_parameter", "other")
    check(post(data=form, files=[("input_reference", ("a", b"x"))] * 2), 400, "invalid_multipart")
    check(post(files=[(f"f{n}", (None, "x")) for n in range(1000)]), 400, "invalid_multipart")


def test_rejected_requests_leave_no_file_and_no_job(shared: Any) -> None:
    assert list(shared.data_dir.iterdir()) == []
    assert HTTP.get(f"{shared.url}/v1/videos").json()["data"] == []


def test_a_declared_length_above_the_limit_is_rejected_unread(shared: Any) -> None:
    check(HTTP.post(f"{shared.url}/v1/videos", headers=JSON, content=b" " * 2_000_000), 413, "request_too_large")


def test_a_chunked_body_is_rejected_at_the_limit(shared: Any) -> None:
    host, port = shared.url.removeprefix("http://").split(":")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = (
        b"POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    part = b'--b\r\nContent-Disposition: form-data; name="input_reference"; filename="a"\r\n\r\n'
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(part), part))
        for _ in range(20):  # 1.25 MiB; the limit is about 1.1 MiB
            connection.sendall(chunk)
        # The answer arrives before the end of the body.
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert HTTP.get(f"{shared.url}/health").status_code == 200


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300),
    st.sampled_from(
        ["application/json", "multipart/form-data; boundary=x", "multipart/form-data; charset=utf-7; boundary=x"]
    ),
    st.sampled_from([b"", b"--x\r\n", b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n', b'{"prompt":']),
)
def test_no_body_causes_an_internal_error(shared: Any, content: bytes, media_type: str, head: bytes) -> None:
    answer = HTTP.post(f"{shared.url}/v1/videos", headers={"content-type": media_type}, content=head + content)
    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        HTTP.delete(f"{shared.url}/v1/videos/{answer.json()['id']}")
    else:
        assert answer.json()["error"]["code"]
