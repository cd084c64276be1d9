"""Folding of text: maps spellings that readers take for the same word to one string.

The folding is NFKC_Casefold of the Unicode Standard (UAX #44): compatibility characters (full width, ligatures, Arabic
presentation forms), case and characters that are not shown (joiners, soft hyphens, variation selectors) do not count.
Deviations: curly apostrophes are straight. The Arabic tatweel and the vowel marks of Arabic and Hebrew do not count,
because people write the same word with and without them. The dot that a folded Turkish dotted I keeps is dropped; the
dotless i stays another letter. The vowel AM of Thai and Lao stays one character. The zero-width space stays, because it
separates words. ASCII text is only lower-cased.
"""

import re
import unicodedata

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u055a\u05f3\uff07"), "'")
_NOT_SHOWN = (  # Default_Ignorable_Code_Point, without the zero-width space
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_VOWEL_MARKS = (
    "\u0640\u064b-\u0652\u0656\u0657\u0670"  # Arabic: tatweel, short vowels, doubling, no vowel
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew: cantillation, points
)
_DROPPED = re.compile(f"[{_NOT_SHOWN}{_VOWEL_MARKS}]|(?<=i)\u0307")
_AM = (("\u0e4d\u0e32", "\u0e33"), ("\u0ecd\u0eb2", "\u0eb3"))  # of Thai and Lao, which NFKC takes apart


def compose(text: str) -> str:
    """Return text in composed form (NFC) with straight apostrophes, otherwise unchanged."""
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(_APOSTROPHES))


def fold(text: str) -> str:
    """Return the common form of all spellings of a text. Folding is idempotent."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES)
    folded = unicodedata.normalize("NFKC", _DROPPED.sub("", folded)).casefold()
    for parts, whole in _AM:
        folded = folded.replace(parts, whole)
    return folded
