"""Cleaning of sentences before a published tokenizer reads them: what the makers of its model did to theirs.

- `composed`: NFC and straight apostrophes, so that the spellings of a word get the same ids; what no maker has asked for.
- `none`: nothing, as the package transformers gives CLIP its sentences.
- `lower_case`: lower case, as it gives them to SigLIP 2.
- `canonical`: lower case, no ASCII punctuation, single spaces, as it gives them to SigLIP.
- `open_clip`: characters repaired by the package ftfy, HTML entities as characters (twice), single spaces, lower case, as
  open_clip's tokenizer does, and that of OpenAI's CLIP.
- `open_clip_canonical`: the same repairs, then as `canonical` with underscores as spaces, as open_clip does for SigLIP.

Source: `open_clip.tokenizer` 3.3.0, `clip.simple_tokenizer` of github.com/openai/CLIP, and transformers 5, whose tokenizer of
CLIP no longer calls ftfy: the ids of a mis-decoded sentence ("cafÃ©") differ between the two forms of one model.
"""

import html
import re
import string
from collections.abc import Callable, Mapping
from typing import Literal

from corpus.text.folding import compose

Cleaning = Literal["composed", "none", "lower_case", "canonical", "open_clip", "open_clip_canonical"]

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_REPAIRING: frozenset[Cleaning] = frozenset({"open_clip", "open_clip_canonical"})


def clean(text: str, cleaning: Cleaning) -> str:
    """Return a sentence as the model of a tokenizer was trained on it."""
    return _METHODS[cleaning](text)


def list_packages(cleaning: Cleaning) -> tuple[str, ...]:
    """Return the packages that a cleaning needs."""
    return ("ftfy",) if cleaning in _REPAIRING else ()


def require_packages(cleaning: Cleaning) -> None:
    """Refuse a cleaning before its first sentence.

    Raises:
        ImportError: naming the package that is not installed, and the extra.
    """
    if list_packages(cleaning):
        _import_fix_text()


def _lower(text: str) -> str:
    return text.lower()


def _canonicalize(text: str) -> str:
    return re.sub(r"\s+", " ", text.lower().translate(_NO_PUNCTUATION)).strip()


def _clean_as_open_clip(text: str) -> str:
    return " ".join(_repair(text).split()).lower()


def _canonicalize_as_open_clip(text: str) -> str:
    return " ".join(_repair(text).replace("_", " ").translate(_NO_PUNCTUATION).lower().split())


def _repair(text: str) -> str:
    """Return text with repaired characters, then without HTML entities, and without those that came out of these."""
    return html.unescape(html.unescape(_import_fix_text()(text))).strip()


def _import_fix_text() -> Callable[[str], str]:
    try:
        from ftfy import fix_text
    except ModuleNotFoundError as error:
        raise ImportError(
            "the sentences of this model are repaired by the package ftfy; install it: pip install 'cuepoint[text]', "
            "or only ftfy where bundles are served"
        ) from error
    return fix_text


_METHODS: Mapping[Cleaning, Callable[[str], str]] = {
    "composed": compose,
    "none": str,
    "lower_case": _lower,
    "canonical": _canonicalize,
    "open_clip": _clean_as_open_clip,
    "open_clip_canonical": _canonicalize_as_open_clip,
}
