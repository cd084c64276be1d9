"""Recognition of a file by its first bytes, not by its name."""

HEAD_BYTES = 512
_QUICKTIME_ATOMS = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_STARTS = {
    b"\x1aE\xdf\xa3": "Matroska or WebM",
    b"OggS": "Ogg",
    b"FLV\x01": "Flash video",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "ASF",
    b"\x00\x00\x01\xba": "MPEG program stream",
    b"\x00\x00\x01\xb3": "MPEG video",
    b"\x06\x0e\x2b\x34": "MXF",
}
_TRANSPORT_PACKET_BYTES = {0: 188, 4: 192}  # offset of the first sync byte -> distance of the next


def find_container(head: bytes) -> str:
    """Return the name of the video container that a file starts like, empty if it starts like none.

    `head` is the first `HEAD_BYTES` bytes, or all of a shorter file. The rest may still be damaged.
    """
    if head[4:8] in _QUICKTIME_ATOMS:
        return "MP4 or QuickTime"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    for offset, step in _TRANSPORT_PACKET_BYTES.items():
        if head[offset : offset + 1] == b"G" == head[offset + step : offset + step + 1]:
            return "MPEG transport stream"
    return ""
