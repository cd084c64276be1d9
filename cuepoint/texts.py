"""Safe text for terminals: times, paths and names without control characters or hidden parts."""

import shlex
import unicodedata
from collections.abc import Sequence
from pathlib import Path

_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, bytes of no encoding, line and paragraph separators
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they reorder what follows
_NOT_IN_ADDRESSES = frozenset("#?%")


def to_printable(text: str, *, keep: str = "") -> str:
    r"""Escape control and unprintable characters, such as `\x1b`, except those in `keep`."""
    return "".join(one if one in keep or _is_shown(one) else one.encode("unicode_escape").decode() for one in text)


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in _UNSHOWN and character not in _DIRECTIONS


def format_time(time_s: float) -> str:
    """Format a time as m:ss.s."""
    tenths = round(10 * time_s)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def format_play(path: Path, start_s: float, end_s: float, *, encoding: str = "utf-8") -> str:
    """Format a file with the time to play, in the syntax of players and browsers.

    A path with characters that are invalid in an address, or in the encoding of the terminal, becomes a `file:` address
    with those bytes quoted.
    """
    text = str(path)
    is_plain = not _NOT_IN_ADDRESSES & set(text) and to_printable(text) == text and _can_encode(text, encoding)
    return f"{text if is_plain else path.absolute().as_uri()}#t={start_s:.1f},{end_s:.1f}"


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def join_command(words: Sequence[str | Path]) -> str:
    """Quote a command for a shell; names with control characters take the form `$'...'`."""
    return " ".join(map(_quote, map(str, words)))


def _quote(word: str) -> str:
    if to_printable(word) == word:
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(one if _is_shown(one) else _escape_bytes(one) for one in escaped) + "'"


def _escape_bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
