"""Record of the answers that the challenger gave, for feedback on them."""

from collections import OrderedDict

from serving.api.schemas import Versions

_MAX_ANSWERS = 10_000


class AnswerOrigins:
    """The versions behind the challenger's latest answers, by id. Only the event loop may use it."""

    def __init__(self) -> None:
        """Start empty."""
        self._versions: OrderedDict[str, Versions] = OrderedDict()

    def note(self, answer_id: str, versions: Versions) -> None:
        """Remember an answer, and forget the oldest one if there are too many."""
        self._versions[answer_id] = versions
        if len(self._versions) > _MAX_ANSWERS:
            self._versions.popitem(last=False)

    def find(self, answer_id: str | None) -> Versions | None:
        """Return the versions behind an answer, `None` if the champion gave it or it is too old."""
        return self._versions.get(answer_id) if answer_id else None
