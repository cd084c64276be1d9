"""Registers the working tree's bento as the challenger, whatever its figures: python -m flows.challenger.

`python -m flows.serve --challenger shadow` then tries it beside the champion.
"""

import argparse

from corpus.files import read_json, sha256_file
from flows.champion import BENTO_FILE, METRICS, read_validation_figures, register_working_tree
from stages.support import paths
from stages.support.entry import run_main
from stages.support.tracking import DIGEST_TAG, read_champion, set_challenger


def nominate() -> str:
    """Give the alias `challenger` to the working tree's bento and return its version; doing it again changes nothing.

    Raises:
        ValueError: when this bento is the champion.
        TrackingError: when the registry cannot be used; the alias stays where it is.
        OSError: when a file of the finished pipeline is missing.
    """
    figures = read_validation_figures(read_json(METRICS))
    digest = sha256_file(paths.BENTO / BENTO_FILE)
    champion = read_champion()
    if champion is not None and champion.tags.get(DIGEST_TAG) == digest:
        raise ValueError(f"this bento is the champion (version {champion.version}); a challenger must be another one")
    version = register_working_tree(digest, figures)
    set_challenger(version)
    return version


def main() -> None:
    """Register the working tree's bento."""
    argparse.ArgumentParser(
        prog="python -m flows.challenger", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(f"version {nominate()} is the challenger; try it: make serve CHALLENGER=shadow")


if __name__ == "__main__":
    run_main(main, name="challenger")
