"""Version of the decoder that turns files into pixels and samples."""

import av


def decoder_version() -> str:
    """Return the versions of the decoder, the scaler and the resampler, for the environment of a fingerprint."""
    versions = (
        f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavcodec", "libswscale", "libswresample")
    )
    return ", ".join([f"PyAV {av.__version__}", *versions])
