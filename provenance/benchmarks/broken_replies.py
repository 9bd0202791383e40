"""Whether a reply is that of a broken model: it repeats a few words, or says words that belong to no sentence.

Choice: what repeats no more than three words, each three times, is no answer of any kind. A loop over a whole sentence
says what the sentence says, since unchanged base models fall into such loops too.
"""

import re

from provenance.language.normal_forms import WITHOUT_SPACES, words_of

FEW, TIMES = 3, 3
_ONE_WORD = re.compile(r"(\S{1,12}?)\1{5,}\S{0,12}")  # "TheTheTheTheTheThe"
NAME = 5  # words that a name may have
SHARED = 0.1  # of a reply's words, that it has in common with sentences: in English texts they are nearly half
_GRAMMAR = re.compile(
    r"(?:a|an|the|this|that|these|those|it|its|they|them|their|he|she|his|her|you|your|we|our|i|my|me|of|to|in|on|for|"
    r"with|at|by|from|as|into|about|and|or|but|if|so|then|because|since|when|where|while|which|who|what|how|is|are|"
    r"was|were|be|been|has|have|had|do|does|did|can|could|will|would|should|may|might|must|not|no|there|here|more|"
    r"some|any|all|only|also|than)"
)


def repeats(reply: str) -> bool:
    """Whether a reply says one to three words over and over."""
    said = re.findall(r"[^\W_]+", reply.casefold())  # not normalised, which joins single letters
    few = 0 < len(set(said)) <= FEW and len(said) >= TIMES * len(set(said))
    return few or bool(_ONE_WORD.fullmatch(reply.strip()))


def says_nothing(reply: str, message: str) -> bool:
    """Whether hardly a word of a reply is one of the message or of the grammar of English; of names never.

    Args:
        reply: Its text. Of languages that are written without spaces nothing is known.
        message: What was asked, in which words of other languages stand.
    """
    said, asked = words_of(reply).words, {*words_of(message).words}
    if len(said) <= NAME or WITHOUT_SPACES.search(reply):
        return False
    usual = [word for word in said if not word.isdigit() and (word in asked or _GRAMMAR.fullmatch(word))]
    return len(usual) < SHARED * len(said)
