"""Tiny pretrained encoders in the published file formats: tokenizers trained on a few sentences, random networks."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = ("a red circle moves left", "the blue square spins", "then the green circle leaves", "a square grows and shrinks")
CLIP_START, CLIP_END = "<|startoftext|>", "<|endoftext|>"
CLIP_PICTURES = {  # of openai/clip-vit-base-patch32, except for the size
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
}


@functools.cache  # training orders equally frequent pieces at random
def train_word_pieces(sentences: tuple[str, ...] = SENTENCES) -> str:
    """Return a tokenizer.json like BERT's: [CLS] and [SEP] around a sentence, [UNK] for unknown pieces, padding id 0."""
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
    """Return a tokenizer.json like CLIP's: every byte has a token, and the end token is also the padding."""
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


def save_clip(folder: Path, *, seed: int = 0, image_px: int = 8, **values: Any) -> Path:
    """Write a tiny complete CLIP: text and picture tower, tokenizer and picture preparation."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 12}
    vision = sizes | {"image_size": image_px, "patch_size": 4}
    return _save_clip(folder, sizes | values, vision, image_px=image_px, dim=12, seed=seed)


def save_vit_b32(folder: Path, *, seed: int = 0) -> Path:
    """Write a CLIP of the size of ViT-B/32 with random weights; only its vocabulary is small.

    The sizes are the defaults of `CLIPConfig`: those of openai/clip-vit-base-patch32.
    """
    return _save_clip(folder, {}, {}, image_px=224, dim=512, seed=seed)


def _save_clip(folder: Path, text: Mapping[str, Any], vision: Mapping[str, Any], *, image_px: int, dim: int, seed: int) -> Path:
    import torch
    from transformers import CLIPConfig, CLIPModel

    tokenizer = train_byte_pairs()
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {"vocab_size": _count(tokenizer), "max_position_embeddings": 77, **ends, **text}
    config = CLIPConfig(text_config=text, vision_config=dict(vision), projection_dim=dim)
    torch.manual_seed(seed)
    _save(CLIPModel(config), tokenizer, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(CLIP_PICTURES | {"size": image_px, "crop_size": image_px}))
    return folder


def save_siglip(folder: Path, *, image_px: int = 8) -> Path:
    """Write a tiny whole SigLIP: no causal mask, sentences padded to 16 tokens with their end token."""
    import torch
    from transformers import SiglipConfig, SiglipModel

    tokenizer, end = train_byte_pairs(), 1
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = sizes | {"vocab_size": _count(tokenizer), "max_position_embeddings": 16, "projection_size": 16}
    text |= {"bos_token_id": 0, "eos_token_id": end, "pad_token_id": end}
    torch.manual_seed(0)
    config = SiglipConfig(text_config=text, vision_config=sizes | {"image_size": image_px, "patch_size": 4})
    _save(SiglipModel(config), tokenizer, folder)
    pictures = {"size": {"height": image_px, "width": image_px}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures | {"do_center_crop": False}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": CLIP_END}))
    return folder


def save_open_clip(folder: Path, clip: Path, *, image_px: int = 8) -> Path:
    """Write a tiny CLIP that `save_clip` wrote in open_clip's own files."""
    from safetensors.torch import load_file, save_file

    from open_clip_names import name_clip  # which imports torch

    folder.mkdir()
    named = name_clip(load_file(clip / "model.safetensors"))
    save_file({name: weight.contiguous() for name, weight in named.items()}, folder / "open_clip_model.safetensors")
    tokenizer = (clip / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    vision = {"image_size": image_px, "layers": 2, "width": 16, "head_width": 8, "mlp_ratio": 2.0, "patch_size": 4}
    text = {"context_length": 77, "vocab_size": _count(tokenizer), "width": 16, "heads": 2, "layers": 2, "mlp_ratio": 2.0}
    model = {"embed_dim": 12, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": {}}), encoding="utf-8")
    return folder


def save_bert(folder: Path, *, seed: int = 0, **values: Any) -> Path:
    """Write a tiny BERT with its tokenizer in the format of sentence-transformers: mean pooling, then length 1."""
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
    """Write word vectors in GloVe's format: one word and its numbers per line."""
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
