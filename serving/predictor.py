"""The predictor: a sentence in, ranked moments out, over a bundle and the index it made."""

from pathlib import Path

from corpus.moments import RankedMoment
from corpus.text import tokenize
from serving.bundle import Bundle, load_bundle
from serving.collection import Collection, load_collection
from serving.networks import EncodedText, Networks
from serving.search import ScoredSpans, rank_in_video, search_collection

MAX_TOP_K = 100
MAX_QUERY_CHARACTERS = 1000


class MomentPredictor:
    """Answers sentences; holds no state that a question changes, so threads may share it."""

    def __init__(self, bundle: Bundle, collection: Collection, *, num_threads: int = 2) -> None:
        """Answer with verified models over a verified collection; see `load`."""
        self.bundle = bundle
        self.collection = collection
        self._networks = Networks(bundle, num_threads=num_threads)

    @classmethod
    def load(cls, bundle_dir: Path, index_dir: Path, *, num_threads: int = 2) -> "MomentPredictor":
        """Verify and open a bundle and its index.

        Raises:
            FileNotFoundError: when one of them is missing.
            ValueError: when a file is damaged or the two do not belong together.
        """
        bundle = load_bundle(bundle_dir)
        return cls(bundle, load_collection(index_dir, bundle.manifest), num_threads=num_threads)

    def search(self, query: str, top_k: int = 5) -> list[RankedMoment]:
        """Return the `top_k` best moments of the collection, best first.

        Raises:
            ValueError: when the sentence has no words or is too long, or `top_k` is not in [1, MAX_TOP_K].
        """
        require_top_k(top_k)
        text = self._encode(query)

        def localize(video_ids: list[str]) -> list[ScoredSpans]:
            return self._localize(video_ids, text)

        vector = self._networks.embed_queries(text)[0]
        return search_collection(vector, self.collection.clips, localize, self.bundle.manifest.search, top_k=top_k)

    def localize(self, query: str, video_id: str, top_k: int = 5) -> list[RankedMoment]:
        """Return the `top_k` best moments of one video, best first.

        Raises:
            KeyError: naming an id that the collection does not hold.
            ValueError: as `search`.
        """
        require_top_k(top_k)
        self.collection.find_video(video_id)
        candidates = self._localize([video_id], self._encode(query))[0]
        return rank_in_video(video_id, candidates, self.bundle.manifest.search, top_k=top_k)

    def find_unknown(self, query: str) -> list[str]:
        """Return the words of a sentence that the models never saw; they add nothing to the search."""
        return self.bundle.tokenizer.find_unknown(query)

    def _encode(self, query: str) -> EncodedText:
        require_query(query)
        return self._networks.encode_text(self.bundle.tokenizer.encode([query]))

    def _localize(self, video_ids: list[str], text: EncodedText) -> list[ScoredSpans]:
        return self._networks.localize(self.collection.load_cells(video_ids), self.collection.get_durations(video_ids), text)


def require_query(query: str) -> None:
    """Refuse a sentence that is too long or has no words.

    Raises:
        ValueError: naming the sentence or its length.
    """
    if len(query) > MAX_QUERY_CHARACTERS:
        raise ValueError(f"the sentence has {len(query)} characters, at most {MAX_QUERY_CHARACTERS} are read; shorten it")
    tokenize(query)


def require_top_k(top_k: int) -> None:
    """Refuse a number of answers out of range.

    Raises:
        ValueError: naming the number.
    """
    if not 1 <= top_k <= MAX_TOP_K:
        raise ValueError(f"top_k must be between 1 and {MAX_TOP_K}, got {top_k}")
