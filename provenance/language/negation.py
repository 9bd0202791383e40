"""Whether a text denies what it names: "not Mark Twain", "Mark Twain didn't", "不是北京", "서울이 아닙니다".

A negation denies a name if only light words stand between the two, inside a clause: "not by Mark Twain", but neither
"not only Mark Twain" nor "not Dickens but Mark Twain".
"""

import re

from provenance.language.normal_forms import Words
from provenance.language.occurrences import Place

_NEAR = 8  # words beside a name that are looked at
_NEGATORS = (
    "not|never|nor|neither|except|unlike|isnt|wasnt|arent|werent|aint|dont|doesnt|didnt|cant|cannot|couldnt|wont|"
    "wouldnt|hasnt|havent|rather than|instead of|other than|no longer|"
    "nicht|kein|keine|keinen|keiner|niet|geen|inte|ikke|ikkje|pas|jamais|nao|non|nunca|no es|no fue|no era|no son|nem|"
    "nie|nije|neni|не|ні|δεν|οχι|ليس|ليست|לא|אינו|אינה|bukan|khong phai"
)
_LIGHT = (
    "a|an|the|in|by|at|of|from|on|to|for|as|with|be|been|being|is|was|are|were|that|it|he|she|they|this|really|actually|"
    "exactly|necessarily|definitely|probably|called|named|known|written|directed|made|born|played|sung|created|founded|"
    "located|invented|discovered|think|believe|mr|mrs|ms|dr|sir|king|queen|president|saint|"
    "es|fue|era|son|ist|war|der|die|das|den|dem|el|la|los|las|le|les|il|lo|e|o|est|sont|ete|была|был|было|это|в|на|ειναι|η|ο|το"
)
_BEFORE = re.compile(rf"\b(?:{_NEGATORS})(?: (?:{_LIGHT}))*$")
_VERBS = "is|was|are|were|did|does|do|has|had|have|will|would|could|can"
_AFTER = re.compile(
    rf"(?:(?:{_VERBS}) (?:not|never)\b(?! only| just| merely)"
    r"|(?:isnt|wasnt|arent|werent|didnt|doesnt|hasnt|hadnt|couldnt|wouldnt)\b(?! only| just| merely)"
    r"|(?:is|was) (?:wrong|incorrect)\b"
    r"|(?:ist|war|sind) (?:nicht|kein)|is niet|was niet|no (?:es|fue|era)|non e\b|nao (?:e|foi)\b|n(?:est|etait) pas"
    r"|(?:не|ist nicht|δεν|ليس|ليست|degil|नहीं)(?: |$))"
)
_UNSPACED_BEFORE = re.compile("(?:不是|并非|並非|不在|不叫|不为|ไม่ใช่)$")
_UNSPACED_AFTER = re.compile(
    "(?:では|じゃ)(?:ない|ありません|なく)|(?:市|省)?(?:不是|并非|並非)|[가-힣]{0,4}(?:이|가|은|는) ?(?:아니|아닙|아닌)"
)
_ASKED = re.compile(r"\b(?:not|never|isnt|wasnt|doesnt|didnt|hasnt|except|nicht|pas|no|не)\b|不|ない|아니|아닌")


def denied(said: Words, place: Place, question: Words) -> bool:
    """Whether what stands at a place is denied by the words beside it.

    A denial behind a name counts only where the question has none: "Pluto is not one" may well be what was asked for.
    """
    if _BEFORE.search(" ".join(_before(said, place))) or _UNSPACED_BEFORE.search(place.left):
        return True
    after = _AFTER.match(" ".join(_after(said, place))) or _UNSPACED_AFTER.match(place.right)
    return bool(after) and not _ASKED.search(question.text())


def _before(said: Words, place: Place) -> tuple[str, ...]:
    """The nearest words of the same clause before a place."""
    start = place.start
    while start > max(0, place.start - _NEAR) and start - 1 not in said.ends:
        start -= 1
    return said.words[start : place.start]


def _after(said: Words, place: Place) -> tuple[str, ...]:
    """The nearest words of the same clause behind a place."""
    stop = place.stop
    while stop < min(len(said.words), place.stop + _NEAR) and stop - 1 not in said.ends:
        stop += 1
    return said.words[place.stop : stop]
