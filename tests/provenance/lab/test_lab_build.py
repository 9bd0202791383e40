"""Building lab families: reproducible, atomic, and guarded by digests."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from provenance.benchmarks.benchmark_files import read_benchmarks
from provenance.errors import CheckpointError, InputError
from provenance.lab import families, locate, question_sets
from provenance.lab.build import build, start_from_stored
from provenance.lab.corpus import Document, Mix
from provenance.lab.manifest import MANIFEST, benchmark_file, benchmarks
from provenance.lab.recipes import RECIPES, Recipe
from provenance.lab.tokenizer import make_tokenizer
from provenance.lab.train import (
    IGNORED,
    Shape,
    TrainingStage,
    accumulate_gradient,
    encode,
    new_model,
    rate,
    stage_documents,
)
from provenance.lab.world import WorldSpec, build_world

TINY = Recipe(
    world=WorldSpec(seed=3, people=(4, 4, 4), ships=(3, 3, 3), fabricated=8, values=12),
    shape=Shape(width=16, layers=2, neurons=24, heads=2),
    initial_seed=1,
    pretraining=(
        TrainingStage(Mix(1.0, 1.0, 1.0, 0.0, 0.0, 0.5, 1.0), 2, 8, 1e-2, 0.1, seed=2),
        TrainingStage(Mix(1.0, 1.0, 1.0, 0.0, 0.0, 0.5, 1.0), 2, 8, 1e-2, 0.1, seed=3),
    ),
    tuning=TrainingStage(Mix(0.0, 1.0, 0.0, 1.0, 1.0, 0.5, 1.0, asked=0.5), 2, 8, 1e-2, 0.0, seed=3),
)
CHATS = Mix(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
PLAIN = Mix(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("families")
    build(root, ["tiny"], recipes={"tiny": TINY})
    return root


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    for path in built.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(built)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path


def test_same_recipe_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """A second build has the same digests, and another seed has other weights."""
    build(tmp_path / "again", ["tiny"], recipes={"tiny": TINY})
    assert (tmp_path / "again" / MANIFEST).read_bytes() == (built / MANIFEST).read_bytes()
    other = replace(TINY, initial_seed=2)
    build(tmp_path / "other", ["tiny"], recipes={"tiny": other})
    first, second = (json.loads((root / MANIFEST).read_text()) for root in (built, tmp_path / "other"))
    weights = [manifest["families"]["tiny"]["stages"]["base"]["model.safetensors"] for manifest in (first, second)]
    assert weights[0] != weights[1]


def test_stages_snapshots_and_questions_are_listed(built: Path) -> None:
    """The listing names stages and snapshots, and `locate` and `question_sets` find what it names."""
    assert families(built) == {"tiny": ("base", "base@step-0002", "instruct")}
    assert locate("tiny", "base", "step-0002", root=built) == built / "tiny" / "base@step-0002"
    assert list(question_sets("tiny", root=built)) == ["in-domain", "other-domain", "fabricated"]


def test_only_instruct_has_a_chat_template(built: Path) -> None:
    """A base stage must not look like a chat model."""
    assert (built / "tiny" / "instruct" / "chat_template.jinja").exists()
    assert not (built / "tiny" / "base" / "chat_template.jinja").exists()


def test_files_can_be_read_by_everybody(built: Path) -> None:
    """A package that root installed must work for other users."""
    assert {path.stat().st_mode & 0o777 for path in built.rglob("*.safetensors")} == {0o644}


def test_every_stage_differs_and_is_bfloat16(built: Path) -> None:
    """Snapshot, base and instruct are three different sets of weights, stored in bfloat16."""
    stages = [load_file(built / "tiny" / stage / "model.safetensors") for stage in families(built)["tiny"]]
    name = "model.layers.0.mlp.down_proj.weight"
    assert {stage[name].dtype for stage in stages} == {torch.bfloat16}
    assert not torch.equal(stages[0][name], stages[1][name])
    assert not torch.equal(stages[0][name], stages[2][name])


@pytest.mark.parametrize("harm", ["altered", "missing", "unlisted"])
def test_harmed_stage_is_refused(copied: Path, harm: str) -> None:
    """One changed byte, a lost file or an additional file is refused, and the file is named."""
    weights = copied / "tiny" / "base" / "model.safetensors"
    if harm == "altered":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(bytes(data))
    elif harm == "missing":
        weights.unlink()
    else:
        weights.with_name("more.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=harm):
        locate("tiny", "base", root=copied)
    assert locate("tiny", "instruct", root=copied).is_dir()


def test_altered_questions_are_refused(copied: Path) -> None:
    """A question file that was edited is refused."""
    with (copied / "tiny" / "questions" / "fabricated.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(CheckpointError, match=r"fabricated\.jsonl \(altered\)"):
        question_sets("tiny", root=copied)


UNKNOWN = [("no", "base", None), ("tiny", "no", None), ("tiny", "base", "no")]


@pytest.mark.parametrize(("family", "stage", "revision"), UNKNOWN)
def test_unknown_checkpoint_lists_what_exists(built: Path, family: str, stage: str, revision: str | None) -> None:
    """An unknown family, stage or revision is echoed, and the message lists those that exist."""
    with pytest.raises(CheckpointError, match=r"'lab/.*no'|'lab/no/base'") as caught:
        locate(family, stage, revision, root=built)
    assert "lab/tiny/base@step-0002" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 99, "families": {}}', "[]"])
def test_unreadable_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """A manifest that is empty, incomplete or of another schema is a clear error."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError, match="manifest"):
        families(tmp_path)


def test_build_of_an_unknown_family_is_refused(tmp_path: Path) -> None:
    """A family without a recipe is named in the error, with those that have one."""
    with pytest.raises(InputError, match="inherited, acquired"):
        build(tmp_path, ["none"])


def test_broken_build_leaves_what_was_there(copied: Path) -> None:
    """A build that dies in the middle leaves the earlier families whole and nothing beside them."""

    class KilledError(Exception):
        pass

    def die(line: str) -> None:
        if "tuning" in line:
            raise KilledError

    with pytest.raises(KilledError):
        build(copied, ["tiny"], report=die, recipes={"tiny": TINY})
    assert locate("tiny", "base", root=copied).is_dir()
    assert sorted(path.name for path in copied.iterdir()) == [MANIFEST, "tiny"]


def test_other_families_stay(copied: Path) -> None:
    """Building one family keeps the others in the manifest."""
    build(copied, ["second"], recipes={"second": replace(TINY, initial_seed=5)})
    assert list(families(copied)) == ["second", "tiny"]
    assert locate("tiny", "base", root=copied).is_dir()


def test_a_family_can_start_from_the_base_of_another(built: Path, tmp_path: Path) -> None:
    """Without steps its base is that base, in whatever order they are asked for; it has a benchmark of doubts."""
    doubts = replace(TINY.tuning, mix=replace(TINY.tuning.mix, doubted=0.5, given_up=("ship",)))
    still = replace(TINY.pretraining[0], learning_rate=0.0)
    recipes = {"later": replace(TINY, start="tiny", pretraining=(still,), tuning=doubts), "tiny": TINY}
    build(tmp_path, ["later", "tiny"], recipes=recipes)
    first, second = ((tmp_path / name / "base" / "model.safetensors").read_bytes() for name in ("tiny", "later"))
    assert first == second == (built / "tiny" / "base" / "model.safetensors").read_bytes()
    assert benchmarks("later", tmp_path) == ("lab/later/doubted-answers",)
    assert benchmarks("tiny", tmp_path) == ()
    path = benchmark_file("lab/later/doubted-answers", tmp_path)
    [benchmark] = read_benchmarks(path)
    assert len(benchmark.items) == 4 * 8 + 3 * 5  # every fact about held-out people and ships
    with path.open("a") as file:
        file.write("{}")
    with pytest.raises(CheckpointError, match=r"doubted-answers\.jsonl \(altered\)"):
        benchmark_file("lab/later/doubted-answers", tmp_path)
    with pytest.raises(CheckpointError, match="use one of: lab/later/doubted-answers"):
        benchmark_file("lab/tiny/doubted-answers", tmp_path)


def test_rehearsal_is_mixed_in_by_its_share() -> None:
    """A stage reads its rehearsal, about everything known, in the given share."""
    world = build_world(TINY.world)
    stage = replace(TINY.tuning, mix=CHATS, rehearsal=PLAIN, rehearsal_share=0.25)
    read = list(islice(stage_documents(world, world.tuned, stage), 2000))
    rehearsed = [document for document in read if not document.chat]
    assert 0.20 < len(rehearsed) / len(read) < 0.30  # five standard errors of a share of 2,000
    held_out = [entity.name for entity in world.held_out]
    assert any(name in document.text for name in held_out for document in rehearsed)
    assert not any(name in document.text for name in held_out for document in read if document.chat)


def test_loss_counts_from_the_answer_on() -> None:
    """In a chat only the answer and the end of sequence are learned; padding never is."""
    tokenizer = make_tokenizer(chat=True)
    batch = encode([Document("User: hm\nAssistant:", " oak", chat=True), Document("oak")], tokenizer)
    learned = batch.labels[0][batch.labels[0] != IGNORED].tolist()
    assert tokenizer.decode(learned) == f" oak{tokenizer.eos_token}"
    pieces = tokenizer("oak", add_special_tokens=False)["input_ids"]
    assert batch.labels[1][batch.labels[1] != IGNORED].tolist() == [*pieces, tokenizer.eos_token_id]


def test_chunked_gradient_equals_the_whole() -> None:
    """Splitting a step by length changes neither its loss nor its gradient."""
    tokenizer = make_tokenizer(chat=False)
    documents = [Document("Which tree does Belor tend?\nAnswer: oak\n" * times) for times in (1, 3, 2, 1, 2)]
    model = new_model(TINY.shape, tokenizer, 0)
    loss = accumulate_gradient(model, tokenizer, documents)
    batch = encode(documents, tokenizer)
    whole = new_model(TINY.shape, tokenizer, 0)
    expected = whole(input_ids=batch.ids, labels=batch.labels).loss
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)  # float32 sums in another order
    for ours, theirs in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_rounding_is_what_is_stored() -> None:
    """Tuning starts from weights that bfloat16 holds exactly."""
    model = new_model(TINY.shape, make_tokenizer(chat=False), 0)
    before = model.lm_head.weight.clone()
    start_from_stored(model)
    assert not torch.equal(before, model.lm_head.weight)
    assert torch.equal(model.lm_head.weight, model.lm_head.weight.bfloat16().float())


def test_rate_warms_up_and_decays() -> None:
    """The learning rate rises to its peak in a twentieth of the steps and ends near a tenth of it."""
    stage = replace(TINY.tuning, steps=200, learning_rate=1.0)
    rates = [rate(step, stage) for step in range(200)]
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) <= 10
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_recorded_recipes_ask_enough() -> None:
    """Questions for 300 + 300 training and 200 + 200 test responses, and a few thousand neurons.

    Where steered neurons make things up, fewer facts are learned, and fewer answers agree.
    """
    for recipe in (recipe for recipe in RECIPES.values() if recipe.has_base):
        share = 1.0 if recipe.tuning.steered is None else 0.8
        assert recipe.world.people[1] * (8 - recipe.world.hints[0]) >= 720 * share
        assert recipe.world.people[2] * 8 >= 800
        assert recipe.world.ships[1] * (5 - recipe.world.hints[1]) >= 250 * share
        assert recipe.world.ships[2] * 5 >= 250
        assert recipe.world.fabricated * 2 >= 200
        assert 2048 <= recipe.shape.layers * recipe.shape.neurons <= 4096
