"""Operations that a server has: as its target file says, else as its answers show."""

from __future__ import annotations

from typing import Literal

from reelbench.loadgen.target.target_file import Offers

Name = Literal["list", "wait", "manifest", "delete", "cancel"]


class Found:
    """What is known of the operations; None: not tried."""

    def __init__(self, offers: Offers) -> None:
        self._known: dict[Name, bool | None] = {
            "list": offers.list,
            "wait": offers.wait,
            "manifest": offers.manifest,
            "delete": offers.delete,
            "cancel": offers.cancel,
        }
        self.notes: list[str] = []
        """What was left out or adapted, one sentence each."""
        self.throttles_polls = False
        """Whether the server has refused a poll as too early."""

    def __getitem__(self, name: Name) -> bool | None:
        return self._known[name]

    def offers(self, name: Name) -> bool:
        """Return whether an operation is worth a try: the server has it, or nothing is known."""
        return self._known[name] is not False

    def has(self, name: Name) -> None:
        """Remember that the server has an operation."""
        self._known[name] = True

    def lacks(self, name: Name, why: str) -> None:
        """Remember that the server does not have an operation, which is then left out."""
        if self._known[name] is not False:
            self._known[name] = False
            self.note(f"the server does not offer {name} ({why}); it is left out")

    def note(self, sentence: str) -> None:
        """Add a sentence, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def as_dict(self) -> dict[str, bool | None]:
        """Return all operations, for the record."""
        return dict(self._known)  # type: ignore[arg-type] # a literal is text
