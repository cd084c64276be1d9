"""What turns files into pixels: the decoder, and the code of this package."""

from pathlib import Path

import av

from corpus.files import sha256_file, sha256_json


def decoder_version() -> str:
    """Return the versions of the decoder and the scaler, for the environment of a fingerprint."""
    versions = (f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavcodec", "libswscale"))
    return ", ".join([f"PyAV {av.__version__}", *versions])


def hash_code() -> str:
    """Return the hash of this package's source, for the keys of caches: what is cached never meets other code."""
    return sha256_json([sha256_file(path) for path in sorted(Path(__file__).parent.glob("*.py"))])
