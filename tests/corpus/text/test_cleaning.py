"""Cleaning of sentences for published tokenizers, and the ids that come of it.

What `open_clip` and `open_clip_canonical` give here is what the functions of open_clip 3.3.0 with ftfy 6.3.1 give. With the
vocabulary of CLIP, which is not kept here, the ids of these sentences are those of its `SimpleTokenizer` too.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from corpus.text import PretrainedTokenizer, load_tokenizer
from corpus.text.cleaning import clean
from tiny_text import CLIP_END, CLIP_START, train_byte_pairs

HARD = (
    "a red circle moves left",
    "🎉",
    "👩‍👩‍👧‍👦 family 🇩🇪",
    "",
    "  tabs\tand\nlines  ",
    "it’s a “dog”, isn't it?",
    "<b>bold</b> &amp; more",
    "日本語のテキスト、これ。",
    "Привет, МИР!",
    "مرحبا بالعالم",
    "นก ไทย",
    "cafe\u0301 ＦＵＬＬ ﬁne",
    "the red circle " * 40,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It’s a “Dog” — isn't it?", "it's a \"dog\" — isn't it?"),
        ("Fish &amp; chips &lt;b&gt;", "fish & chips <b>"),
        ("&amp;amp; &eacute; &EACUTE; &#128512; &bogus;", "& é é 😀 &bogus;"),
        ("a<b &gt; c\nd &gt; e", "a<b > c d > e"),
        ("line\r\nbreak\u2028next", "line break next"),
        ("ﬁne ﬂuﬀ ŉ Ǆ ﬅ", "fine fluff 'n dž ſt"),
        ("ＦＵＬＬ　width ｶﾞ", "full width ガ"),
        ("e\u0301 cafe\u0301", "é café"),
        ("\ufeffa\x00\x07b\x1b[31mred\x1b[0m", "abred"),
        ("x\u00a0y\u200bz", "x y\u200bz"),
        ("pause\x85", "pause…"),
        ("  \t ", ""),
        ("🎉 Привет", "🎉 привет"),
        ("a cafÃ© in MÃ¼nchen", "a café in münchen"),  # UTF-8 read as Windows-1252
        ("l’humanitÃ©", "l'humanité"),
        ("donâ€™t", "don't"),
        ("â€œquotedâ€\x9d", '"quoted"'),
        ("ðŸ˜€ schÃ¶n &amp; gut", "😀 schön & gut"),
        ("âœ” No problems", "✔ no problems"),
        ("vis-Ã -vis", "vis-ã -vis"),  # too little is broken to be sure
    ],
)
def test_a_sentence_is_what_open_clip_makes_of_it(text: str, expected: str) -> None:
    assert clean(text, "open_clip") == expected


def test_surrogates_become_the_character_that_they_spell() -> None:
    assert clean("\ud83d\ude00 \ud800", "open_clip") == "😀 \ufffd"


@pytest.mark.parametrize(
    ("cleaning", "expected"),
    [
        ("none", "A dog_s “Toy”,  isn't IT?&amp;"),
        ("composed", "A dog_s “Toy”,  isn't IT?&amp;"),
        ("lower_case", "a dog_s “toy”,  isn't it?&amp;"),
        ("canonical", "a dogs “toy” isnt itamp"),
        ("open_clip_canonical", "a dog s toy isnt it"),
    ],
)
def test_each_kind_of_cleaning_by_hand(cleaning: Any, expected: str) -> None:
    assert clean("A dog_s “Toy”,  isn't IT?&amp;", cleaning) == expected


@pytest.mark.parametrize("cleaning", ["composed", "none", "lower_case", "canonical", "open_clip", "open_clip_canonical"])
def test_to_clean_again_changes_nothing(cleaning: Any) -> None:
    for text in HARD:
        once = clean(text, cleaning)
        assert clean(once, cleaning) == once


def test_the_cleaning_is_kept_with_the_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(train_byte_pairs(), encoding="utf-8")
    plain, own = (PretrainedTokenizer.load(tmp_path / "tokenizer.json", kind) for kind in ("composed", "open_clip"))
    assert plain.digest != own.digest
    own.cut(16).save(tmp_path / "kept" / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "kept", {"tokenizer.json"})
    assert loaded.digest == own.cut(16).digest
    assert loaded.encode(["Red &amp; BLUE"]).tolist() == own.encode(["red & blue"]).tolist()
    plain.save(tmp_path / "plain" / "tokenizer.json")
    assert "cleaning" not in json.loads((tmp_path / "plain" / "tokenizer.json").read_text(encoding="utf-8"))


def test_sentences_that_need_no_repair_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    assert PretrainedTokenizer(train_byte_pairs(), "none").packages == ("tokenizers",)
    with pytest.raises(ImportError, match=r"package ftfy; install it: pip install 'cuepoint\[text\]'"):
        PretrainedTokenizer(train_byte_pairs(), "open_clip")


def test_a_tokenizer_of_open_clip_asks_for_the_package_that_repairs() -> None:
    assert PretrainedTokenizer(train_byte_pairs(), "open_clip").packages == ("tokenizers", "ftfy")


@pytest.mark.parametrize("cleaning", ["none", "open_clip"])
def test_a_sentence_without_words_has_ids_where_the_makers_of_the_model_give_it_some(cleaning: Any, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(train_byte_pairs(), encoding="utf-8")
    tokenizer = PretrainedTokenizer.load(tmp_path / "tokenizer.json", cleaning)
    assert tokenizer.encode([""]).tolist() == [[1, 2]]  # start and end
    assert tokenizer.encode(["🎉"]).shape[1] > 2
    with pytest.raises(ValueError, match="has no words"):
        PretrainedTokenizer.load(tmp_path / "tokenizer.json").encode(["🎉"])


@pytest.mark.slow  # importing transformers takes seconds
def test_the_ids_of_clip_are_those_of_transformers(tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    model = json.loads(train_byte_pairs())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    vocabulary = {token: number for number, token in enumerate([*model["vocab"], "a</w>", "r</w>"])}
    reference = CLIPTokenizer(vocab=vocabulary, merges=merges, bos_token=CLIP_START, eos_token=CLIP_END)
    reference.save_pretrained(tmp_path)
    own = PretrainedTokenizer.load(tmp_path / "tokenizer.json", "none").cut(77)
    for text in HARD:
        assert (own.encode([text])[0] - 1).tolist() == reference(text, truncation=True, max_length=77)["input_ids"]


@pytest.mark.slow
def test_the_ids_of_siglip_2_are_those_of_transformers(tmp_path: Path) -> None:
    from transformers import Siglip2Tokenizer

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{number:02X}>" for number in range(256)), "▁", *"aredcil"]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, "re", "red"])}
    reference = Siglip2Tokenizer(vocab=vocabulary, merges=[("r", "e"), ("re", "d")])
    raw = Tokenizer.from_str(reference.backend_tokenizer.to_str())
    definition = json.loads(raw.to_str())
    definition["normalizer"] = definition["normalizer"]["normalizers"][-1]  # the hub's file lacks the lower case
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")
    own = PretrainedTokenizer.load(tmp_path / "tokenizer.json", "lower_case")
    for text in filter(None, ("A RED circle", *HARD)):
        assert (own.encode([text])[0] - 1).tolist() == reference(text)["input_ids"]
