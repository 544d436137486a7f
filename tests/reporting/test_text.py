from __future__ import annotations

import pytest

from reelbench.reporting.document import text


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(25.754, "25.75 jobs/s"), (0.1, "0.10 jobs/s"), (0.0131, "47.2 jobs/h"), (0.0, "0 jobs/h"), (None, "- jobs/s")],
)
def test_a_rate_of_slow_jobs_is_shown_by_the_hour(rate: float | None, shown: str) -> None:
    assert text.job_rate(rate) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.517, "0.517 s"), (75.0, "75 s"), (1200.0, "20 min"), (9000.0, "2.5 h")]
)
def test_a_length_of_time_is_shown_in_a_fitting_unit(seconds: float, shown: str) -> None:
    assert text.length(seconds) == shown
