"""Word segmentation for any script: the default word boundaries of Unicode (UAX #29), without a dictionary.

A word is a run of letters, digits and underscores with the marks on them, and one part after an apostrophe. Some scripts
need more. Ideographs and hiragana are words one by one, as in UAX #29. Thai, Lao, Khmer and Burmese put no spaces between
words, and UAX #29 leaves them to dictionaries: here their words are clusters of writing, a consonant with its vowel signs,
its marks and the final consonant that the spelling demands (compare the Thai character clusters of Theeramunkong et al.
2000). The clusters of a word depend on the word and its next letter alone, so they are nearly the same in every sentence.
No rule breaks a grapheme cluster. Deviations from UAX #29: hyphens, full stops and colons separate words; emoji are not words.
"""

import re
import unicodedata
from functools import cache
from typing import NamedTuple

_IDEOGRAPHS = "\u3005-\u3007\u3021-\u3029\u3041-\u3096\u309d-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_PROLONGED = "\u30fc"  # lengthens the kana before it
_KHMER, _KHMER_JOINER = "\u1780-\u17b3\u17d7\u17dc", "\u17d2"
_BURMESE = "\u1000-\u102a\u103f\u104c-\u104f\u1050-\u1055\u105a-\u105d\u1061\u1065-\u1066\u106e-\u1070\u1075-\u1081\u108e"
_BURMESE_JOINER, _BURMESE_KILLER, _BURMESE_TONE = "\u1039", "\u103a", "\u1037"
_OTHERS = "\u1950-\u1974\u1980-\u19c9\u1a20-\u1a54\uaa80-\uaac2\uaadb-\uaadd"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
_HEBREW = "\u05d0-\u05ea"
_END_OF_MARKS = 0x1F000  # no script has marks beyond


class _Spelling(NamedTuple):
    """Classes of the signs of Thai and Lao, which are spelled alike."""

    consonants: str
    leading: str  # vowels that stand before their consonant
    following: str  # vowels that stand after it as letters
    closing: str  # vowel marks that a final consonant follows
    closing_after: str  # the leading vowel with which
    closing_with: str  # these marks demand one too
    others: str  # signs of repetition and abbreviation

    @property
    def letters(self) -> str:
        return f"{self.consonants}{self.leading}{self.following}{self.others}"


_THAI = _Spelling(
    consonants="\u0e01-\u0e2e",
    leading="\u0e40-\u0e44",
    following="\u0e30\u0e32\u0e33\u0e45",
    closing="\u0e31\u0e36\u0e37\u0e47",
    closing_after="\u0e40",
    closing_with="\u0e34\u0e35",
    others="\u0e2f\u0e46",
)
_LAO = _Spelling(
    consonants="\u0e81-\u0eae\u0edc-\u0edf",
    leading="\u0ec0-\u0ec4",
    following="\u0eb0\u0eb2\u0eb3\u0ebd",
    closing="\u0eb1\u0eb6\u0eb7\u0ebb",
    closing_after="\u0ec0",
    closing_with="\u0eb4\u0eb5",
    others="\u0eaf\u0ec6",
)


@cache
def compile_word() -> re.Pattern[str]:
    """Return the pattern of a word in any script, for text in composed form."""
    marks = _list_marks()
    special = "".join([_IDEOGRAPHS, _THAI.letters, _LAO.letters, _KHMER, _BURMESE, _OTHERS])
    run = rf"[^\W{special}](?:[^\W{special}]|[{marks}])*"
    middle = rf"\u00b7|(?<=[{_HEBREW}])[\"\u05f4](?=[{_HEBREW}])"  # of Catalan l·l, of Hebrew abbreviations
    return re.compile(
        "|".join(
            [
                rf"{run}(?:(?:{middle}){run})*(?:'{run})?",
                rf"[{_IDEOGRAPHS}][{marks}]*(?:{_PROLONGED}[{marks}]*)*",
                _describe_clusters(_THAI, marks),
                _describe_clusters(_LAO, marks),
                rf"[{_KHMER}][{marks}]*(?:(?<={_KHMER_JOINER})[{_KHMER}][{marks}]*)*",
                rf"[{_BURMESE}][{marks}]*(?:(?<={_BURMESE_JOINER})[{_BURMESE}][{marks}]*)*"
                rf"(?:[{_BURMESE}]{_BURMESE_TONE}?{_BURMESE_KILLER}[{marks}]*)*",
                rf"[{_OTHERS}][{marks}]*",
            ]
        )
    )


def _describe_clusters(spelling: _Spelling, marks: str) -> str:
    """Return the pattern of one cluster of Thai or Lao; a final consonant has no vowel or mark itself."""
    consonant, any_marks = f"[{spelling.consonants}]", f"[{marks}]*"
    final = f"{consonant}(?![{marks}{spelling.following}])"
    return "|".join(
        [
            f"[{spelling.leading}]?{consonant}{any_marks}[{spelling.closing}]{any_marks}{final}",
            f"[{spelling.closing_after}]{consonant}{any_marks}[{spelling.closing_with}]{any_marks}{final}",
            f"[{spelling.leading}]?{consonant}{any_marks}[{spelling.following}]*{any_marks}",
            f"[{spelling.letters}]{any_marks}",
        ]
    )


def _list_marks() -> str:
    """Return the combining marks of all scripts as ranges for a class of characters."""
    ranges: list[list[int]] = []
    for code in range(0x300, _END_OF_MARKS):
        if unicodedata.category(chr(code))[0] != "M":
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
