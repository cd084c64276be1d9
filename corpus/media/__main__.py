"""Prints what is known of video files as JSON, under ffprobe's names: python -m corpus.media FILE..."""

import argparse
import json
import sys
from pathlib import Path

from corpus.media import UndecodableError, describe


def main() -> int:
    """Print one JSON object a file; files that cannot be read are named on standard error."""
    parser = argparse.ArgumentParser(prog="python -m corpus.media", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    status = 0
    for path in parser.parse_args().files:
        try:
            print(json.dumps(describe(path), indent=2))
        except (UndecodableError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
