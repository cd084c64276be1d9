"""Tokenizer of a pretrained text encoder: a `tokenizer.json` for the package `tokenizers`."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from corpus.files import sha256_json, write_json
from corpus.text.cleaning import Cleaning, clean, list_packages, require_packages
from corpus.text.tokenizer import Tokenizer, pad_ids
from corpus.text.words import WORD_RULES, tokenize

_CLEANING = "cleaning"  # a key of a saved definition, beside those of the package tokenizers


class PretrainedTokenizer(Tokenizer):
    """Pretrained subword tokenizer; id i of the file is id i + 1 here.

    Sentences reach it as `cleaning` says: composed (NFC) and with straight apostrophes, so that the spellings of a word get the
    same ids, or as the makers of its model cleaned theirs, which gives the ids that the model was trained on.

    The padding of the file is not used. Some files use a real token as padding (CLIP the end token), and a mask made from its
    id would hide that token.
    """

    file_name: ClassVar[str] = "tokenizer.json"

    def __init__(self, content: str, cleaning: Cleaning = "composed") -> None:
        """Read the text of a `tokenizer.json`.

        Raises:
            ImportError: naming the extra, when the package `tokenizers`, or the one of the cleaning, is not installed.
            ValueError: when the text is not a tokenizer.
        """
        require_packages(cleaning)
        self._tokenizer, self._cleaning = _parse(content), cleaning
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # a special token spelled out in a sentence stays plain text

    def __len__(self) -> int:
        """The number of token ids, padding included."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def cut(self, max_tokens: int) -> "PretrainedTokenizer":
        """Return a copy that keeps at most this many tokens of a sentence, including special tokens."""
        other = PretrainedTokenizer(self._tokenizer.to_str(), self._cleaning)
        other._tokenizer.enable_truncation(max_tokens)
        return other

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids (B, L), padded with 0 to the longest sentence."""
        return pad_ids([self._encode_one(text) for text in texts])  # a batch would start threads, which do not survive a fork

    def find_unknown(self, text: str) -> list[str]:
        """Return the words of a sentence with a part that has no token; none if every byte has a token."""
        if self._unknown is None:
            return []
        return [word for word in tokenize(text) if self._unknown in self._tokenizer.encode(word, add_special_tokens=False).ids]

    @property
    def packages(self) -> tuple[str, ...]:
        """The package `tokenizers`, and that of the cleaning."""
        return ("tokenizers", *list_packages(self._cleaning))

    @property
    def digest(self) -> str:
        """The hash of the whole definition and of the rules of sentence preparation."""
        return sha256_json({"word_rules": WORD_RULES, "definition": self._definition})

    def save(self, path: Path) -> None:
        """Write the definition as JSON."""
        write_json(path, self._definition)

    @classmethod
    def load(cls, path: Path, cleaning: Cleaning = "composed") -> "PretrainedTokenizer":
        """Read what `save` wrote, or a `tokenizer.json` of others, whose sentences are cleaned as `cleaning` says.

        Raises:
            ValueError: naming the file, when it is not a tokenizer.
        """
        try:
            definition = json.loads(path.read_text(encoding="utf-8"))
            own = definition.pop(_CLEANING, cleaning) if isinstance(definition, dict) else cleaning
            return cls(json.dumps(definition), own)
        except ValueError as error:  # of the encoding too
            raise ValueError(f"{path} is not a tokenizer of the package tokenizers: {error}") from error

    @property
    def _definition(self) -> Any:
        own = {} if self._cleaning == "composed" else {_CLEANING: self._cleaning}
        return json.loads(self._tokenizer.to_str()) | own

    def _encode_one(self, text: str) -> list[int]:
        if self._cleaning == "composed":
            tokenize(text)  # refuses a sentence without words; models of pictures know emoji too
        ids = [1 + number for number in self._tokenizer.encode(clean(text, self._cleaning)).ids]
        if not ids:
            raise ValueError(f"the tokenizer has no token for the sentence {text!r}; use other words")
        return ids

    @cached_property
    def _unknown(self) -> int | None:
        model = self._definition["model"]
        if isinstance(model.get("unk_id"), int):  # of a unigram model
            return int(model["unk_id"])
        token = model.get("unk_token")
        return None if token is None else self._tokenizer.token_to_id(token)


def _parse(content: str) -> Any:
    try:
        from tokenizers import Tokenizer as Parser
    except ModuleNotFoundError as error:
        raise ImportError(
            "this text encoder needs the package tokenizers; install it: pip install 'cuepoint[text]', "
            "or only tokenizers on a machine that serves bundles"
        ) from error
    try:
        return Parser.from_str(content)
    except Exception as error:  # tokenizers raises nothing more specific
        raise ValueError(str(error)) from error
