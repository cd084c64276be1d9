"""A sentence vector from frozen word vectors. Letters: B sentences, L words, D widths."""

import torch
from torch import Tensor, nn

from models.exchange.batches import TextFeatures


class SentenceLSTM(nn.Module):
    """A forward LSTM whose state after the last word of each sentence stands for the sentence.

    Source: the text branch of 2D-TAN (arXiv:1912.03590), section 3.1.
    """

    def __init__(self, text_dim: int, *, hidden_dim: int, num_layers: int) -> None:
        """Build the layers."""
        super().__init__()
        self.lstm = nn.LSTM(text_dim, hidden_dim, num_layers=num_layers, batch_first=True)

    def forward(self, text: TextFeatures) -> Tensor:
        """Return (B, hidden_dim); words after the end of a sentence change nothing. A sentence without words gives zeros."""
        states, _ = self.lstm(text.tokens)  # (B, L, hidden_dim)
        last = (text.mask.sum(1).long() - 1).clamp_min(0)  # (B,)
        index = last[:, None, None].expand(-1, 1, states.shape[-1])
        return torch.gather(states * text.mask[..., None].to(states.dtype), 1, index)[:, 0]
