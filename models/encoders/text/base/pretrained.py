"""Text encoders of the package `transformers`: shared values, and tokenizers."""

from pathlib import Path
from typing import Any

from pydantic import Field

from corpus.text import Cleaning, PretrainedTokenizer
from models.encoders.pretrained.source import TOKENIZER, NetworkParams
from models.encoders.text.base.frozen import FrozenTextEncoderParams

_POSITIONS_BEHIND_PADDING = ("camembert", "mpnet", "roberta", "xlm-roberta")  # these count positions from the padding id on


class PretrainedTextParams(FrozenTextEncoderParams, NetworkParams):
    """Shared values of text encoders of the package `transformers`."""

    max_tokens: int = Field(ge=4)  # of a sentence, including special tokens; later ones are cut

    def require_positions(self, config: Any) -> None:
        """Refuse a `max_tokens` above the number of positions of a network.

        Raises:
            ValueError: naming both numbers.
        """
        behind_padding = config.model_type in _POSITIONS_BEHIND_PADDING
        num_positions = config.max_position_embeddings - (config.pad_token_id + 1 if behind_padding else 0)
        if self.max_tokens > num_positions:
            raise ValueError(f"max_tokens = {self.max_tokens}, but {self.source} has {num_positions} positions; lower max_tokens")


def load_tokenizer_of(folder: Path, *, max_tokens: int, num_ids: int, cleaning: Cleaning = "composed") -> PretrainedTokenizer:
    """Return the tokenizer of a source.

    Raises:
        ValueError: when the tokenizer has more tokens than the network's `num_ids`.
    """
    path = folder / TOKENIZER
    tokenizer = PretrainedTokenizer.load(path, cleaning).cut(max_tokens)
    if len(tokenizer) - 1 > num_ids:
        raise ValueError(
            f"{path} has {len(tokenizer) - 1} tokens, but the network of {folder} {num_ids}; they are not of one model"
        )
    return tokenizer
