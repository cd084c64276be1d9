"""Tokenizer of a pretrained text encoder: ids from 1, padding 0, and equal ids after a round trip."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Original

from corpus.text import PADDING, PretrainedTokenizer, Tokenizer, Vocabulary, load_tokenizer
from tiny_text import CLIP_END, SENTENCES, train_byte_pairs, train_word_pieces

Train = Callable[[], str]
KINDS = pytest.mark.parametrize("train", [train_word_pieces, train_byte_pairs])


def read(train: Train) -> PretrainedTokenizer:
    return PretrainedTokenizer(train())


@KINDS
def test_ids_are_those_of_the_file_plus_one_and_only_padding_is_zero(train: Train) -> None:
    tokenizer, original = read(train), Original.from_str(train())
    original.no_padding()
    texts = ["a red circle", "the blue square spins and shrinks"]
    ids = tokenizer.encode(texts)
    for row, text in zip(ids, texts, strict=True):
        expected = [number + 1 for number in original.encode(text).ids]
        assert row[row != PADDING].tolist() == expected
        assert row[: len(expected)].tolist() == expected
    assert ids.max() < len(tokenizer)


def test_a_token_that_the_file_names_as_padding_stays_a_token() -> None:
    original = Original.from_str(train_byte_pairs())
    end = original.token_to_id(CLIP_END)
    assert original.padding["pad_id"] == end
    ids = read(train_byte_pairs).encode(["a red circle moves left", "a"])
    assert [int(row[row != PADDING][-1]) for row in ids] == [end + 1, end + 1]


@KINDS
def test_a_sentence_has_the_same_ids_alone_and_in_a_batch(train: Train) -> None:
    tokenizer = read(train)
    batch = tokenizer.encode(SENTENCES)
    for row, text in zip(batch, SENTENCES, strict=True):
        assert row[row != PADDING].tolist() == tokenizer.encode([text])[0].tolist()


@KINDS
def test_it_survives_saving_with_its_ids_digest_and_bytes(train: Train, tmp_path: Path) -> None:
    tokenizer = read(train).cut(7)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = PretrainedTokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.encode(SENTENCES).tolist() == tokenizer.encode(SENTENCES).tolist()
    assert (loaded.digest, len(loaded)) == (tokenizer.digest, len(tokenizer))
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()


@KINDS
def test_cutting_keeps_the_token_that_ends_a_sentence_and_changes_the_digest(train: Train) -> None:
    whole = read(train)
    cut = whole.cut(5)
    long, short = whole.encode([SENTENCES[0]])[0], cut.encode([SENTENCES[0]])[0]
    assert len(short) == 5
    assert (short[0], short[-1]) == (long[0], long[-1])
    assert cut.digest != whole.digest


def test_a_sentence_that_spells_a_special_token_holds_none() -> None:
    tokenizer = read(train_byte_pairs)
    end = tokenizer.encode(["a"])[0][-1]
    assert tokenizer.encode([f"a {CLIP_END} circle"])[0].tolist().count(end) == 1


def test_unknown_words_are_named_where_a_token_stands_for_them_and_nowhere_else() -> None:
    assert read(train_word_pieces).find_unknown("the purple circle 時") == ["時"]
    assert read(train_byte_pairs).find_unknown("the purple circle 時") == []


@KINDS
@pytest.mark.parametrize("text", ["", "  ", "?!..."])
def test_a_sentence_without_words_is_refused_as_by_every_tokenizer(train: Train, text: str) -> None:
    with pytest.raises(ValueError, match="has no words; write what happens in the video"):
        read(train).encode(["a red circle", text])


@pytest.mark.parametrize("content", [b"{}", b"[1, 2", b'{"version": "1.0", "model": {"type": "Magic"}}', b"\xff\xfe"])
def test_a_file_that_is_not_a_tokenizer_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json is not a tokenizer of the package tokenizers"):
        PretrainedTokenizer.load(path)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read(train_word_pieces).save(tmp_path / "tokenizer.json")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"needs the package tokenizers; install it: pip install 'cuepoint\[text\]'"):
        PretrainedTokenizer.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("build", [lambda: Vocabulary(("red", "blue")), lambda: read(train_byte_pairs)])
def test_a_folder_gives_back_the_tokenizer_that_its_files_name(build: Callable[[], Tokenizer], tmp_path: Path) -> None:
    tokenizer = build()
    tokenizer.save(tmp_path / tokenizer.file_name)
    loaded = load_tokenizer(tmp_path, {tokenizer.file_name, "config.json"})
    assert type(loaded) is type(tokenizer)
    assert loaded.digest == tokenizer.digest


@pytest.mark.parametrize("names", [("config.json",), ("tokenizer.json", "vocabulary.json")])
def test_a_folder_with_no_tokenizer_or_two_is_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must list one tokenizer, vocabulary\.json or tokenizer\.json, among its files"):
        load_tokenizer(tmp_path, names)


@KINDS
def test_the_forms_and_apostrophes_of_a_sentence_get_the_same_ids(train: Train) -> None:
    tokenizer = read(train)
    expected = tokenizer.encode(["the caf\u00e9's square"]).tolist()
    assert tokenizer.encode(["the cafe\u0301\u2019s square"]).tolist() == expected
