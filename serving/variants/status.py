"""How a challenger fares, as the service says it."""

from typing import Literal, NamedTuple

ChallengerState = Literal["serving", "behind", "out", "refused"]


class ChallengerStatus(NamedTuple):
    """How a challenger fares."""

    state: ChallengerState  # behind: while it encodes uploads that the champion holds already
    reason: str  # why it was taken out or refused, empty otherwise
    model: str = ""  # its version, empty where it was refused
    mode: str = ""
    share: float | None = None  # of the searches; None for a shadow
    agreement: float | None = None  # of a shadow's first answers with the champion's; None before the first
