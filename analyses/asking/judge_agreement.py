"""Agreement of a judging model with the rule, over the questions of one pool.

Both judge the same samples of a question, so their labels differ by the judge alone. A question whose samples disagree
under a judge has the label "mixed" there, which agrees with "mixed" only. Questions without a word, or without a
judgement by the model, have no two labels.
"""

from collections.abc import Sequence

import numpy as np

from provenance.analyses.asking.collection import Pool
from provenance.analyses.results.answers import JudgeAgreement
from provenance.answers.collect_responses import LOST, NO_JUDGEMENT
from provenance.answers.judging import JUDGE_NAME
from provenance.answers.quotas import REFUSAL
from provenance.records import LABEL_OF_FILE, Response, Stage
from provenance.statistics.bootstrap import estimate_of, resampled_weights
from provenance.statistics.kappa import resampled_kappas

UNLABELLED = ("empty", LOST, NO_JUDGEMENT)


def judge_agreement(stage: Stage, pool: Pool, responses: Sequence[Response], *, seed: int = 0) -> JudgeAgreement | None:
    """Counts and Cohen's kappa of both labels, with an interval by question; None where no model was the judge."""
    judges = {response.label_source for response in responses} - {JUDGE_NAME, LABEL_OF_FILE}
    if not judges:
        return None
    both = [response for response in responses if response.reason not in UNLABELLED]
    model = np.array([response.judged_label for response in both], dtype=str)
    rule = np.array([response.rule_label for response in both], dtype=str)
    kappa = None
    if len(np.union1d(model, rule)) > 1:
        weights = resampled_weights([response.unit for response in both], seed=seed)
        kappa = estimate_of(resampled_kappas(model, rule, weights), len(both))
    return JudgeAgreement(
        stage=stage,
        dataset=pool.questions.name,
        split=pool.split,
        judge=", ".join(sorted(judges)),
        n=len(both),
        n_agree=int((model == rule).sum()),
        kappa=kappa,
        model_faithful=int(((model == "faithful") & (rule == "hallucinated")).sum()),
        rule_faithful=int(((model == "hallucinated") & (rule == "faithful")).sum()),
        refusal_differs=int(((model == REFUSAL) != (rule == REFUSAL)).sum()),
        n_unjudged=sum(response.reason == NO_JUDGEMENT for response in responses),
        reason="" if kappa else "both judges give every question the same label" if both else "no question",
    )
