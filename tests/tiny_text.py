"""Pretrained text encoders as their makers publish them, but tiny: tokenizers trained on a few sentences, random networks."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = ("a red circle moves left", "the blue square spins", "then the green circle leaves", "a square grows and shrinks")
CLIP_START, CLIP_END = "<|startoftext|>", "<|endoftext|>"


@functools.cache  # training orders equally frequent pieces by chance
def train_word_pieces(sentences: tuple[str, ...] = SENTENCES) -> str:
    """Return a tokenizer.json as BERT has: [CLS] and [SEP] around a sentence, [UNK] for what it never saw, padding id 0."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    return _surround(tokenizer, "[CLS]", "[SEP]")


@functools.cache
def train_byte_pairs(sentences: tuple[str, ...] = SENTENCES) -> str:
    """Return a tokenizer.json as CLIP has: every byte has a token, and the token that ends a sentence is the padding too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[CLIP_START, CLIP_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(CLIP_END), pad_token=CLIP_END)
    return _surround(tokenizer, CLIP_START, CLIP_END)


def save_clip(folder: Path, *, seed: int = 0, **values: Any) -> Path:
    """Write a tiny whole CLIP, text and picture tower, with its tokenizer."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    tokenizer = train_byte_pairs()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 12}
    text = sizes | {"vocab_size": _count(tokenizer), "max_position_embeddings": 77, **values}
    config = CLIPConfig(text_config=text, vision_config=sizes | {"image_size": 8, "patch_size": 4}, projection_dim=12)
    torch.manual_seed(seed)
    return _save(CLIPModel(config), tokenizer, folder)


def save_bert(folder: Path, *, seed: int = 0, **values: Any) -> Path:
    """Write a tiny BERT with its tokenizer, in the files of the package sentence-transformers: mean, then length 1."""
    import torch
    from transformers import BertConfig, BertModel

    tokenizer = train_word_pieces()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(**sizes, vocab_size=_count(tokenizer), max_position_embeddings=300, **values)
    torch.manual_seed(seed)
    _save(BertModel(config), tokenizer, folder)
    kinds = ("Transformer", "Pooling", "Normalize")
    (folder / "modules.json").write_text(json.dumps([{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def save_vectors(path: Path, vectors: dict[str, Sequence[float]]) -> Path:
    """Write word vectors in GloVe's form: a word and its numbers a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [" ".join([word, *map(str, numbers)]) for word, numbers in vectors.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _count(tokenizer: str) -> int:
    return int(Tokenizer.from_str(tokenizer).get_vocab_size())


def _surround(tokenizer: Tokenizer, start: str, end: str) -> str:
    special = [(name, tokenizer.token_to_id(name)) for name in (start, end)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=special)
    content: str = tokenizer.to_str()
    return content


def _save(network: Any, tokenizer: str, folder: Path) -> Path:
    from transformers.utils import logging

    logging.disable_progress_bar()
    network.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    return folder
