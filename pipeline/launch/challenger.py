"""`cuepoint challenger`: registers the working tree's bento as the challenger, regardless of its figures.

`cuepoint serve --challenger shadow` then runs it beside the champion.
"""

from corpus.files import read_json, sha256_file
from pipeline import paths
from pipeline.tracking.champion import BENTO_FILE, METRICS, read_validation_figures, register_working_tree
from pipeline.tracking.server import DIGEST_TAG, read_champion, set_challenger


def nominate() -> str:
    """Give the alias `challenger` to the working tree's bento and return its version; a second call changes nothing.

    Raises:
        ValueError: when this bento is the champion.
        TrackingError: when the registry cannot be used; the alias does not move.
        OSError: when a file of the finished pipeline is missing.
    """
    figures = read_validation_figures(read_json(METRICS))
    digest = sha256_file(paths.BENTO / BENTO_FILE)
    champion = read_champion()
    if champion is not None and champion.tags.get(DIGEST_TAG) == digest:
        raise ValueError(f"this bento is the champion (version {champion.version}); a challenger must be another bento")
    version = register_working_tree(digest, figures)
    set_challenger(version)
    return version
