"""Word segmentation of all scripts and spellings: whole words in one form."""

import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.files import write_json
from corpus.shapes.annotations import annotate
from corpus.shapes.params import ShapesParams
from corpus.shapes.scenes import draw_scenes
from corpus.text import WORD_RULES, Vocabulary, fold, replace_words, tokenize
from corpus.text.folding import compose

ROOT = Path(__file__).resolve().parents[2]
BEFORE = re.compile(r"\w+(?:'\w+)?")  # the rule of English words, which must not change


@pytest.mark.parametrize(
    "text",
    [
        "व्यक्ति गेंद को कूदता है",  # Hindi
        "நாய் குதிக்கிறது",  # Tamil
        "কুকুর দৌড়ায়",  # Bengali
        "కుక్క పరిగెత్తుతుంది",  # Telugu
        "개가 달린다",  # Korean
        "כלב רץ",  # Hebrew
        "الكلب يجري",  # Arabic
        "собака бежит",  # Russian
        "ὁ κύων τρέχει",  # Greek, with accents
        "con chó đang chạy",  # Vietnamese
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_words_between_spaces_are_whole_in_every_script_and_form(text: str, form: str) -> None:
    assert tokenize(unicodedata.normalize(form, text)) == [fold(word) for word in text.split()]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the woman\u2019s dog", ["the", "woman's", "dog"]),
        ("l\u2019homme et l\u02bcenfant", ["l'homme", "et", "l'enfant"]),
        ("STRASSE stra\u00dfe", ["strasse", "strasse"]),
        ("\u0130stanbul ISTANBUL \u0131s\u0131", ["istanbul", "istanbul", "\u0131s\u0131"]),
        ("\ufb01sh \uff46\uff55\uff4c\uff4c m\u00b2", ["fish", "full", "m2"]),
        ("co\u00adoperate well-known", ["cooperate", "well", "known"]),
        ("\u0643\u064e\u0644\u0652\u0628 \u0643\u0640\u0644\u0628", ["\u0643\u0644\u0628"] * 2),  # vowels, tatweel
        (
            "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u05e6\u05d4\u05f4\u05dc",
            ["\u05e9\u05dc\u05d5\u05dd", "\u05e6\u05d4\u05f4\u05dc"],
        ),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            ["\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"],
        ),  # a joiner is invisible
        ("col\u00b7lecci\u00f3", ["col\u00b7lecci\u00f3"]),
        ("a dog \U0001f436 \U0001f469\u200d\U0001f467 runs", ["a", "dog", "runs"]),
        ("\u0e01\u200b\u0e02", ["\u0e01", "\u0e02"]),  # the zero-width space separates words
    ],
)
def test_spellings_of_a_word_are_one_word(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


def test_ideographs_and_hiragana_are_words_one_by_one_and_katakana_is_not() -> None:
    assert tokenize("小狗在跑步。") == list("小狗在跑步")
    assert tokenize("カメラを見る") == ["カメラ", "を", "見", "る"]
    assert tokenize("ｶﾒﾗ") == ["カメラ"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("นักเรียนเดิน", ["นักเรียน", "เดิน"]),  # Thai: the pupil walks
        ("เด็กเล่นน้ำ", ["เด็ก", "เล่น", "น้ำ"]),
        ("ຄົນຍ່າງໄປ", ["ຄົນ", "ຍ່າງ", "ໄປ"]),  # Lao
        ("បុរសរត់", ["បុរស", "រត់"]),  # Khmer
        ("ကလေးပြေးတယ်", ["ကလေး", "ပြေး", "တယ်"]),  # Burmese
    ],
)
def test_text_without_spaces_is_parted_into_clusters_that_a_word_keeps_in_a_sentence(text: str, parts: list[str]) -> None:
    words = tokenize(text)
    assert len(words) > 1
    assert "".join(words) == text
    assert [word for part in parts for word in tokenize(part)] == words
    assert not any(unicodedata.category(word[0]).startswith("M") for word in words)


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=30))
def test_words_are_folded_begin_with_a_letter_and_do_not_depend_on_the_form(text: str) -> None:
    try:
        words = tokenize(text)
    except ValueError:
        return
    assert words == tokenize(fold(text)) or text.isascii()
    assert all(fold(word) == word and not unicodedata.category(word[0]).startswith("M") for word in words)
    assert words == tokenize(unicodedata.normalize("NFD", unicodedata.normalize("NFC", text)))


def test_folding_is_idempotent_for_every_character() -> None:
    folded = (fold(chr(code)) for code in range(0x30000) if not 0xD800 <= code < 0xE000)
    assert [ascii(text) for text in folded if fold(text) != text] == []


def test_english_sentences_have_the_words_that_they_always_had() -> None:
    content = yaml.safe_load((ROOT / "presets" / "render" / "tiny.yaml").read_text(encoding="utf-8"))
    params = ShapesParams.model_validate(content)
    texts = [row["query"] for row in annotate(list(draw_scenes(params, seed=5)), params, seed=5)]
    texts += ["A person's 2nd dog_1 rock'n'roll, isn't well-known: 3.5 m!", "'quoted' \"it\" x''y"]
    assert len(set(texts)) > 100
    for text in texts:
        assert tokenize(text) == BEFORE.findall(text.lower())


def test_replaced_words_are_found_in_every_form_and_the_rest_stays() -> None:
    assert replace_words("Der Hund läuft nach\u0020RECHTS\u2026", {"rechts": "links"}) == "Der Hund läuft nach links\u2026"
    assert replace_words(unicodedata.normalize("NFD", "à gaŭche ou\u2019"), {"gaŭche": "droite"}) == compose("à droite ou'")


def test_a_vocabulary_of_other_rules_names_the_command_that_rebuilds_it(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_texts(["a caf\u00e9", "the cafe\u0301"])
    assert vocabulary.words == ("café", "a", "the")
    vocabulary.save(tmp_path / "words.json")
    assert Vocabulary.load(tmp_path / "words.json") == vocabulary
    write_json(tmp_path / "words.json", {"words": ["a"]})
    with pytest.raises(ValueError, match=rf"holds words by the rules None, .* {WORD_RULES}; run: dvc repro --force export"):
        Vocabulary.load(tmp_path / "words.json")
