"""Detection of files that are not videos by suffix or first bytes, without opening them with a decoder."""

from pathlib import Path

HEAD_BYTES = 4096
_PARTIAL = frozenset({".part", ".partial", ".crdownload", ".download", ".opdownload", ".!qb", ".!ut", ".aria2", ".ytdl"})
_SUFFIXES_OF_KINDS = {
    "image": "ai arw avif bmp cr2 cr3 dng eps exr hdr heic heif ico icns indd jp2 jpe jpeg jpg jxl nef orf pbm pcx pgm png ppm "
    "psd raf rw2 svg tga tif tiff webp xcf",
    "sound": "aac ac3 aif aiff alac amr ape au caf dts eac3 flac m4a m4b m4r mid midi mka mp2 mp3 mpa oga opus ra spx tta wav "
    "wma wv",
    "subtitles": "ass idx lrc sbv smi srt ssa stl sub sup ttml vtt dfxp scc",
    "text": "bib cfg conf css csv diff htm html ini ipynb js json jsonl log md ndjson nfo properties py rst sh srv3 tex toml tsv "
    "txt xml yaml yml c cc cpp cs go h hpp java kt rb rs sql swift tsx jsx php pl r bat ps1",
    "document": "doc docx epub key mobi numbers odp ods odt pages pdf ppt pptx rtf xls xlsx",
    "archive": "7z bz2 cab deb dmg gz iso jar rar rpm tar tgz txz xz zip zst",
    "data": "ckpt db dll dvc exe h5 hdf5 lnk mat mdb npy npz onnx parquet pickle pkl pt pth pyc safetensors so sqlite "
    "sqlite3 thm torrent url webloc sha256 md5 sig bup ifo edl fcpxml prproj",
}
_KINDS = {f".{suffix}": kind for kind, suffixes in _SUFFIXES_OF_KINDS.items() for suffix in suffixes.split()}
_FIRST_BYTES = {
    b"\x89PNG\r\n\x1a\n": "image",
    b"\xff\xd8\xff": "image",
    b"BM": "image",
    b"II*\x00": "image",
    b"MM\x00*": "image",
    b"8BPS": "image",
    b"\xff\x0a": "image",
    b"fLaC": "sound",
    b"ID3": "sound",
    b"%PDF": "document",
    b"%!PS": "document",
    b"{\\rtf": "document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "document",
    b"PK\x03\x04": "archive",
    b"PK\x05\x06": "archive",
    b"\x1f\x8b": "archive",
    b"BZh": "archive",
    b"\xfd7zXZ\x00": "archive",
    b"7z\xbc\xaf\x27\x1c": "archive",
    b"Rar!": "archive",
    b"\x28\xb5\x2f\xfd": "archive",
    b"\x7fELF": "data",
    b"MZ": "data",
    b"\x89HDF": "data",
    b"SQLite format 3\x00": "data",
    b"\x93NUMPY": "data",
    b"\x00\x05\x16\x07": "data",  # AppleDouble
}
_IMAGE_BRANDS = frozenset({b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"jxl "})  # still pictures in the form of MP4
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"styp"})
_CONTAINERS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x06\x0e\x2b\x34",  # MXF
    b".RMF",
)
_VIDEO_IN_TEXT = b"YUV4MPEG2 "
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1b\x08")


def find_kind_by_name(path: Path) -> str:
    """Return the kind of a file by its name, such as "hidden", "unfinished download" or "image"; empty if unknown."""
    if path.name.startswith("._"):
        return "macOS data of another file"
    if path.name.startswith("."):
        return "hidden"
    suffix = path.suffix.lower()
    if suffix in _PARTIAL:
        return "unfinished download; rename it if it is whole"
    return _KINDS.get(suffix, "")


def is_named_by_suffix(path: Path) -> bool:
    """Tell whether the suffix alone rules out a video. Hidden and unfinished files do not count."""
    return not path.name.startswith(".") and path.suffix.lower() in _KINDS


def is_container(head: bytes) -> bool:
    """Tell whether the first bytes of a file are those of a container that can hold video, regardless of its name."""
    if head[4:8] in _MP4_BOXES:
        return head[4:8] != b"ftyp" or head[8:12] not in _IMAGE_BRANDS
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    is_transport_stream = len(head) > 376 and head[0] == head[188] == head[376] == 0x47
    return is_transport_stream or head.startswith(_CONTAINERS)


def find_kind_by_content(head: bytes) -> str:
    """Return the kind of a file by its first bytes; empty if it may be a video."""
    if not head:
        return "empty"
    for start, kind in _FIRST_BYTES.items():
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"WEBP"):
        return "sound" if head[8:12] == b"WAVE" else "image"
    if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS:
        return "image"
    return "text" if not head.startswith(_VIDEO_IN_TEXT) and _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    """Tell whether bytes are text in UTF-8, in UTF-16 with a byte order mark, or in an encoding of one byte per letter."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return not any(head[3:32:2] if head[0] == 0xFF else head[2:32:2])
    if any(byte < 32 and byte not in _TEXT_CONTROLS for byte in set(head)):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 4 or sum(byte >= 0x80 for byte in head) < 0.3 * len(head)
    return True
