from __future__ import annotations

import math
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
import requests

from reelbench.reporting.evidence.buckets import Bound, bound_of
from reelbench.reporting.evidence.prometheus import (
    NativeHistogram,
    NoData,
    Prometheus,
    QueryError,
    Sample,
    Value,
    connect,
    single,
)

VECTOR = b'{"status":"success","data":{"resultType":"vector","result":[%b]}}'


class Answers(requests.Session):
    """A session that answers from memory."""

    def __init__(self, body: bytes | Exception, status: int = 200) -> None:
        super().__init__()
        self.body, self.status = body, status

    def post(self, *args: object, **kwargs: object) -> requests.Response:
        self.asked = kwargs["data"]
        if isinstance(self.body, Exception):
            raise self.body
        response = requests.Response()
        response.status_code = self.status
        response._content = self.body
        return response


def test_a_query_asks_for_whole_and_deduplicated_answers() -> None:
    session = Answers(VECTOR % b'{"metric":{},"value":[1,"0.25"]}')
    Prometheus("http://made", session, ahead=2.0).vector("up", 1.0)
    assert session.asked == {
        "query": "up",
        "time": "3.000",
        "timeout": "10s",
        "dedup": "true",
        "partial_response": "false",
    }


def ask(body: bytes | Exception, status: int = 200) -> Value | NoData:
    return single(Prometheus("http://made", Answers(body, status)).vector("up", 1.0))


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (b'{"metric":{},"value":[1,"0.25"]}', Value(0.25)),
        (b'{"metric":{},"value":[1,"0"]}', Value(0.0)),
        (b'{"metric":{},"value":[1,"+Inf"]}', Value(math.inf)),
        (b'{"metric":{},"value":[1,"NaN"]}', NoData("NaN: nothing was observed")),
        (b"", NoData("no series matched")),
        (
            b'{"metric":{},"histogram":[1,{"count":"3","sum":"1","buckets":[]}]}',
            NoData("the answer is a histogram, not a number"),
        ),
    ],
)
def test_an_answer_is_a_value_or_no_data(element: bytes, expected: Value | NoData) -> None:
    assert ask(VECTOR % element) == expected


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (
            b'{"status":"error","errorType":"bad_data","error":"parse error"}',
            400,
            r"refused a query \(parse error\): up",
        ),
        (b"<html>", 502, "answered HTTP 502 and no instant vector"),
        (b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', 200, "no instant vector"),
        (requests.ConnectionError(), 0, r"cannot be reached \(ConnectionError\)"),
        (requests.ReadTimeout(), 0, "gave no answer in 10 s to: up"),
        (
            VECTOR % b'{"metric":{"a":"1"},"value":[1,"1"]},{"metric":{},"value":[1,"1"]}',
            200,
            "one value was expected and 2",
        ),
    ],
)
def test_any_other_answer_is_an_error_of_one_sentence(body: bytes | Exception, status: int, sentence: str) -> None:
    with pytest.raises(QueryError, match=sentence):
        ask(body, status)


def test_concurrent_queries_keep_their_order() -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            query = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["query"][0]
            asked.append(query)
            time.sleep(0.05 if query == "0" else 0.0)  # the first query is answered last
            body = VECTOR % (b'{"metric":{},"value":[1,"%b"]}' % query.encode())
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Log no requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client = connect(f"http://127.0.0.1:{server.server_port}/")
        answers = client.vectors(["0", "1", "2", "1"], 1.0)
        client.close()
        server.shutdown()
        thread.join()
    assert [(query, single(vector)) for query, vector in answers.items()] == [
        ("0", Value(0.0)),
        ("1", Value(1.0)),
        ("2", Value(2.0)),
    ]
    assert sorted(asked) == ["0", "1", "2"]  # identical queries were sent once


CLASSIC = tuple(Sample({"le": le}, (1.0, n)) for le, n in (("1", "10"), ("+Inf", "20"), ("0.5", "0"), ("2", "19")))


@pytest.mark.parametrize(
    ("quantile", "bound"),
    [(0.5, Bound(0.5, 1.0)), (0.51, Bound(1.0, 2.0)), (0.95, Bound(1.0, 2.0)), (0.99, Bound(2.0, None))],
)
def test_the_bucket_of_a_quantile(quantile: float, bound: Bound) -> None:
    assert bound_of(CLASSIC, quantile) == bound


def test_the_bucket_of_a_native_histogram() -> None:
    native = NativeHistogram("20", "9", ((0, "0.5", "0.6", "10"), (0, "0.6", "0.7", "10")))
    assert bound_of((Sample({}, None, (1.0, native)),), 0.95) == Bound(0.6, 0.7)


def test_without_observations_there_is_no_bucket() -> None:
    assert bound_of((), 0.95) is None
    assert bound_of((Sample({"le": "+Inf"}, (1.0, "0")),), 0.95) is None
