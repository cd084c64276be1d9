"""Sentence vectors and word states from frozen word vectors, by LSTMs. Letters: B sentences, L words, D widths."""

import torch
from torch import Tensor, nn

from models.contracts.batches import TextFeatures


class SentenceLSTM(nn.Module):
    """Forward LSTM; the state after the last word represents the sentence.

    Source: the text branch of 2D-TAN (arXiv:1912.03590), section 3.1.
    """

    def __init__(self, text_dim: int, *, hidden_dim: int, num_layers: int) -> None:
        """Build the layers."""
        super().__init__()
        self.lstm = nn.LSTM(text_dim, hidden_dim, num_layers=num_layers, batch_first=True)

    def forward(self, text: TextFeatures) -> Tensor:
        """Return (B, hidden_dim); words after the end of a sentence change nothing. A sentence without words gives zeros."""
        states = self.read_words(text)
        last = (text.mask.sum(1).long() - 1).clamp_min(0)  # (B,)
        index = last[:, None, None].expand(-1, 1, states.shape[-1])
        return torch.gather(states, 1, index)[:, 0]

    def read_words(self, text: TextFeatures) -> Tensor:
        """Return the state after each word, (B, L, hidden_dim), zero after the end of a sentence."""
        states: Tensor = self.lstm(text.tokens)[0]
        return states * text.mask[..., None].to(states.dtype)


class MeanSentenceLSTM(nn.Module):
    """Bidirectional LSTM; the mean state over the words represents the sentence.

    Source: the text branch of MS-2D-TAN (arXiv:2012.02646) and its authors' code. Deviation: the backward
    direction starts at the last word of each sentence; in their code it starts in the padding of the batch.
    """

    def __init__(self, text_dim: int, *, hidden_dim: int, num_layers: int) -> None:
        """Build the layers; each direction has half of `hidden_dim`, which must be even."""
        super().__init__()
        widths = [text_dim] + [hidden_dim] * (num_layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(width, hidden_dim // 2, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(nn.LSTM(width, hidden_dim // 2, batch_first=True) for width in widths)

    def forward(self, text: TextFeatures) -> Tensor:
        """Return (B, hidden_dim); words after the end of a sentence change nothing. A sentence without words gives zeros."""
        states = text.tokens
        for forwards, backwards in zip(self.forwards, self.backwards, strict=True):
            states = read_both_ways(forwards, backwards, states, text.mask)  # (B, L, hidden_dim)
        mask = text.mask[..., None].to(states.dtype)
        return (states * mask).sum(1) / mask.sum(1).clamp_min(1)


def read_both_ways(forwards: nn.Module, backwards: nn.Module, words: Tensor, mask: Tensor) -> Tensor:
    """Return the states of two LSTMs at each word, the second reading from the last word on: (B, L, D) -> (B, L, both widths).

    Each sentence is reversed within its own length, `mask` (B, L), so padding is always last. Neither `nn.LSTM` nor ONNX's
    operator can do this without lengths.
    """
    positions = torch.arange(words.shape[1], device=words.device)
    turned = mask.sum(1, keepdim=True) - 1 - positions  # (B, L), negative at padding
    turn = torch.where(turned >= 0, turned, positions)[..., None]
    read = backwards(words.gather(1, turn.expand_as(words)))[0]
    return torch.cat([forwards(words)[0], read.gather(1, turn.expand_as(read))], dim=-1)
