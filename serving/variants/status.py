"""Status of the challenger, as the service reports it."""

from typing import Literal, NamedTuple

ChallengerState = Literal["serving", "behind", "out", "refused"]


class ChallengerStatus(NamedTuple):
    """Status of a challenger."""

    state: ChallengerState  # behind: it still encodes uploads that the champion holds already
    reason: str  # why it was taken out or refused, empty otherwise
    model: str = ""  # version of its models, empty if it was refused
    mode: str = ""
    share: float | None = None  # of the searches; None for a shadow
    agreement: float | None = None  # share of a shadow's first answers that agree with the champion's; None before the first
