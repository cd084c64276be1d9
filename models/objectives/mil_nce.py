"""Text-aligned pretraining: a sentence must find its clips, and a clip its sentences, at some place of the picture.

Letters: B clips, P places, D width, Q sentences, V predicted words, L tokens of a sentence.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from corpus.text import Tokenizer, Vocabulary, replace_words, tokenize
from models.exchange.roles import TextEncoder, VideoEncoder
from models.layers.multiple_instance_nce import compute_multiple_instance_nce
from models.objectives.augmentation import AugmentationParams, brighten_clips, flip_clips, shift_clips
from models.objectives.base import ClipBatch, Objective, ObjectiveParams, ObjectiveStep, Schedule


def compute_place_scores(places: Tensor, texts: Tensor) -> Tensor:
    """Score texts against clips: logsumexp over places of the dot product. (B, P, D), (Q, D) -> (Q, B).

    A sentence vector is the sum of its words, so all words of a sentence must agree at one place.
    """
    if places.shape[-1] != texts.shape[-1]:
        raise ValueError(
            f"mil_nce needs clip and sentence vectors of one width, got {places.shape[-1]} and {texts.shape[-1]}; "
            "give the presets of encoder and text_encoder the same dim"
        )
    return torch.einsum("bpd,qd->qbp", places, texts).logsumexp(dim=-1)


def compute_word_loss(word_scores: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of a softmax over words against word weights, over the clips that have any.

    `word_scores` (V, B) are logits, `targets` (V, B) weights >= 0, normalised here to sum 1 per clip.
    """
    totals = targets.sum(dim=0)
    clips = totals > 0
    if not clips.any():
        return word_scores.sum() * 0.0
    goal = targets[:, clips] / totals[clips]
    return -(goal * word_scores[:, clips].log_softmax(dim=0)).sum(dim=0).mean()


def find_words(texts: Sequence[str], words: Sequence[str]) -> NDArray[np.bool_]:
    """Return which sentences hold which words, (Q, V)."""
    columns = {word: column for column, word in enumerate(words)}
    found = np.zeros((len(texts), len(words)), dtype=bool)
    for row, text in enumerate(texts):
        found[row, [columns[word] for word in tokenize(text) if word in columns]] = True
    return found


def compute_rarity(texts: Sequence[str], words: Sequence[str]) -> NDArray[np.float32]:
    """Return log(sentences / sentences with the word) for every word, (V,); 0 for words in no sentence."""
    counts = find_words(texts, words).sum(axis=0).astype(np.float64)
    rarity: NDArray[np.float64] = np.log(np.divide(len(texts), counts, out=np.ones_like(counts), where=counts > 0))
    return rarity.astype(np.float32)


class MILNCEObjective(Objective):
    """Multiple-instance NCE between sentences and clips with places, and prediction of the words of a clip's sentences.

    Source: Miech et al. 2020 (arXiv:1912.06430), eq. 1. Deviations: a clip keeps its places and its score is the
    logsumexp over them; both directions are separate ratios, each over one row of scores, so that a positive stands once in every
    denominator (the paper has one joint denominator; the authors' code counts positives twice in it); positives are known
    from annotated moments instead of being candidates close in time; the word loss is added.
    """

    def __init__(
        self, video: VideoEncoder, text: TextEncoder, params: "MILNCEParams", tokenizer: Tokenizer, texts: Sequence[str]
    ) -> None:
        """Count the words of the training sentences `texts`; weights come with the encoders."""
        super().__init__(video, text)
        self.params = params
        self.tokenizer = tokenizer
        self.words = _choose_words(texts, tokenizer, params.max_predicted_words)
        rarity = compute_rarity([text for text in texts if self.reads(text)], self.words)
        self.register_buffer("word_ids", torch.from_numpy(tokenizer.encode(self.words)), persistent=False)  # (V, L)
        self.register_buffer("rarity", torch.from_numpy(rarity), persistent=False)  # (V,)
        self.mirrored = {word: other for pair in params.mirrored_words for word, other in (pair, pair[::-1])}

    def reads(self, text: str) -> bool:
        """Leave out sentences that speak of an order in time: one clip cannot show it."""
        return not set(tokenize(text)) & set(self.params.temporal_words)

    def forward(self, batch: ClipBatch, generator: np.random.Generator) -> ObjectiveStep:
        """Return the loss; `accuracy` is the share of sentences whose best clip is a true one, `chance` that of a random clip."""
        frames, texts = self._augment(batch, generator)
        places = self.encode_clips(frames)  # (B, P, D)
        covers = torch.from_numpy(batch.covers).to(places.device)  # (Q, B)
        ids = torch.from_numpy(self.tokenizer.encode(texts)).to(places.device)  # (Q, L)
        scores = compute_place_scores(places, self.text(ids).pooled)  # (Q, B)
        parts = {
            "sentence_to_clips": compute_multiple_instance_nce(scores, covers),
            "clip_to_sentences": compute_multiple_instance_nce(scores.T, covers.T),
            "words": self._compute_word_loss(places, texts, covers),
        }
        loss = parts["sentence_to_clips"] + parts["clip_to_sentences"] + self.params.word_weight * parts["words"]
        return ObjectiveStep(loss, {name: part.detach() for name, part in parts.items()} | _measure(scores, covers))

    def _compute_word_loss(self, places: Tensor, texts: Sequence[str], covers: Tensor) -> Tensor:
        vectors = self.text(self.word_ids).pooled  # (V, D)
        holds = torch.from_numpy(find_words(texts, self.words)).to(places.device)  # (Q, V)
        targets = (holds.float().T @ covers.float()) * self.get_buffer("rarity")[:, None]  # (V, B)
        return compute_word_loss(compute_place_scores(places, vectors), targets)

    def _augment(self, batch: ClipBatch, generator: np.random.Generator) -> tuple[NDArray[np.uint8], Sequence[str]]:
        texts = batch.texts
        if not self.training:
            return batch.frames, texts
        values = self.params.augmentation
        frames = shift_clips(batch.frames, max_px=values.shift_px, generator=generator)
        frames = brighten_clips(frames, amount=values.brightness, generator=generator)
        if generator.random() < values.flip_probability:  # the whole batch, so that a sentence shared by videos stays true
            frames = flip_clips(frames, np.ones(len(frames), dtype=bool))
            texts = tuple(replace_words(text, self.mirrored) for text in texts)
        return frames, texts


def _choose_words(texts: Sequence[str], tokenizer: Tokenizer, max_words: int) -> tuple[str, ...]:
    """Return the most frequent words of the sentences that the tokenizer knows."""
    words = Vocabulary.from_texts(texts).words
    return tuple(word for word in words if not tokenizer.find_unknown(word))[:max_words]


def _measure(scores: Tensor, covers: Tensor) -> dict[str, Tensor]:
    if len(scores) == 0:
        return {}
    hits = covers.gather(1, scores.argmax(dim=1, keepdim=True)).float()
    return {"accuracy": hits.mean().detach(), "chance": covers.float().mean()}


class MILNCEParams(ObjectiveParams):
    """Values of `MILNCEObjective`."""

    name: Literal["mil_nce"]
    word_weight: NonNegativeFloat = 0.5
    max_predicted_words: PositiveInt = 1000  # the most frequent ones; bounds memory on large vocabularies
    temporal_words: tuple[str, ...] = ()  # sentences with one of them are left out
    mirrored_words: tuple[tuple[str, str], ...] = ()  # words that change places in a mirror image
    augmentation: AugmentationParams = AugmentationParams()
    schedule: Schedule

    def build(self, video: VideoEncoder, text: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> MILNCEObjective:
        """Return the objective around both encoders.

        Raises:
            ValueError: when there is no sentence to learn from.
        """
        objective = MILNCEObjective(video, text, self, tokenizer, texts)
        if not any(map(objective.reads, texts)):
            raise ValueError(
                f"mil_nce needs training sentences without temporal_words, got none among {len(texts)} sentences; "
                "annotate training videos, or choose: dvc exp run -S pretrain.objective=vicreg"
            )
        return objective
