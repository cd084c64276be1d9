"""Words of the drawn corpus: several synonyms for most things, and a separate set for the split `test_shifted`."""

from dataclasses import dataclass

from corpus.shapes.drawing.palette import ALL_COLORS
from corpus.shapes.scene import Kind


@dataclass(frozen=True)
class Lexicon:
    """Verbs in their base form, the first word of which is inflected; nouns in the singular."""

    verbs: dict[Kind, tuple[str, ...]]
    nouns: dict[str | None, tuple[str, ...]]  # by shape; None is any shape
    colors: dict[str, tuple[str, ...]]


PLAIN = Lexicon(
    verbs={
        Kind.MOVE_LEFT: ("move left", "move to the left", "slide left", "go to the left"),
        Kind.MOVE_RIGHT: ("move right", "move to the right", "slide right", "go to the right"),
        Kind.MOVE_UP: ("move up", "rise", "go up"),
        Kind.MOVE_DOWN: ("move down", "sink", "go down"),
        Kind.SPIN: ("spin", "rotate", "turn around"),
        Kind.BLINK: ("blink", "flash"),
        Kind.GROW: ("grow", "get bigger", "become larger"),
        Kind.SHRINK: ("shrink", "get smaller"),
        Kind.SHAKE: ("shake", "tremble"),
        Kind.ENTER: ("enter", "come in"),
        Kind.LEAVE: ("leave", "go out"),
        Kind.COLLIDE: ("collide with", "bump into", "hit"),
    },
    nouns={
        None: ("shape", "object"),
        "circle": ("circle", "disk"),
        "square": ("square", "box"),
        "triangle": ("triangle",),
        "star": ("star",),
        "cross": ("cross", "plus sign"),
        "heart": ("heart",),
    },
    colors={color: (color,) for color in ALL_COLORS} | {"purple": ("purple", "violet")},
)
SHIFTED = Lexicon(
    verbs={
        Kind.MOVE_LEFT: ("travel leftwards", "glide left"),
        Kind.MOVE_RIGHT: ("travel rightwards", "glide right"),
        Kind.MOVE_UP: ("climb", "ascend"),
        Kind.MOVE_DOWN: ("descend", "drop"),
        Kind.SPIN: ("whirl", "twirl"),
        Kind.BLINK: ("flicker", "twinkle"),
        Kind.GROW: ("expand", "swell"),
        Kind.SHRINK: ("contract", "dwindle"),
        Kind.SHAKE: ("quiver", "wobble"),
        Kind.ENTER: ("arrive", "show up"),
        Kind.LEAVE: ("depart", "exit"),
        Kind.COLLIDE: ("crash into", "run into"),
    },
    nouns={
        None: ("figure", "thing"),
        "circle": ("ball",),
        "square": ("block",),
        "triangle": ("wedge",),
        "star": ("asterisk",),
        "cross": ("cross",),
        "heart": ("valentine",),
    },
    colors=PLAIN.colors,
)


def conjugate(verb: str) -> str:
    """Put a verb into the third person: "move right" -> "moves right", "flash" -> "flashes"."""
    first, _, rest = verb.partition(" ")
    return f"{_add_s(first)} {rest}".rstrip()


def make_plural(noun: str) -> str:
    """Put a noun into the plural: "cross" -> "crosses"; of two words the last one changes."""
    return _add_s(noun)


def _add_s(word: str) -> str:
    return word + ("es" if word.endswith(("s", "x", "sh", "ch", "o")) else "s")
