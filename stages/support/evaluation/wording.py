"""What a sentence says happens, for slices: its verb, and the combination of things that it joins.

Tags of the corpus are taken where it has them. Elsewhere the verb is the first word that is a form of one of `_VERBS`, the
actions of everyday videos; that needs no tagger, misses rare verbs, and takes a noun for a verb where it looks like one
and comes first. Sentences without such a word have no verb and are in no slice.
"""

from collections.abc import Iterable, Sequence
from functools import cache

from corpus.records import Query
from corpus.text import tokenize

VERB_TAGS = frozenset({"kind", "verb"})  # tags of a corpus that say it; a drawn event is of a kind

_VERBS = """add answer apply approach arrange ask awaken begin bend blow bounce bow box brush build carry catch chase chat cheer
chop clap clean clear climb close comb cook cover crack crawl cry cut dance decorate demonstrate describe dig dip dive draw
dress drink drive drop dry eat empty enter exit explain fall fill fix flip fly fold follow fry gather get give grab greet grind
hang help hit hold hug iron jog juggle jump kick kiss kneel knit laugh lay lead lean leave lie lift light load look make measure
mix move nod open pack paint pass pat peel perform pet pick place play point pose pour practice prepare press pull push put
raise reach read return ride ring rinse roll row rub run sail say serve scrape scrub sew shake shave shoot shovel show sing sit
skate skateboard ski sleep slice slide smell smile smoke sneeze speak spin splash spray spread sprinkle squat squeeze stack
stand start stir stop stretch surf sweep swim swing take talk taste teach tell text throw tidy tie touch travel trim try tune
turn twirl type undress unload use vacuum wait wake walk wash watch water wave wear weigh wipe work wrap wrestle write"""
_IRREGULAR = """eat ate, begin began, blow blew, bring brought, build built, catch caught, drink drank, draw drew, drive drove,
fall fell, fly flew, give gave, get got, hold held, hang hung, lay laid, leave left, lie lying, make made, run ran, ride rode,
sing sang, sit sat, sleep slept, slide slid, speak spoke, spin spun, stand stood, swim swam, sweep swept, swing swung, take
taken, take took, teach taught, throw threw, tie tying, wake woke, wear wore, write wrote, write written"""
_STOP_WORDS = """a about across after again against all also an and another are as at away back be been before behind being
between both but by can do does down each first for from front has have having he her him himself his i in inside into is it its
just more next now of off on one onto or other others out over person several she some someone something that the their them
then there they this through to together towards two under up very was we were when where which while who with you"""


def find_verb(query: Query) -> str:
    """Return the verb of a query, empty where none is known: the tag `verb` or `kind`, else by its words, in its base form."""
    tagged = next((query.tags[tag] for tag in sorted(VERB_TAGS) if tag in query.tags), "")
    if tagged:
        return tagged
    words = tokenize(query.text)
    place = _find_place(words)
    return "" if place is None else _list_forms()[words[place]]


def find_combination(query: Query) -> tuple[str, ...]:
    """Return what a query joins, empty where that is not known.

    Of a drawn one colour, shape and verb; else the verb with the nearest words before and after it that are not mere grammar.
    """
    if query.source == "drawn":
        parts = (query.tags.get("color", ""), query.tags.get("shape", ""), find_verb(query))
        return parts if all(parts) else ()
    words = tokenize(query.text)
    place = _find_place(words)
    if place is None:
        return ()
    return (_find_content(words[:place][::-1]), _list_forms()[words[place]], _find_content(words[place + 1 :]))


def collect_combinations(queries: Iterable[Query]) -> frozenset[tuple[str, ...]]:
    """Return every combination of the given queries: what training shows."""
    return frozenset(combination for query in queries if (combination := find_combination(query)))


def _find_place(words: Sequence[str]) -> int | None:
    return next((place for place, word in enumerate(words) if word in _list_forms()), None)


def _find_content(words: Sequence[str]) -> str:
    return next((word for word in words if word not in _STOP_WORDS.split()), "")


@cache
def _list_forms() -> dict[str, str]:
    """Return the base form of every form of the verbs: opens, opening, opened -> open."""
    forms = {form: verb for verb, form in (pair.split() for pair in _IRREGULAR.split(","))}
    for verb in _VERBS.split():
        for form in _inflect(verb):
            forms.setdefault(form, verb)
    return forms


def _inflect(verb: str) -> Iterable[str]:
    """Return regular forms of a verb, also some that nobody writes."""
    stem = verb.removesuffix("e")
    yield from (verb, f"{verb}s", f"{verb}es", f"{stem}ing", f"{stem}ed", f"{verb}{verb[-1]}ing", f"{verb}{verb[-1]}ed")
    if verb.endswith("y"):
        yield from (f"{verb[:-1]}ies", f"{verb[:-1]}ied")
