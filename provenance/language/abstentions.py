"""Whether a text abstains: says that it does not know, cannot tell, may not say, or that there is nothing to tell.

A kind is a way of abstaining, not a list of sentences: a lack of ability ("unable to answer", whoever is), of knowledge
("no information", whose ever), of the thing itself ("no such person"), a predicate ("is unknown", "was not disclosed"),
an apology, a request ("please clarify"), a refusal. Short words abstain only where they are the whole text: "None", but
not "None but the Brave". The usual phrases of other languages are in `abstentions.toml`.

Choice: a doubt that follows an answer ("Lyon, but I'm not sure"), and a guess that follows a doubt ("I don't know, but
maybe Lyon"), are answers, whether right or wrong; so is a title ("I Can't Tell You Why").
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from provenance.language.normal_forms import WITHOUT_SPACES, Words, normalise

_ADVERBS = r"(?:(?:\w+ly|yet|still|also|just|so|very|as yet|at all|quite|too) )*"
_I = rf"(?:^|\b(?:i|we) ){_ADVERBS}"
_AM = rf"(?:^|\b(?:im|i am|i was|we are) ){_ADVERBS}"
_IT_IS = r"(?:^|\b(?:is|was|are|were|remains?|its|be|been|still|currently|as|information|data|answer|name|identity) )"
_DONT = "(?:dont|do not|didnt|did not|doesnt|does not)"
_NO = "(?:no|not any|not enough|insufficient|limited|lack of|without|zero)"
_UNABLE = (
    "(?:cant|cannot|can not|couldnt|could not|unable to|not able to|"
    "(?:im|not )possible to|(?:hard|difficult) to|no way to)"
)
_ANSWERING = (
    "(?:know|say|answer|provide|find|determine|identify|verify|confirm|recall|remember|assist|think of|locate|access|"
    "respond|establish|ascertain|discuss|share|speculate|guess|comply|retrieve|comment|judge|browse|offer|fulfill|"
    "complete this|be (?:sure|certain)|give (?:you|an|a|the|that|any)|name (?:one|it|him|her|them|any)|"
    "help(?: you| with| answer|$)|tell(?:$| who| what| the| if| whether| from| you(?:$| that| what| who| the)))"
)
_THING = (
    "(?:info|information|records?|data|knowledge|answers?|details?|access|evidence|context|clues?|ideas?|mentions?|"
    "recollection|memory|sources?|results?|match|matches|documentation|consensus|reference|capabilit(?:y|ies)|browsing)"
)
_FOUND = (
    "(?:known|clear|available|specified|mentioned|provided|stated|given|disclosed|determined|recorded|documented|"
    "applicable|found|listed|public|certain|confirmed|established|identified|announced|revealed|answered|verified|"
    "ascertained|located|inferred|traced|answerable)"
)
_UNKNOWN = (
    "unknown|unclear|uncertain|unspecified|undetermined|undisclosed|unconfirmed|unidentified|unavailable|unanswerable"
)
_TEXT = "(?:text|passage|context|source|record|document|article|story|paragraph|sentence)s?"
_WHERE = (
    rf"(?:in|from|by|on|within) (?:the|this|that|my|your|any|our) (?:\w+ )?"
    rf"(?:{_TEXT}|question|data|database|training|knowledge|information|literature|public)"
)
_OF_WHAT = (
    rf"(?=$| (?:to me|to us|to history|at this|for certain|for sure|whether|if|who|what|when|where|which|how|why|yet|"
    rf"here|{_WHERE})\b)"
)
_MODEL = "(?:ai|artificial intelligence|large language model|language model|llm|chatbot|virtual assistant)"

_IGNORANCE = (
    # cannot answer
    rf"(?:^|\b(?:i|we|am|im|it is|its|it was|i was|also|therefore) ){_ADVERBS}{_UNABLE} {_ADVERBS}{_ANSWERING}\b"
    rf"|\b{_UNABLE} be {_ADVERBS}{_FOUND}\b"
    r"|\bcan only (?:guess|speculate)\b|\bdrawing a blank\b|\bim stumped\b|^i (?:forgot|forget|give up|pass)\b"
    # does not know
    rf"|{_I}{_DONT} {_ADVERBS}(?:know|remember|recall|recogni[sz]e|understand)\b(?! how to (?!answer|respond|say))"
    rf"|{_AM}(?:not {_ADVERBS}(?:sure|certain|aware|familiar|confident)|unsure|uncertain|unaware|unfamiliar)\b"
    rf"|\b(?:{_DONT}|wouldnt|would not) know$|\b{_DONT} think .{{0,30}}\bexists?$"
    r"|\b(?:never|not|havent) heard of\b|\bhave forgotten\b|\bdunno\b|\bidk\b|\bnot (?:to my knowledge|that i know)\b"
    r"|^(?:no one|nobody|noone) (?:\w+ly )?knows(?:$| (?:for|who|what|exactly|the)\b)"
    r"|^beats me\b|^search me$|^who knows$|^your guess is as good\b"
    # has no information
    rf"|{_I}(?:{_DONT} {_ADVERBS}(?:have|possess)|havent(?: got)?) (?:\w+ ){{0,5}}{_THING}\b"
    rf"|{_I}(?:(?:have|had|ive)(?: got)? {_NO}|lack) (?:\w+ ){{0,3}}{_THING}\b"
    rf"|^{_ADVERBS}{_NO} (?:\w+ ){{0,3}}{_THING}\b"
    r"(?:$| (?:is|are|was|were|available|found|exists?|given|provided|on|about|for|in|to|of|that|yet|at)\b)"
    rf"|\b{_TEXT} {_DONT} (?:say|mention|provide|specify|state|contain|indicate|include|give|name)\b"
    r"|\b(?:beyond|outside)(?: of)? (?:my|the scope)\b|\bnot been trained on\b|\bstill learning\b"
    r"|\bmy (?:knowledge|training|data|database)\b.{0,30}\b(?:not|doesnt|limited|only|cut ?off|ends)\b"
    # is not known
    rf"|{_IT_IS}{_ADVERBS}(?:not {_ADVERBS}{_FOUND}|{_UNKNOWN})\b{_OF_WHAT}"
    rf"|\b(?:has|have) (?:not|never) {_ADVERBS}(?:been )?{_ADVERBS}{_FOUND}\b{_OF_WHAT}"
    r"|\b(?:nothing|little|not much) is known\b|\bremains a mystery\b|^its a mystery$|\bmatter of debate\b"
    # is not there
    rf"|\bthere(?:s| is| are| was| were) {_ADVERBS}(?:{_NO}|not) (?:\w+ ){{0,3}}"
    rf"(?:known|{_THING}|person|people|one (?:by|called|named|with))\b"
    rf"|\bthere (?:isnt|arent|wasnt|{_DONT} seem to be) {_ADVERBS}(?:\w+ ){{0,3}}(?:known|such|{_THING})\b"
    r"|^there (?:is|are|was|were) (?:none|nothing|no one)$|^there (?:isnt|arent|wasnt) (?:one|any|anyone)$"
    r"|(?:^|\b(?:is|theres|was|are|of|find|found|know|exists) )no such \w+"
    rf"|\b(?:{_DONT}|never) (?:\w+ to |\w+ly )?(?:exist|existed)\b"
    r"|\b(?:not|isnt|wasnt|arent) (?:a |an )?real (?:\w+ ){0,2}\w+$"
)
_REFUSING = (
    # what it is
    rf"\bas an? {_ADVERBS}{_MODEL}\b|\b(?:im|i am) {_ADVERBS}(?:a |an ){_MODEL}\b"
    # apologies
    r"|^(?:im|i am|we are) (?:\w+ly |so |very )?(?:sorry|afraid)$|^(?:i|we) (?:\w+ly )?apologi[sz]e\b"
    r"|^(?:im |i am |we are )?(?:\w+ly |so |very )?(?:sorry|afraid) "
    r"(?:but|i|we|im|that|there|for|to|about|the|this|no|cant|cannot|unable|not)\b|^(?:my )?(?:sincere )?apologies\b"
    # requests
    r"|\b(?:please|could you|can you|would you|kindly)(?: please)? (?:provide|clarify|specify|rephrase|give|check|"
    r"share|elaborate|consult|ask|tell me|be more|try|refer|let me know)\b"
    r"|\byou should (?:consult|ask)\b|\bwhat do you mean\b"
    r"|\b(?:need|require|provide|without) (?:more|additional|further) (?:\w+ )?"
    r"(?:context|info(?:rmation)?|details?|data)\b"
    r"|\b(?:i would|id|we would|i) need to (?:look|check|search|research)\b|\blet me (?:look|check|search)\b"
    # refusals
    rf"|^no comment\b|\b(?:i|we) (?:wont|will not) {_ADVERBS}{_ANSWERING}\b"
    rf"|\b(?:i|we) (?:must )?(?:refuse|decline) to {_ANSWERING}\b"
    rf"|\b(?:(?:i|we) (?:would )?|id |ill |^)(?:rather|prefer) not(?:$| to {_ANSWERING}\b| {_ANSWERING}\b)"
    r"|^(?:(?:im|i am|we are|i was) )?not (?:allowed|permitted|at liberty|comfortable|qualified|programmed|trained|"
    r"designed|authori[sz]ed|in a position) to\b"
    # a fault of the question
    r"|\b(?:question|premise|query|prompt|request)\b.{0,20}\b(?:unclear|unanswerable|incomplete|ambiguous|vague|invalid|"
    r"not clear|no answer|make sense|not specific)\b"
)
_DOUBT = re.compile(
    rf"\bnot {_ADVERBS}(?:sure|certain|positive|confident)|\b(?:unsure|uncertain)\b|\b(?:dont|do not) know for|"
    r"\b(?:could|may|might) be wrong|\b(?:cant|cannot) be (?:sure|certain)|\bnot 100"
)
_GUESS = re.compile(
    r"^(?:(?:but|so|if) )?(?:maybe|perhaps|possibly|probably|"
    r"i (?:\w+ly )?(?:think|believe|guess|suspect|assume|suppose)|"
    r"(?:my )?(?:best )?guess(?: is| would be)?|i would (?:say|guess)|id (?:say|guess)|it (?:may|might|could) be)"
    r"(?: its| it is)? \w+"
)
_CONTRAST = frozenset({"but", "though", "although", "however"})
_WHOLE = (
    "unknown|none|none known|none found|none available|null|na|n a|not applicable|tbd|tba|to be determined|idk|"
    "to be announced|nobody|no one|noone|nothing|nothing found|nowhere|sorry|im sorry|pass|skip|no answer|no response|"
    "no data|no info|no idea|no clue|answer unknown|answer not found|cannot say|cant say|cannot tell|cant tell|"
    "does not apply|doesnt apply|ambiguous question|unclear question|invalid question|indeterminate|inconclusive|"
    "it depends|nonexistent|non existent|unsure|dont know|do not know|redacted|hard to say"
)
_LEAD = re.compile(r"^(?:(?:the )?(?:correct |right |final )?answer(?: is)?|it is|its|that is|thats|this is) ")
_COPULAS = "ist|sind|bleibt|est|es|e|is|jest|ar|er|on|este|ειναι"
_SHORT = 2  # letters; longer texts without spaces may contain so few by chance
_SMALL_WORDS = re.compile("a|an|and|the|of|to|in|on|for|with|at|by|or|from|is|it", re.IGNORECASE)


@dataclass(frozen=True)
class _Patterns:
    whole: re.Pattern[str]
    """Texts that abstain as a whole."""
    ignorance: re.Pattern[str]
    """Signs inside a clause that nothing is known."""
    signs: re.Pattern[str]
    """These and all other signs inside a clause."""


def abstains(said: Words, raw: str) -> bool:
    """Whether a text is an abstention.

    Args:
        said: The normal form.
        raw: The text as it was written; a title is known by its capitals.
    """
    patterns = _patterns()
    text = " ".join(said.words[said.articles :])
    if patterns.whole.fullmatch(text) or patterns.whole.fullmatch(_LEAD.sub("", text)):
        return True
    if _is_title(raw):
        return False
    abstaining = guessing = False
    for clause, is_first in _clauses(said):
        if not patterns.signs.search(clause):
            guessing = guessing or bool(_GUESS.match(clause))
        elif is_first or not _DOUBT.search(clause):
            abstaining = True
    return abstaining and not guessing


def doubted(before: tuple[str, ...]) -> bool:
    """Whether the words before a name say that nothing is known of it: "I don't know if it is" Paris."""
    after_contrast = max((place + 1 for place, word in enumerate(before) if word in _CONTRAST), default=0)
    return bool(_patterns().ignorance.search(" ".join(before[after_contrast:])))


@cache
def _patterns() -> _Patterns:
    listed = tomllib.loads(files(__package__).joinpath("abstentions.toml").read_text(encoding="utf-8"))
    phrases = [normalise(phrase) for language in listed.values() for phrase in language]
    unspaced = [phrase for phrase in phrases if WITHOUT_SPACES.search(phrase) and len(phrase) > _SHORT]
    spaced = [phrase for phrase in phrases if not WITHOUT_SPACES.search(phrase)]
    opening = "|".join(phrase for phrase in spaced if " " in phrase)
    words = "|".join(phrase for phrase in spaced if " " not in phrase)
    ignorance = "|".join([_IGNORANCE, rf"^(?:{opening})(?: |$)", *unspaced])
    signs = "|".join([ignorance, _REFUSING, rf"\b(?:{_COPULAS}) (?:{words})$"])
    return _Patterns(re.compile("|".join([_WHOLE, _UNKNOWN, *phrases])), re.compile(ignorance), re.compile(signs))


def _clauses(said: Words) -> list[tuple[str, bool]]:
    """The clauses, also parted before a contrast; each with whether it is the first."""
    found: list[str] = []
    for clause in said.clauses():
        part: list[str] = []
        for word in clause:
            if word in _CONTRAST and part:
                found.append(" ".join(part))
                part = []
            if word not in _CONTRAST:
                part.append(word)
        found.append(" ".join(part))
    return [(clause, place == 0) for place, clause in enumerate(found)]


def _is_title(raw: str) -> bool:
    """Whether every longer word begins with a capital: four words at least, not all in capitals."""
    words = re.findall(r"[^\W\d_][\w'’]*", raw)
    content = [word for word in words if not _SMALL_WORDS.fullmatch(word)]
    return len(words) > 3 and not raw.isupper() and bool(content) and all(word[0].isupper() for word in content)
