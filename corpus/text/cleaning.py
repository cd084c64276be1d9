"""Cleaning of sentences before a published tokenizer reads them: what the makers of its model did to theirs.

- `composed`: NFC and straight apostrophes, so that the spellings of a word get the same ids; what no maker has asked for.
- `none`: nothing, as the package transformers gives CLIP its sentences.
- `lower_case`: lower case, as it gives them to SigLIP 2.
- `canonical`: lower case, no ASCII punctuation, single spaces, as it gives them to SigLIP.
- `open_clip`: repaired characters, HTML entities as characters (twice), single spaces, lower case, as open_clip's tokenizer does.
- `open_clip_canonical`: the same repairs, then as `canonical` with underscores as spaces, as open_clip does for SigLIP.

Source: `open_clip.tokenizer` and `transformers.models.siglip.tokenization_siglip`. Deviation from open_clip, which repairs by the
package ftfy: text that was decoded by a wrong encoding ("Ã©" for "é") stays as it is.
"""

import html
import html.entities
import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from typing import Literal

from corpus.text.folding import compose

Cleaning = Literal["composed", "none", "lower_case", "canonical", "open_clip", "open_clip_canonical"]

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")
_ESCAPE = re.compile("\033\\[((?:\\d|;)*)([a-zA-Z])")
_LINE_BREAK = re.compile("\r\n|[\r\u2028\u2029\u0085]")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")
_QUOTES = dict.fromkeys(range(0x201C, 0x2020), '"') | dict.fromkeys([0x2BC, *range(0x2018, 0x201C)], "'")
_LIGATURES = "ĲĳŉǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄﬆ"
# Control characters but those of white space, deprecated and annotation characters, the byte order mark.
_NOT_SHOWN = dict.fromkeys([*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F, *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD)])


def clean(text: str, cleaning: Cleaning) -> str:
    """Return a sentence as the model of a tokenizer was trained on it."""
    return _METHODS[cleaning](text)


def _lower(text: str) -> str:
    return text.lower()


def _canonicalize(text: str) -> str:
    return re.sub(r"\s+", " ", text.lower().translate(_NO_PUNCTUATION)).strip()


def _clean_as_open_clip(text: str) -> str:
    return " ".join(_repair_twice(text).split()).lower()


def _canonicalize_as_open_clip(text: str) -> str:
    return " ".join(_repair_twice(text).replace("_", " ").translate(_NO_PUNCTUATION).lower().split())


def _repair_twice(text: str) -> str:
    """Return text with repaired characters, then without HTML entities, and without those that came out of these."""
    return html.unescape(html.unescape(_repair(text))).strip()


def _repair(text: str) -> str:
    """Return text with its characters repaired line by line; from the first line with "<" on, HTML entities stay."""
    repaired, keeps_entities = [], False
    for line in re.split("(?<=\n)", text):
        keeps_entities = keeps_entities or "<" in line
        repaired.append(_repair_line(line, keeps_entities=keeps_entities))
    return "".join(repaired)


def _repair_line(line: str, *, keeps_entities: bool) -> str:
    while True:
        before = line
        if not keeps_entities:
            line = _ENTITY.sub(_read_entity, line)
        line = line.translate(_CONTROLS).translate(_COMPATIBLE).translate(_QUOTES)
        line = _SURROGATES.sub(_join_surrogates, _LINE_BREAK.sub("\n", line))
        line = unicodedata.normalize("NFC", _ESCAPE.sub("", line).translate(_NOT_SHOWN))
        if line == before:
            return line


def _read_entity(match: re.Match[str]) -> str:
    entity = match[0]
    if entity in _ENTITIES:
        return _ENTITIES[entity]
    found = html.unescape(entity) if entity.startswith("&#") else entity
    return entity if ";" in found else found


def _join_surrogates(match: re.Match[str]) -> str:
    if len(match[0]) == 1:
        return "\ufffd"
    return match[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _list_entities() -> dict[str, str]:
    """Return the entities with a semicolon, and those that old databases spell in capitals."""
    entities = {f"&{name}": text for name, text in html.entities.html5.items() if name.endswith(";")}
    capitals = {}
    for name, text in entities.items():
        shouted = name.upper()
        if name == name.lower() and html.unescape(shouted) == shouted:
            capitals[shouted] = text.upper()
    return entities | capitals


def _list_compatible() -> dict[int, str]:
    """Return the ligatures of Latin letters, and the characters that are only wider or narrower than others."""
    wide = [0x3000, *range(0xFF01, 0xFFF0)]
    compatible = {code: unicodedata.normalize("NFKC", chr(code)) for code in wide}
    compatible = {code: text for code, text in compatible.items() if text != chr(code)}
    parts = {ord(letter): unicodedata.normalize("NFKC", letter) for letter in _LIGATURES}
    return compatible | parts | {ord("ﬅ"): "ſt"}  # the long s stays


_ENTITIES, _COMPATIBLE = _list_entities(), _list_compatible()
_CONTROLS = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}  # as HTML 5 reads them
_METHODS: Mapping[Cleaning, Callable[[str], str]] = {
    "composed": compose,
    "none": str,
    "lower_case": _lower,
    "canonical": _canonicalize,
    "open_clip": _clean_as_open_clip,
    "open_clip_canonical": _canonicalize_as_open_clip,
}
