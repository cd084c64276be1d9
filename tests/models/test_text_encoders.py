"""Contract of every text encoder, and tests of single encoders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.text import PADDING, UNKNOWN, Vocabulary
from models.artefacts.encoder_files import load_encoders, save_encoders
from models.contracts.roles import TextEncoder, TextStart
from models.encoders.text.glove import GloVeParams, read_vectors
from models.encoders.text.lstm import LSTMTextParams
from models.encoders.text.transformer import TransformerTextParams, compute_sine_positions
from models.encoders.text.word_vectors import WordVectorsParams
from tiny_text import SENTENCES, save_vectors

IDS = torch.tensor([[2, 3, 4], [5, 2, 0]])
WORDS = Vocabulary.from_texts(SENTENCES).words
Start = Callable[[Path], TextStart]


def start_glove(folder: Path, **values: Any) -> TextStart:
    generator = np.random.default_rng(0)
    path = save_vectors(folder / "vectors.txt", {word: generator.normal(size=6).round(3).tolist() for word in WORDS})
    return GloVeParams(name="glove", path=str(path), **{"vector_dim": 6, "dim": 8, **values}).start(SENTENCES)


SCRATCH: dict[str, Start] = {
    "word_vectors": lambda _: WordVectorsParams(name="word_vectors", dim=8).start(SENTENCES),
    "lstm": lambda _: LSTMTextParams(name="lstm", dim=8, hidden_dim=6, num_layers=2).start(SENTENCES),
    "transformer": lambda _: TransformerTextParams(name="transformer", dim=8, hidden_dim=8, num_heads=2).start(SENTENCES),
    "glove": start_glove,
}
EVERY = pytest.mark.parametrize("name", SCRATCH)


@pytest.fixture
def start(name: str, tmp_path: Path) -> TextStart:
    """Return an encoder whose initial zero weights are replaced."""
    torch.manual_seed(0)
    found = SCRATCH[name](tmp_path)
    with torch.no_grad():
        for key, weight in found.encoder.named_parameters():
            if key.startswith("context"):
                weight.normal_(std=0.3)
    return found._replace(encoder=found.encoder.eval())


@EVERY
def test_every_text_encoder_gives_token_vectors_their_mask_and_one_sentence_vector(start: TextStart) -> None:
    features = start.encoder(IDS)
    assert features.pooled.shape == (2, 8)
    assert features.tokens.shape == (2, 3, 8)
    assert features.mask.tolist() == [[True, True, True], [True, True, False]]
    assert features.tokens[1, 2].abs().sum() == 0


@EVERY
def test_a_sentence_gives_the_same_alone_padded_and_in_a_batch(start: TextStart) -> None:
    batch = start.encoder(torch.from_numpy(start.tokenizer.encode(SENTENCES)))
    for row, text in enumerate(SENTENCES):
        ids = torch.from_numpy(start.tokenizer.encode([text]))
        alone, padded = start.encoder(ids), start.encoder(torch.nn.functional.pad(ids, (0, 4)))
        for other in (batch.pooled[row], padded.pooled[0]):
            torch.testing.assert_close(other, alone.pooled[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(batch.tokens[row, : ids.shape[1]], alone.tokens[0], atol=1e-5, rtol=1e-4)


@EVERY
def test_gradients_reach_everything_that_learns_and_are_finite(start: TextStart) -> None:
    start.encoder.train()(IDS).pooled.square().sum().backward()
    learning = {name: weight for name, weight in start.encoder.named_parameters() if weight.requires_grad}
    assert learning
    assert [name for name, weight in learning.items() if weight.grad is None or not weight.grad.isfinite().all()] == []


@EVERY
def test_words_that_nobody_knows_give_a_finite_vector_and_are_named(start: TextStart) -> None:
    features = start.encoder(torch.from_numpy(start.tokenizer.encode(["zebras yodel"])))
    assert features.pooled.isfinite().all()
    assert start.tokenizer.find_unknown("zebras yodel") == ["zebras", "yodel"]


@EVERY
def test_equal_seeds_give_equal_weights(name: str, tmp_path: Path) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(4)
        states.append(SCRATCH[name](tmp_path).encoder.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@EVERY
def test_a_saved_encoder_gives_the_same_without_its_sources(start: TextStart, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    save_encoders(folder, streams={}, text_params=start.params, text=start.encoder, tokenizer=start.tokenizer)
    (tmp_path / "vectors.txt").unlink(missing_ok=True)
    loaded = load_encoders(folder)
    ids = torch.from_numpy(loaded.tokenizer.encode(SENTENCES))
    torch.testing.assert_close(loaded.text(ids).pooled, start.encoder(ids).pooled)


def build_words(**values: Any) -> TextEncoder:
    torch.manual_seed(0)
    return WordVectorsParams(name="word_vectors", **values).build(8).eval()


def test_word_vectors_pool_by_sum_or_by_mean_over_the_words() -> None:
    total, mean = build_words(pooling="sum")(IDS), build_words(pooling="mean")(IDS)
    torch.testing.assert_close(total.pooled, total.tokens.sum(dim=1))
    torch.testing.assert_close(mean.pooled, total.pooled / torch.tensor([[3.0], [2.0]]))


def test_unknown_words_add_nothing_and_the_padding_row_never_learns() -> None:
    encoder = build_words()
    known = encoder(torch.tensor([[2, 3]])).pooled
    torch.testing.assert_close(encoder(torch.tensor([[2, UNKNOWN, 3]])).pooled, known)
    encoder(IDS).pooled.sum().backward()
    gradient = next(encoder.parameters()).grad
    assert gradient is not None
    assert gradient[PADDING].abs().sum() == 0


@pytest.mark.parametrize("params", [LSTMTextParams(name="lstm"), TransformerTextParams(name="transformer")])
def test_learning_starts_from_a_bag_of_words_and_context_tells_orders_apart(params: Any) -> None:
    torch.manual_seed(0)
    encoder = params.build(8).eval()
    there, back = torch.tensor([[2, 3, 4]]), torch.tensor([[4, 3, 2]])
    torch.testing.assert_close(encoder(there).pooled, encoder.table(there).sum(1))
    torch.nn.init.normal_(encoder.context.weight)
    assert (encoder(there).pooled - encoder(back).pooled).abs().max() > 1e-3


def test_positions_are_sines_and_cosines_of_falling_rates() -> None:
    found = compute_sine_positions(4, 6, device=torch.device("cpu"))
    for position in range(4):
        for column in range(6):
            angle = position / 10000 ** (2 * (column // 2) / 6)
            expected = np.sin(angle) if column % 2 == 0 else np.cos(angle)
            assert found[position, column].item() == pytest.approx(expected, abs=1e-6)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hidden_dim must be a multiple of 2 \* num_heads, got 10 with num_heads = 4"):
        TransformerTextParams(name="transformer", hidden_dim=10, num_heads=4)


def test_glove_gives_the_vectors_of_the_file_and_zero_for_words_that_it_lacks(tmp_path: Path) -> None:
    path = save_vectors(tmp_path / "v.txt", {"red": [1, 2], "zoo": [9, 9], "circle": [0.5, -3]})
    params = GloVeParams(name="glove", path=str(path), vector_dim=2, dim=None)
    start = params.start(["Red circle.", "a red square"])
    assert start.tokenizer == Vocabulary(("red", "circle"))
    features = start.encoder(torch.from_numpy(start.tokenizer.encode(["the red, circle"])))
    assert features.tokens[0].tolist() == [[0, 0], [1, 2], [0.5, -3]]
    assert features.pooled[0].tolist() == [1.5, -1]
    assert start.tokenizer.find_unknown("the red, circle") == ["the"]


def test_glove_keeps_the_first_words_of_the_file_where_it_is_told(tmp_path: Path) -> None:
    path = save_vectors(tmp_path / "v.txt", {"the": [1, 1], "of": [2, 2], "zoo": [3, 3], "red": [4, 4]})
    start = GloVeParams(name="glove", path=str(path), vector_dim=2, dim=None, most_frequent=2).start(["a red square"])
    assert start.tokenizer == Vocabulary(("red", "the", "of"))
    assert start.encoder(torch.from_numpy(start.tokenizer.encode(["the"]))).pooled.tolist() == [[1, 1]]


@pytest.mark.parametrize(("projection", "learns"), [("learned", True), ("fixed", False)])
def test_only_the_projection_of_a_frozen_encoder_can_learn(projection: str, learns: bool, tmp_path: Path) -> None:
    encoder = start_glove(tmp_path, projection=projection).encoder
    learning = [name for name, weight in encoder.named_parameters() if weight.requires_grad]
    assert learning == (["projection.weight"] if learns else [])
    assert not encoder.train().frozen.training


def test_a_missing_file_of_vectors_says_where_to_get_it_and_where_to_put_it(tmp_path: Path) -> None:
    params = GloVeParams(name="glove", path=str(tmp_path / "glove.6B.300d.txt"))
    with pytest.raises(
        FileNotFoundError, match=r"glove\.6B\.300d\.txt does not exist.*https://nlp\.stanford\.edu/projects/glove"
    ):
        params.start(SENTENCES)


def test_another_file_than_the_preset_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has the sha256 .* but the preset names 00"):
        start_glove(tmp_path, sha256="0" * 64)


def test_a_file_without_a_word_of_the_corpus_is_refused(tmp_path: Path) -> None:
    path = save_vectors(tmp_path / "v.txt", {"zoo": [9, 9]})
    with pytest.raises(ValueError, match="has a vector for none of the 3 words"):
        GloVeParams(name="glove", path=str(path), vector_dim=2).start(["a red square"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"blue 1", r"line 2 must be a word and 2 numbers, got b'blue 1' with 1"),
        (b"", r"line 2 must be a word and 2 numbers, got b'' with 0"),
        (b"blue 1 two", r"line 2: could not convert string to float"),
        (b"blue 1 nan", r"line 2 holds a number that is not finite"),
        (b"blue 1 1e99", r"line 2 holds a number that is not finite"),
        (b"\xff\xfe 1 2", r"line 2: the word b'\\xff\\xfe' is not UTF-8"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(line: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(b"red 1 2\n" + line + b"\ngreen 3 4\n")
    with pytest.raises(ValueError, match=message):
        read_vectors(path, vector_dim=2, words=["blue", "green"])


def test_a_file_of_another_width_is_refused_at_its_first_line(tmp_path: Path) -> None:
    path = save_vectors(tmp_path / "v.txt", {"2": [3], "red": [1, 2, 3]})
    with pytest.raises(ValueError, match="line 1 must be a word and 3 numbers, got b'2 3' with 1; set vector_dim"):
        read_vectors(path, vector_dim=3, words=["red"])


def test_a_word_may_hold_spaces_and_of_two_lines_the_first_counts(tmp_path: Path) -> None:
    path = save_vectors(tmp_path / "v.txt", {". . .": [1, 1], "red": [2, 2]})
    path.write_text(path.read_text() + "red 3 3\n")
    found = read_vectors(path, vector_dim=2, words=["red", ". . ."])
    assert {word: vector.tolist() for word, vector in found.items()} == {". . .": [1, 1], "red": [2, 2]}


def test_words_of_a_file_of_vectors_are_folded_where_they_are_not_ascii(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("stra\u00dfe 1 2\ncafe\u0301 3 4\nDog 5 6\n", encoding="utf-8")
    found = read_vectors(path, vector_dim=2, words=["strasse", "caf\u00e9", "dog"])
    assert {word: vector.tolist() for word, vector in found.items()} == {"strasse": [1.0, 2.0], "caf\u00e9": [3.0, 4.0]}
