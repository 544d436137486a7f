"""The control token of the compose stack: where it is found, and to which service it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.loadgen.record.control_token import control_token
from reelbench.stack.compose_token import token_variables

LOCAL = "http://127.0.0.1:8000"


def test_the_token_of_this_checkout_goes_to_a_service_on_this_machine_only(tmp_path: Path) -> None:
    file = tmp_path / "token"
    assert token_variables(LOCAL, {}, file) == {}
    file.write_text("a-secret\n")
    assert token_variables(LOCAL, {}, file) == {"REELBENCH_CONTROL_TOKEN_FILE": str(file)}
    assert token_variables("http://service.example:8000", {}, file) == {}
    for name in ("REELBENCH_CONTROL_TOKEN", "REELBENCH_CONTROL_TOKEN_FILE"):
        assert token_variables(LOCAL, {name: "x"}, file) == {}
    assert control_token(token_variables(LOCAL, {}, file)) == "a-secret"


@pytest.mark.parametrize(
    ("environment", "content", "token"),
    [
        ({}, "in-file", ""),
        ({"REELBENCH_CONTROL_TOKEN": "given"}, "in-file", "given"),
        ({"REELBENCH_CONTROL_TOKEN_FILE": "token"}, " in-file\n", "in-file"),
        ({"REELBENCH_CONTROL_TOKEN_FILE": "absent"}, "in-file", ""),
        ({"REELBENCH_CONTROL_TOKEN_FILE": "token"}, "two\nlines", ""),
    ],
)
def test_where_the_token_is_read(environment: dict[str, str], content: str, token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content)
    placed = {name: str(tmp_path / value) if name.endswith("FILE") else value for name, value in environment.items()}
    assert control_token(placed) == token
