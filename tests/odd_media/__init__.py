"""A corpus of odd video files, made by code: every reader of media goes through it.

To add a fault, add an `OddFile` to one of the lists that `ODD_FILES` joins. `writing` makes files with any streams, `surgery`
changes their bytes, `expected` says what a reader must find.
"""

from odd_media.clocks import CLOCKS
from odd_media.damaged import DAMAGED
from odd_media.expected import OddFile
from odd_media.headers import HEADERS
from odd_media.looks import LOOKS
from odd_media.stream_choices import STREAM_CHOICES

ODD_FILES: dict[str, OddFile] = {file.name: file for file in (*CLOCKS, *HEADERS, *DAMAGED, *STREAM_CHOICES, *LOOKS)}

__all__ = ["ODD_FILES", "OddFile"]
