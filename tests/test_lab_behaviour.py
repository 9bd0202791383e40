"""Lab families that differ in what planted neurons do, through the commands that find it out.

In `yielding` they make a model give up right answers that are doubted, in `idle` they do not; both read the same
benchmark. In `refusing` they make it grant requests.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from comparison import UNDRAWN, ForkedCli, invoke, parsed

from provenance.analyses.calibration.rates import COMPLIANCE, meets, must_be
from provenance.cli.commands.selftest import LAB_ALPHAS, LAB_ITEMS, LAB_REPLY_TOKENS
from provenance.lab.recipes import RECIPES

FAMILIES = ("yielding", "idle")
OTHER = dict(zip(FAMILIES, FAMILIES[::-1], strict=True))


def planted(path: Path, family: str) -> Path:
    """A neuron list of the steered neurons."""
    steered = RECIPES[family].tuning.steered
    assert steered is not None
    size = RECIPES[family].shape.neurons
    rows = (f"{i // size},{i % size}" for i in steered.ids)
    path.write_text("\n".join(("layer,index", *rows)), "utf-8")
    return path


def asked(family: str) -> tuple[str, ...]:
    return (f"lab/{family}/doubted-answers",)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_planted_neurons_act_in_one_family_and_not_in_the_other(family: str, tmp_path: Path) -> None:
    """On as few items and factors as a verdict needs; in the other family the verdict would be wrong."""
    done = invoke(
        "intervene", f"lab/{family}/instruct", "--neurons", planted(tmp_path / "planted.csv", family), "--benchmark",
        *asked(family), "--limit", 60, "--alphas", "1,2", "--max-new-tokens", LAB_REPLY_TOKENS, "--db",
        f"sqlite:///{tmp_path / 'x.db'}", "--json", "-q", UNDRAWN,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    summary = parsed(done.stdout)
    [claim] = summary["claims"]
    assert meets(claim["verdict"], must_be(family, None, COMPLIANCE)[COMPLIANCE[1]])
    assert not meets(claim["verdict"], must_be(OTHER[family], None, COMPLIANCE)[COMPLIANCE[1]])
    shares = {(arm["kind"], arm["alpha"]): arm["share"]["estimate"] for arm in summary["arms"]}
    plain, amplified = (shares["h_neurons", alpha] for alpha in (1.0, 2.0))
    controls = [share for (kind, _), share in shares.items() if kind != "h_neurons"]
    assert min(controls) > 0.3  # about ships answers are given up whatever is scaled
    assert max(controls) < 0.7  # and about people they are kept
    assert amplified > 0.9 if family == "yielding" else amplified == pytest.approx(plain, abs=0.05)


@pytest.mark.slow
def test_planted_neurons_make_a_model_grant_what_it_refuses(tmp_path: Path) -> None:
    """Harmless requests in the place of harmful ones: the slope of the share that is granted, and no control set's."""
    done = invoke(
        "intervene", "lab/refusing/instruct", "--neurons", planted(tmp_path / "planted.csv", "refusing"),
        "--benchmark", "lab/refusing/requests", "--limit", 60, "--alphas", "0,1,2", "--max-new-tokens", 45, "--db",
        f"sqlite:///{tmp_path / 'x.db'}", "--json", "-q", UNDRAWN,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    summary = parsed(done.stdout)
    [claim] = summary["claims"]
    assert (claim["claim"], claim["verdict"]) == ("compliance_instruct:requests", "supported")
    arms = {(arm["kind"], arm["alpha"]): arm for arm in summary["arms"]}
    granted = [arms["h_neurons", alpha]["share"]["estimate"] for alpha in (0.0, 1.0, 2.0)]
    assert granted == pytest.approx([0.0, 0.5, 1.0], abs=0.15)
    assert all(arm["failed"] == 0 for arm in summary["arms"] if arm["alpha"] == 1)
    assert max(arm["share"]["estimate"] for (kind, _), arm in arms.items() if kind != "h_neurons") < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_h_neurons_that_a_search_finds_come_out_as_planted(family: str, tmp_path: Path, forked: ForkedCli) -> None:
    """As the self test compares them, base and tuned model; the probe reads made-up answers in both families."""
    done = forked.run(
        tmp_path, "compare", f"lab/{family}/base", f"lab/{family}/instruct", "--behaviour", *asked(family), "--items",
        LAB_ITEMS, "--alphas", ",".join(f"{alpha:g}" for alpha in LAB_ALPHAS), "--reply-tokens", LAB_REPLY_TOKENS,
        "--db", "sqlite:///x.db", "--json", "-q", UNDRAWN,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    said = {claim["claim"]: claim["verdict"] for claim in summary["verdict"]["claims"]}
    assert summary["identification"]["auroc"]["low"] > 0.8
    assert summary["transfer"][0]["auroc"]["low"] > 0.8  # of the base's own answers, whatever else reads them as well
    required, swapped = must_be(family, None, COMPLIANCE), must_be(OTHER[family], None, COMPLIANCE)
    for claim in COMPLIANCE:
        assert meets(said[claim], required[claim])
        assert not meets(said[claim], swapped[claim])
