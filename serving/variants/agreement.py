"""Comparison of the answers of two variants."""

from search.answers import Answer, FoundMoment

SAME_IOU = 0.5


def agree(ours: Answer, theirs: Answer) -> bool:
    """Tell whether the first answers, or best guesses, lie in one video and overlap by at least half."""
    first, second = _find_first(ours), _find_first(theirs)
    if first is None or second is None:
        return first is second
    return first.video_id == second.video_id and compute_overlap(first, second) >= SAME_IOU


def compute_overlap(first: FoundMoment, second: FoundMoment) -> float:
    """Return the intersection over union of the times of two moments."""
    shared_s = min(first.end_s, second.end_s) - max(first.start_s, second.start_s)
    whole_s = (first.end_s - first.start_s) + (second.end_s - second.start_s) - max(shared_s, 0.0)
    return max(shared_s, 0.0) / whole_s if whole_s > 0 else float(first[1:3] == second[1:3])


def _find_first(answer: Answer) -> FoundMoment | None:
    return answer.moments[0] if answer.moments else answer.best_guess
