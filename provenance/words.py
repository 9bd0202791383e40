"""Stored names in words, each once: terminal, captions, report and LaTeX say the same thing in the same words."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from provenance.cells import NOTHING, fixed, visible
from provenance.errors import InputError

QUICK_LOOK = "A quick look, with few draws; leave quick out for numbers to report."
LONGEST_NAME = 40  # characters of a concept or a label, which stand in headings and legends


@dataclass(frozen=True)
class Concept:
    """What the neurons of a run are about: the name of it, and the labels of answers with it and without.

    All words of this package are about hallucination, and rows of the database always are: `hallucinated` is the label
    of answers with the concept, `faithful` the other one. What is shown of a run passes `worded`.

    Raises:
        InputError: A name or label is no text of 1 to 40 printable characters without “ and ”.
    """

    name: str = "hallucination"
    positive: str = "hallucinated"
    negative: str = "faithful"

    def __post_init__(self) -> None:
        for word in (self.name, self.positive, self.negative):
            text = word if isinstance(word, str) else ""
            if not text.strip() or len(text) > LONGEST_NAME or not text.isprintable() or set(text) & set("“”"):
                raise InputError(
                    f"names and labels of 1 to {LONGEST_NAME} printable characters without “ and ”",
                    found=repr(word)[:200],
                    remedy="give a short --concept NAME, and short labels in the file",
                )

    @property
    def is_usual(self) -> bool:
        """Whether it is hallucination, with its usual labels."""
        return self == HALLUCINATION

    @classmethod
    def of_settings(cls, settings: str | Mapping[str, Any]) -> "Concept":
        """The concept of a run with these settings, which may come from a database of somebody else.

        They are a JSON column: SQLite gives its text, PostgreSQL the object.

        Raises:
            InputError: They hold something else than the name and the labels of a concept.
        """
        stored = (json.loads(settings) if isinstance(settings, str) else settings).get("concept", {})
        if not isinstance(stored, dict) or not stored.keys() <= cls.__dataclass_fields__.keys():
            raise InputError(
                "a concept in the settings of a run",
                found=repr(stored)[:200],
                remedy="`provenance db info` says whether its rows are intact",
            )
        return cls(**stored)

    def worded(self, text: str, spelled: Callable[[str], str] = str) -> str:
        """A text of this package in the words of the concept; texts that have passed once stay as they are.

        Args:
            text: The text.
            spelled: How a word of the concept is written in it; where the text is markup, as escaped text.
        """
        return text if self.is_usual else self._known.sub(lambda match: self._in_its_words(match, spelled), text)

    @cached_property
    def _words(self) -> Mapping[str, str]:
        """Our words in those of the concept. Labels are in quotation marks, in which nothing is replaced."""
        article = "an" if self.name[0].lower() in "aeiou" else "a"
        positive, negative = f"“{self.positive}”", f"“{self.negative}”"
        name = f"“{self.name}”" if self.name.lower() in (HALLUCINATION.positive, HALLUCINATION.negative) else self.name
        return {
            "n (f + h)": f"n ({negative} + {positive})",
            "cett f, h": f"CETT {negative}, {positive}",
            "cett f": f"CETT {negative}",
            "cett h": f"CETT {positive}",
            "an h-neuron": f"{article} {name} neuron",
            "h-neurons": f"{name} neurons",
            "h-neuron": f"{name} neuron",
            "hallucination": name,
            "hallucinations": name,
            "hallucinate": f"produce {name}",
            "hallucinated": positive,
            "halluc.": positive,
            "faithful": negative,
        }

    @cached_property
    def _known(self) -> re.Pattern[str]:
        """Whole words of ours; what is quoted and the concept's own name come first, and stay."""
        own = [self.name] if self.name.lower() not in self._words else []
        stays = [r"“[^“”]*”", *(rf"(?<!\w){re.escape(name)}(?!\w)" for name in own)]
        ours = "|".join(re.escape(word) for word in sorted(self._words, key=len, reverse=True))
        return re.compile(rf"(?P<stays>{'|'.join(stays)})|(?<![\w/.-])(?:{ours})(?![\w/-]|\.\w)", re.IGNORECASE)

    def _in_its_words(self, match: re.Match[str], spelled: Callable[[str], str]) -> str:
        found = match.group()
        if match["stays"]:
            return found
        word = self._words[found.lower()]
        return spelled(word[:1].upper() + word[1:] if found[0].isupper() and not found.startswith("H-") else word)


HALLUCINATION = Concept()
GIVEN = "given"
"""The rule of neurons that were taken from a file."""
RULES: Mapping[str, str] = {
    "one-se": "the sparsest probe within one standard error of the best cross-validated accuracy",
    "paper": "cross-validated accuracy + accuracy with the H-Neurons suppressed (Gao et al. 2025)",
    "fixed": "given by the user",
}
"""How C was chosen."""
BASELINES: Mapping[str, str] = {
    "random": "random neurons",
    "layer_matched": "layer-matched neurons",
    "shuffled_labels": "the same search on shuffled labels",
    "answer_length": "answer length",
    "question_text": "question text",
    "answer_text": "answer text",
    "answer_log_probability": "answer log-probability",
    "mean_difference": "difference of means in the residual stream",
    "residual_regression": "logistic regression on the residual stream",
    "lengths_and_texts": "length and texts together",
    "all_together": "length, texts and log-probability together",
    "directions_together": "both directions of the residual stream together",
    "chance": "chance",
    "probe": "the probe",
}
"""Predictors that a probe has to beat, and directions, which it is shown beside."""
DIRECTIONS = ("mean_difference", "residual_regression")
"""Of these, directions in the residual stream. They decide no verdict."""
JOINT_BASELINES = ("lengths_and_texts", "all_together", "directions_together")
"""Regressions on several of these, and what the probe adds to them."""
TRANSFER_NULLS: Mapping[str, str] = {"random": "random", "matched": "layer_matched", "shuffled": "shuffled_labels"}
"""Baselines of many probes each, by the prefix of their columns in the query `transfer`."""
SIDES: Mapping[str, str] = {"hallucinated": "H-Neurons", "faithful": "negative weights"}
MEASURES: Mapping[str, str] = {"delta": "Δ up and down", "gate": "Δ gate", "norm": "norms", "functional": "activations"}
MATCHINGS: Mapping[str, str] = {
    "layer": "layer",
    "layer_norm": "layer, norm",
    "layer_norm_activity": "layer, norm, CETT",
    "uniform": "any neurons",
}
MATCHED_WORDS: Mapping[str, str] = {
    "layer": "of the same layers",
    "layer_norm": "of the same layers and weight norms",
    "layer_norm_activity": "of the same layers, weight norms and activities",
}
"""Neurons of each matching, after their number."""
LIKE_WORDS: Mapping[str, str] = {
    "layer": "layers",
    "layer_norm": "layers and weight norms (their activity is not known)",
    "layer_norm_activity": "layers, norms and activity",
}
"""What neurons of each matching share, after "neurons of the same"."""
SHORT_LIKE_WORDS: Mapping[str, str] = {
    "layer": "layers",
    "layer_norm": "layers and norms",
    "layer_norm_activity": "layers, norms, activity",
}
"""The same where a figure has little room."""
NULL_WORDS: Mapping[str, str] = {
    "hypergeometric": "any neurons",
    **{matching: f"neurons {words}" for matching, words in MATCHED_WORDS.items()},
    "shuffled_labels": "the same searches with shuffled labels",
}
"""What two sets are drawn from under each null of overlap, in a sentence."""
OVERLAP_NULLS: Mapping[str, str] = {
    "hypergeometric": "any neurons",
    "layer": "neurons of the same layers",
    "layer_norm": "neurons of the same layers and norms",
    "layer_norm_activity": "neurons of the same layers, norms and mean CETT",
    "shuffled_labels": "the same searches on shuffled labels",
}
SCALES: Mapping[str, str] = {
    "raw": "weights unchanged",
    "z_score": "z-scores within each model",
    "rank": "quantiles of one model onto the other’s",
    "refit": "the same neurons, refitted on the base",
    "forward": "the base’s probe on the instruct model’s answers",
    "base_probe": "the base’s own probe on its own answers",
}
SETS: Mapping[str, str] = {
    "h_neurons": "H-Neurons",
    "random": "random neurons",
    "layer_matched": "layer-matched neurons",
    "activity_matched": "activity-matched neurons",
    "negative_weight": "neurons of negative weight",
}
BENCHMARK_KINDS: Mapping[str, str] = {
    "invalid premise": "invalid premises",
    "misleading context": "misleading contexts",
    "sycophancy": "sycophancy",
    "open sycophancy": "open sycophancy",
    "harmful instruction": "harmful instructions",
    "mistaken author": "mistaken authors",
    "stated opinion": "stated opinions",
}
"""Kinds of benchmarks in the order of the paper's Figure 3, as titles."""
OUTCOMES: Mapping[str, str] = {
    "faithful_log_probability": "log-probability of faithful answers",
    "hallucinated_log_probability": "log-probability of hallucinated answers",
    "selectivity": "hallucinated minus faithful",
    "correct": "share of right answers",
}
READ_BY: Mapping[str, str] = {"rule": "by rule", "judge": "by the judging model", "option": "by the chosen option"}
"""Who decided how a reply to a benchmark is read."""
PATCH_OUTCOMES: Mapping[str, str] = {"log_odds": "log-odds of yielding", "share": "share that yields"}
CLAIMS: Mapping[str, str] = {
    "transfer": "readable in the base",
    "beyond_confidence": "beyond confidence",
    "own_labels": "follows own labels",
    "drift": "weights kept",
    "overlap": "found again",
    "function_base": "function, base",
    "function_instruct": "function, instruct",
    "compliance_base": "makes the base yield",
    "compliance_instruct": "makes the instruct model yield",
    "patched_base": "tuned activations act in the base",
    "patched_instruct": "base activations act in the tuned",
}


def claim_words(claim: str, names: Mapping[str, str] = CLAIMS) -> str:
    """A claim by its name in words; what follows a colon is the benchmark that it is about."""
    kind, _, about = claim.partition(":")
    return f"{names.get(kind, kind)}, {about}" if about else names.get(claim, claim)


def rule_words(rule: str | None, source: str | None) -> str:
    """How C was chosen, by the name of the rule, or the file (`source`, in words) that the neurons come from."""
    if rule == GIVEN:
        return f"no search: neurons from {source or 'a file'}"
    return "" if rule is None else RULES.get(rule, rule)


def baseline_words(kind: str) -> str:
    """A baseline by its name in words; a name that is not known as it is."""
    return BASELINES.get(kind, kind)


def against_words(record: Mapping[str, Any]) -> str:
    """The null or baseline of a test, from its short name such as `question_text` or `delta/layer`."""
    claim, test = record["claim"], record["test"]
    if claim == "transfer":
        return baseline_words(test)
    if claim == "overlap":
        return OVERLAP_NULLS.get(test, test)
    names = {**SIDES, **MEASURES, **MATCHINGS}
    return "; ".join(names.get(part, part) for part in test.split("/"))


def detectable_words(record: Mapping[str, Any]) -> str:
    """The smallest value found with 80 % power, in the unit's digits."""
    if record["smallest_detectable"] is None:
        return "none"
    return fixed(record["smallest_detectable"], 1 if record["unit"] == "shared neurons" else 2)


def drawn_words(record: Mapping[str, Any]) -> str:
    """Number of draws of a null, or that it is exact."""
    return str(record["draws"]) if record["draws"] else "exact"


def beats_sets(record: Mapping[str, Any]) -> bool:
    """Whether an interval lies above chance and above the 95th percentile of both kinds of neuron sets."""
    bars = [0.5, *(record[name] for name in ("random_p95", "layer_matched_p95") if record[name] is not None)]
    return record["auroc"] is not None and record["auroc_low"] is not None and record["auroc_low"] > max(bars)


def stored_tokens(stored: str | None) -> list[tuple[str, int, float]]:
    """Tokens of a stored JSON list, each with its id and its product in standard deviations."""
    return [(str(token), int(number), float(value)) for token, number, value in json.loads(stored or "[]")]


def token_words(tokens: Iterable[tuple[str, int, float]]) -> str:
    """Tokens in quotation marks, each with its number: `" Paris" 9.1, "Rome" 8.0`."""
    found = (f"{json.dumps(token, ensure_ascii=False)} {value:.1f}" for token, _, value in tokens)
    return visible(", ".join(found)) or NOTHING


def null_words(share: float | None, rank: float | None) -> str:
    """Share of a column's norm in the near-null space, and the fraction of the layer's neurons with a smaller one."""
    return NOTHING if share is None else f"{fixed(share)} ({fixed(rank)})"
