"""Reading of sentences by the text tower of a published model: its length, its padding and the position that counts."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from corpus.files import read_json

Pooling = Literal["end", "last"]  # the token that ends a sentence; the last position, which is padding in short sentences


class Reading(NamedTuple):
    """What a network sees of a sentence, and which position stands for it.

    A network with a causal mask needs no padding: what follows the end of a sentence does not change what stands before it.
    """

    num_positions: int
    pooling: Pooling
    is_padded: bool  # to `num_positions`, and the network reads the padding as it reads words
    padding_id: int | None = None  # of the tokenizer's file; None: its files do not say


def find_padding(folder: Path) -> int | None:
    """Return the id of the token by which a tokenizer of the hub pads, None where its files do not say."""
    config, tokenizer = folder / "tokenizer_config.json", folder / "tokenizer.json"
    content: dict[str, Any] = read_json(tokenizer) if tokenizer.is_file() else {}
    token = read_json(config).get("pad_token") if config.is_file() else (content.get("padding") or {}).get("pad_token")
    name = token.get("content") if isinstance(token, dict) else token
    added = {entry["content"]: int(entry["id"]) for entry in content.get("added_tokens", [])}
    return added.get(name) if name is not None else None
