"""Reading of sentences by the text tower of a published model: length, padding and the position that stands for the sentence."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from corpus.files import read_json

Pooling = Literal["end", "last"]  # the token that ends a sentence, or the last position, which is padding in short sentences


class Reading(NamedTuple):
    """Token limit and padding of a sentence, and the position that stands for it.

    A network with a causal mask needs no padding, because tokens after the end of a sentence do not change earlier ones.
    """

    num_positions: int
    pooling: Pooling
    is_padded: bool  # to `num_positions`; the network reads padding like words
    padding_id: int | None = None  # of the tokenizer's files; None if they do not state it


def find_padding(folder: Path) -> int | None:
    """Return the padding id of a tokenizer of the hub, None if its files do not state it."""
    config, tokenizer = folder / "tokenizer_config.json", folder / "tokenizer.json"
    content: dict[str, Any] = read_json(tokenizer) if tokenizer.is_file() else {}
    token = read_json(config).get("pad_token") if config.is_file() else (content.get("padding") or {}).get("pad_token")
    name = token.get("content") if isinstance(token, dict) else token
    added = {entry["content"]: int(entry["id"]) for entry in content.get("added_tokens", [])}
    return added.get(name) if name is not None else None
