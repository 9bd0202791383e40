"""Words for what is stored about a probe in short names: how its C was chosen, and what it has to beat.

The one idea: terminal, captions and report say the same thing in the same words.
"""

from collections.abc import Mapping

GIVEN = "given"
"""The rule of neurons that were taken from a file."""

RULES: Mapping[str, str] = {
    "one-se": "the sparsest probe within one standard error of the best validation accuracy",
    "paper": "validation accuracy + accuracy with the H-Neurons suppressed (Gao et al. 2025)",
    "fixed": "given by the user",
}
"""How C was chosen, by the name of the rule."""

BASELINES: Mapping[str, str] = {
    "random": "random neurons",
    "layer_matched": "layer-matched neurons",
    "answer_length": "answer length",
    "question_text": "question text",
    "answer_text": "answer text",
    "answer_log_probability": "answer log-probability",
    "lengths_and_texts": "length and texts together",
    "all_together": "length, texts and log-probability together",
    "chance": "chance",
}
"""What a probe has to beat, by the name of its kind."""


def rule_words(rule: str | None, source: str | None) -> str:
    """How C was chosen, or where neurons that were not searched for come from.

    Args:
        rule: Its name; None where it is not known, as for runs of older versions.
        source: The file of neurons that were given, in words.
    """
    if rule == GIVEN:
        return f"no search: neurons from {source or 'a file'}"
    return "" if rule is None else RULES.get(rule, rule)


def baseline_words(kind: str) -> str:
    """A baseline by its name in words; a name that is not known as it is."""
    return BASELINES.get(kind, kind)
