"""Text-aligned pretraining by MIL-NCE: matches sentences with clips, and clips with sentences, at any place of the picture.

Letters: B clips, P places, D width, Q sentences, V predicted words, L tokens of a sentence.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from corpus.text import Tokenizer, Vocabulary, fold, replace_words, tokenize
from models.contracts.roles import TextStart, VideoEncoder
from models.layers.multiple_instance_nce import compute_multiple_instance_nce
from models.layers.place_alignment import compute_place_scores
from models.objectives.augmentation import AugmentationParams, brighten_clips, flip_clips, shift_clips
from models.objectives.base import ClipBatch, Objective, ObjectiveParams, ObjectiveStep, ObjectiveTraining
from models.training.precision import single_precision


def compute_word_loss(word_scores: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy of a softmax over words against word weights, over clips with any weight.

    `word_scores` (V, B) are logits; `targets` (V, B) are weights >= 0, normalised here to sum 1 per clip.
    """
    totals = targets.sum(dim=0)
    clips = totals > 0
    if not clips.any():
        return word_scores.sum() * 0.0
    goal = targets[:, clips] / totals[clips]
    return -(goal * word_scores[:, clips].log_softmax(dim=0)).sum(dim=0).mean()


def find_words(texts: Sequence[str], words: Sequence[str]) -> NDArray[np.bool_]:
    """Return the occurrence of words in sentences, (Q, V)."""
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
    """Multiple-instance NCE between sentences and clips with places, plus prediction of the words of a clip's sentences.

    Source: Miech et al. 2020 (arXiv:1912.06430), eq. 1. Deviations: a clip keeps its places and its score is the logsumexp
    over them; both directions are separate ratios over one row of scores each, so that a positive occurs once in every
    denominator (the paper has one joint denominator, and the authors' code counts positives twice there); positives come
    from annotated moments instead of captions close in time; the word loss is added.
    """

    def __init__(self, video: VideoEncoder, text: TextStart, params: "MILNCEParams", texts: Sequence[str]) -> None:
        """Count the words of the training sentences `texts`; weights come with the encoders."""
        super().__init__(video)
        self.text = text.encoder
        self.params = params
        self.tokenizer = tokenizer = text.tokenizer
        self.temporal = frozenset(map(fold, params.temporal_words))
        self.words = _choose_words(texts, tokenizer, params.max_predicted_words)
        rarity = compute_rarity([text for text in texts if self.reads(text)], self.words)
        self.register_buffer("word_ids", torch.from_numpy(tokenizer.encode(self.words)), persistent=False)  # (V, L)
        self.register_buffer("rarity", torch.from_numpy(rarity), persistent=False)  # (V,)
        self.mirrored = {fold(word): other for pair in params.mirrored_words for word, other in (pair, pair[::-1])}

    def reads(self, text: str) -> bool:
        """Tell whether a sentence has no temporal word. A single clip cannot show an order in time."""
        return not set(tokenize(text)) & self.temporal

    def forward(self, batch: ClipBatch, generator: np.random.Generator) -> ObjectiveStep:
        """Return the loss. `accuracy` is the share of sentences with a right best clip, `chance` the share for a random clip."""
        frames, texts = self._augment(batch, generator)
        places = self.encode_clips(frames)  # (B, P, D)
        covers = torch.from_numpy(batch.covers).to(places.device)  # (Q, B)
        ids = torch.from_numpy(self.tokenizer.encode(texts)).to(places.device)  # (Q, L)
        sentences, words = self.text(ids).pooled, self.text(self.word_ids).pooled  # (Q, D), (V, D)
        with single_precision(places.device):
            scores = compute_place_scores(places, sentences.float())  # (Q, B)
            parts = {
                "sentence_to_clips": compute_multiple_instance_nce(scores, covers),
                "clip_to_sentences": compute_multiple_instance_nce(scores.T, covers.T),
                "words": self._compute_word_loss(compute_place_scores(places, words.float()), texts, covers),
            }
        loss = parts["sentence_to_clips"] + parts["clip_to_sentences"] + self.params.word_weight * parts["words"]
        return ObjectiveStep(loss, {name: part.detach() for name, part in parts.items()} | _measure(scores, covers))

    def _compute_word_loss(self, scores: Tensor, texts: Sequence[str], covers: Tensor) -> Tensor:
        holds = torch.from_numpy(find_words(texts, self.words)).to(scores.device)  # (Q, V)
        targets = (holds.float().T @ covers.float()) * self.get_buffer("rarity")[:, None]  # (V, B)
        return compute_word_loss(scores, targets)

    def _augment(self, batch: ClipBatch, generator: np.random.Generator) -> tuple[NDArray[np.uint8], Sequence[str]]:
        texts = batch.texts
        if not self.training:
            return batch.frames, texts
        values = self.params.augmentation
        frames = shift_clips(batch.frames, max_px=values.shift_px, generator=generator)
        frames = brighten_clips(frames, amount=values.brightness, generator=generator)
        if generator.random() < values.flip_probability:  # flips the whole batch, so that a sentence shared by videos stays true
            frames = flip_clips(frames, np.ones(len(frames), dtype=bool))
            texts = tuple(replace_words(text, self.mirrored) for text in texts)
        return frames, texts


def _choose_words(texts: Sequence[str], tokenizer: Tokenizer, max_words: int) -> tuple[str, ...]:
    """Return the most frequent words of the sentences among those known to the tokenizer."""
    words = Vocabulary.from_texts(texts).words
    return tuple(word for word in words if not tokenizer.find_unknown(word))[:max_words]


def _measure(scores: Tensor, covers: Tensor) -> dict[str, Tensor]:
    if len(scores) == 0:
        return {}
    hits = covers.gather(1, scores.argmax(dim=1, keepdim=True)).float()
    return {"accuracy": hits.mean().detach(), "chance": covers.float().mean()}


class MILNCEParams(ObjectiveParams):
    """Values of `MILNCEObjective`."""

    reads_sentences: ClassVar[bool] = True

    name: Literal["mil_nce"]
    word_weight: NonNegativeFloat = 0.5
    max_predicted_words: PositiveInt = 1000  # number of most frequent words; bounds memory on large vocabularies
    temporal_words: tuple[str, ...] = ()  # sentences with any of them are left out
    mirrored_words: tuple[tuple[str, str], ...] = ()  # pairs of words that a mirror image swaps
    augmentation: AugmentationParams = AugmentationParams()
    training: ObjectiveTraining

    def build(self, video: VideoEncoder, text: TextStart | None, texts: Sequence[str]) -> MILNCEObjective:
        """Return the objective around both encoders.

        Raises:
            ValueError: when no sentence is left.
        """
        assert text is not None  # `reads_sentences`
        objective = MILNCEObjective(video, text, self, texts)
        if not any(map(objective.reads, texts)):
            raise ValueError(
                f"mil_nce needs training sentences without temporal_words, got none among {len(texts)} sentences; "
                "annotate training videos, or choose: dvc exp run -S pretrain.objective=vicreg"
            )
        return objective
