"""Example sentences for the search, taken from its corpus."""

from corpus.records import TEST, Corpus

NUM_EXAMPLES = 12


def choose_examples(corpus: Corpus) -> list[str]:
    """Return different sentences, the shortest of equal parts of the alphabet, from the test split if it has sentences."""
    of_test = [query.text for query in corpus.queries if query.split == TEST]
    texts = sorted(set(of_test or [query.text for query in corpus.queries]))
    count = min(NUM_EXAMPLES, len(texts))
    parts = [texts[len(texts) * part // count : len(texts) * (part + 1) // count] for part in range(count)]
    return [min(part, key=lambda text: (len(text), text)) for part in parts]
