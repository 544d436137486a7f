"""Why a request to a fault endpoint is refused, whichever envelope the answer then has."""

from __future__ import annotations


class FaultsError(Exception):
    """A request that is not done; `param` names the field that is wrong, if one is."""

    def __init__(self, message: str, *, param: str | None = None, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status
