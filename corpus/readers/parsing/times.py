"""Parsing of times that people and spreadsheets write into annotations, to seconds."""

import re

from corpus.moments import Moment
from corpus.readers.parsing.schema import MAX_TIME_S, show

_SHORTEST_S = 0.01  # shorter than a frame of nearly all videos
_SHORTEST_PLAUSIBLE_S = 0.1  # of times that look like fractions of a day
_MIN_DECIMALS_OF_DAY = 5
_DAY_S = 86_400
_CLOCK = re.compile(r"(?:(?:(?P<hours>[0-9]{1,3}):)?(?P<minutes>[0-9]{1,4}):)?(?P<seconds>[0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]+)")
_TIME_OF_DAY = re.compile(r"[0-9:., ]+[ap]\.?m\.?", re.IGNORECASE)
_OF_A_SPREADSHEET = "format the cells as [h]:mm:ss.000 or as numbers of seconds (times 86400), and save the table again"


def parse_time(text: str, *, decimal_comma: bool = False) -> float:
    """Return seconds from 83.5, 1:23.5 or 0:01:23.5; with `decimal_comma` also from 83,5.

    Raises:
        ValueError: when the text has another form, or the time is longer than a week.
    """
    match = _CLOCK.fullmatch(text.replace(",", ".") if decimal_comma else text)
    if not match:
        if _TIME_OF_DAY.fullmatch(text):
            raise ValueError(f"{show(text)} is not a time in a video but a time of the day; {_OF_A_SPREADSHEET}")
        raise ValueError(f"{show(text)} is not a time; write seconds (83.5) or minutes:seconds (1:23.5)")
    hours, minutes, seconds = (float(part) if part else 0.0 for part in match.group("hours", "minutes", "seconds"))
    if (match["minutes"] and seconds >= 60) or (match["hours"] and minutes >= 60):
        raise ValueError(f"{show(text)} is not a time: seconds and minutes after a colon stay below 60")
    time_s = 3600 * hours + 60 * minutes + seconds
    if time_s > MAX_TIME_S:
        raise ValueError(f"{show(text)} is not a time: it is longer than a week")
    return time_s


def parse_moment(start: str, end: str, *, decimal_comma: bool = False) -> Moment:
    """Return the moment between two written times.

    Raises:
        ValueError: as `parse_time`, or when the moment does not end after its start, or is implausibly short.
    """
    start_s, end_s = (parse_time(text, decimal_comma=decimal_comma) for text in (start, end))
    require_plausible(start_s, end_s)
    return Moment(start_s, end_s)


def require_plausible(start_s: float, end_s: float) -> None:
    """Refuse implausible times: an end before the start, or fractions of a day as spreadsheets store times.

    A time of 1:02 is 0.000717592592592593 of a day. Two times below 1, one of them with more than four decimals and less
    than 0.1 s apart, count as fractions of a day. A moment shorter than 0.01 s is refused too.

    Raises:
        ValueError: naming the times and the remedy.
    """
    if start_s >= end_s:
        raise ValueError(f"Moment needs 0 <= start_s < end_s, got start_s={start_s}, end_s={end_s}; correct these times")
    length_s = end_s - start_s
    is_part_of_day = end_s < 1 and max(map(_count_decimals, (start_s, end_s))) >= _MIN_DECIMALS_OF_DAY
    if length_s < _SHORTEST_S or (is_part_of_day and length_s < _SHORTEST_PLAUSIBLE_S):
        as_clock = f"{_to_clock(start_s * _DAY_S)} to {_to_clock(end_s * _DAY_S)}" if end_s < 1 else ""
        hint = f"; as parts of a day, as a spreadsheet stores times, they are {as_clock}: {_OF_A_SPREADSHEET}" if as_clock else ""
        raise ValueError(f"the moment [{start_s}, {end_s}] is {1000 * length_s:.3g} ms long{hint or '; correct these times'}")


def _count_decimals(time_s: float) -> int:
    return len(f"{time_s:.15f}".rstrip("0").partition(".")[2])


def _to_clock(time_s: float) -> str:
    minutes, seconds = divmod(round(time_s, 1), 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02}:{seconds:04.1f}"
