"""The tokenizer of a pretrained text encoder: a `tokenizer.json` under the package `tokenizers`."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from corpus.files import sha256_json, write_json
from corpus.text.tokenizer import Tokenizer, pad_ids
from corpus.text.words import tokenize


class PretrainedTokenizer(Tokenizer):
    """Subwords as others trained them; id i of the file is id i + 1 here.

    The padding of the file is not used: some name a token of their sentences as padding (CLIP the one that ends them),
    and a mask made from its id would hide that token.
    """

    file_name: ClassVar[str] = "tokenizer.json"
    packages: ClassVar[tuple[str, ...]] = ("tokenizers",)

    def __init__(self, content: str) -> None:
        """Read the text of a `tokenizer.json`.

        Raises:
            ImportError: naming the extra, when the package `tokenizers` is not installed.
            ValueError: when it is no tokenizer.
        """
        self._tokenizer = _parse(content)
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # a sentence that spells a special token holds no special token

    def __len__(self) -> int:
        """The number of token ids, padding included."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def cut(self, max_tokens: int) -> "PretrainedTokenizer":
        """Return a copy that keeps at most this many tokens of a sentence, its special tokens among them."""
        other = PretrainedTokenizer(self._tokenizer.to_str())
        other._tokenizer.enable_truncation(max_tokens)
        return other

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids (B, L), padded with 0 to the longest sentence."""
        return pad_ids([self._encode_one(text) for text in texts])  # a batch would start threads, and forks cannot use those

    def find_unknown(self, text: str) -> list[str]:
        """Return the words of a sentence of which a part has no token; none where every byte has one."""
        if self._unknown is None:
            return []
        return [word for word in tokenize(text) if self._unknown in self._tokenizer.encode(word, add_special_tokens=False).ids]

    @property
    def digest(self) -> str:
        """The hash of the whole definition."""
        return sha256_json(self._definition)

    def save(self, path: Path) -> None:
        """Write the definition as JSON."""
        write_json(path, self._definition)

    @classmethod
    def load(cls, path: Path) -> "PretrainedTokenizer":
        """Read what `save` wrote, or a `tokenizer.json` of others.

        Raises:
            ValueError: naming the file, when it is no tokenizer.
        """
        try:
            return cls(path.read_text(encoding="utf-8"))
        except ValueError as error:  # of the encoding too
            raise ValueError(f"{path} is not a tokenizer of the package tokenizers: {error}") from error

    @property
    def _definition(self) -> Any:
        return json.loads(self._tokenizer.to_str())

    def _encode_one(self, text: str) -> list[int]:
        tokenize(text)  # a sentence without words is refused by every tokenizer alike
        ids = [1 + number for number in self._tokenizer.encode(text).ids]
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
            "or only tokenizers where bundles are served"
        ) from error
    try:
        return Parser.from_str(content)
    except Exception as error:  # tokenizers raises nothing more specific
        raise ValueError(str(error)) from error
