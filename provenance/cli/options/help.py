"""Help of commands: options in groups, examples, and exit codes."""

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand

MANY_OPTIONS = 20  # a command with fewer is read in one list
GROUPS: Mapping[str, Sequence[str]] = {
    "Questions and answers": (
        "questions", "limit", "samples", "train_per_class", "test_per_class", "max_new_tokens", "base_prompt",
        "instruct_prompt", "instruct_template", "template_arg", "judge", "judge_model", "agreeing_only", "responses",
        "positive", "concept",
    ),
    "H-Neurons": ("neurons", "select", "C", "design", "free_intercept", "other_tokens"),
    "Tests": (
        "weights_only", "causal", "behaviour", "alphas", "sets", "items", "reply_tokens", "neutral_text", "control",
        "other", "tuned", "no_floor", "replicates", "quick", "seed",
    ),
    "Models": (
        "engine", "base_url", "ray_address", "ray_workers", "device", "dtype", "offload", "attn_implementation",
        "capture_dtype", "batch_size", "stream",
    ),
    "Results": ("db", "captures", "out", "no_figures", "dry_run", "as_json", "quiet", "verbose"),
}  # fmt: skip
"""Options of the long commands, by what they are about."""
OTHERS = "Options"
EXIT_CODES = "Exit codes: 0 done (an inconclusive verdict is a result), 1 the job failed, 2 bad usage or input."
EXAMPLES: Mapping[str, Sequence[str]] = {
    "compare": (
        "provenance compare lab/inherited/base lab/inherited/instruct",
        "provenance compare --family gemma-3-4b --questions triviaqa --dry-run",
        "provenance compare BASE INSTRUCT --questions mine.jsonl --quick",
        "provenance compare BASE INSTRUCT --responses refusals.jsonl --positive refusal",
    ),
    "study": ("provenance study lab", "provenance study paper --dry-run", "provenance study mine --run 3 --run 7"),
    "trace": ("provenance trace lab/inherited/base@step-0400 lab/inherited/base lab/inherited/instruct",),
    "intervene": (
        "provenance intervene lab/inherited/instruct --neurons h-neurons.csv --benchmark premises.jsonl",
        "provenance intervene BASE --neurons base.csv --benchmark misled.jsonl --alphas 0,1,3 --limit 200",
    ),
    "lineage": ("provenance lineage BASE INSTRUCT --stream",),
    "drift": ("provenance drift BASE INSTRUCT --stream", "provenance drift BASE INSTRUCT --neurons list.csv"),
    "plan": ("provenance plan --family gemma-3-4b",),
    "pull": ("provenance pull --family gemma-3-4b --dry-run",),
    "query": (
        "provenance query h-neurons-summary",
        "provenance query h-neurons --columns layer,neuron_index,probe_weight",
        "provenance query transfer --run latest -x",
        'provenance query "SELECT layer, COUNT(*) AS n FROM v_h_neurons WHERE run_id = 1 GROUP BY layer"',
    ),
    "figures": (
        "provenance figures --run latest",
        "provenance figures --venue acl --format pdf",
        "provenance figures --study lab",
    ),
    "report": ("provenance report --run 4 --out reports/four", "provenance report --verify report.html --weights"),
    "neurons import": ("provenance neurons import list.csv --for org/name",),
    "neurons export": ("provenance neurons export --format csv --out h-neurons.csv",),
    "neurons show": ("provenance neurons show 2:27",),
    "lab selftest": ("provenance lab selftest --draws 50",),
    "db schema": ("provenance db schema v_h_neurons",),
    "db merge": ("provenance db merge other.db",),
    "db serve": ("provenance db serve", "provenance db serve --db sqlite:///other.db --port 0"),
}
"""By command."""


def epilog(command: str) -> str:
    """What follows the options of a command: its examples, and the exit codes."""
    examples = EXAMPLES.get(command, ())
    lines = ["Examples:" if len(examples) > 1 else "Example:", *(f"  {line}" for line in examples)] if examples else []
    return "\n".join(["\b", *lines, "", EXIT_CODES])


class Helpful(TyperCommand):
    """A command whose help has its options in groups, if they are many."""

    def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Arguments and options as they are written, each with its help, by group; without empty groups."""
        group_of = {name: group for group, names in GROUPS.items() for name in names}
        shown = [(param, param.get_help_record(ctx)) for param in self.get_params(ctx)]
        is_long = len(shown) > MANY_OPTIONS
        found: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", *GROUPS, OTHERS)}
        for param, record in shown:
            group = "Arguments" if param.param_type_name == "argument" else group_of.get(param.name or "", OTHERS)
            if record is not None:
                found[group if is_long or group == "Arguments" else OTHERS].append(record)
        return {name: records for name, records in found.items() if records}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of arguments and options."""
        for name, records in self.sections(ctx).items():
            with formatter.section(name):
                formatter.write_dl(records)
