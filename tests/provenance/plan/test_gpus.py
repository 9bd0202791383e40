"""GPUs that are not here: as many as the rule of loading asks for, and times that follow from published rates."""

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from provenance.errors import JobError
from provenance.models import placement
from provenance.plan.estimates import STAGES, Size, Traffic, estimate
from provenance.plan.gpus import GPUS, SHARE, OnGpus, on_gpus
from provenance.plan.machine import ROWS, Machine
from provenance.plan.workload import Workload

MACHINE = Machine(
    "cpu", "float32", flops_per_s=1e9, solve_flops_per_s=1e12, memory_bytes_per_s=1e9, hash_bytes_per_s=1e8,
    operation_s=2.5e-6, available_bytes=10**9,
)  # fmt: skip


def size(parameters: int, layers: int, neurons: int, width: int) -> Size:
    return Size(parameters, layers * neurons, layers, width, width, ("gate", "up", "down"), 0, 0)


SIZES = {
    "Llama-3.3-70B": size(70_553_706_496, 80, 28_672, 8192),
    "Gemma-3-27B": size(27_432_406_640, 62, 21_504, 5376),
    "Llama-3.1-8B": size(8_030_261_248, 32, 14_336, 4096),
}


def there(which: Size, work: Workload | None = None) -> dict[str, OnGpus]:
    return {each.gpu: each for each in on_gpus([which, which], Traffic(), [work or Workload()] * 2, MACHINE)}


@pytest.mark.parametrize(
    ("name", "counts"), [("Llama-3.3-70B", (8, 3, 3, 2)), ("Gemma-3-27B", (3, 1, 1, 1)), ("Llama-3.1-8B", (1, 1, 1, 1))]
)
def test_as_many_as_the_rule_of_loading_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, counts: tuple[int, ...]
) -> None:
    """That many have room for the weights, and one fewer has none: asked of `placement` itself."""
    weights = 2 * SIZES[name].parameters
    found = there(SIZES[name])
    assert tuple(found[gpu.name].count for gpu in GPUS) == counts
    for gpu in GPUS:
        for count in (found[gpu.name].count, found[gpu.name].count - 1):
            room = {number: int(placement.ROOM * gpu.memory_bytes) for number in range(count)}
            if count == found[gpu.name].count:
                assert sum(room.values()) >= weights
            elif count > 1:
                monkeypatch.setattr(placement, "room_of", lambda _, room=room: room)
                with pytest.raises(JobError, match="room for"):
                    placement.placement("cuda", weights, tmp_path, offload=False)


def test_a_batch_needs_room_too() -> None:
    """Weights that fill the share of one GPU leave too little for long keys."""
    gpu = GPUS[0]
    narrow = size(int(0.79 * gpu.memory_bytes / 2), 10, 1000, 1000)
    assert there(narrow)[gpu.name].count == 1
    assert there(replace(narrow, key_width=20_000))[gpu.name].count == 2


def test_rates_are_those_of_a_product_that_reads_its_weights_once() -> None:
    """The slower of multiplying and reading, of one product of 128 rows with a square of 4,096."""
    for gpu in GPUS:
        operations, read = 2 * ROWS * 4096**2, 2 * 4096**2
        seconds = max(operations / gpu.flops_per_s, read / gpu.memory_bytes_per_s)
        assert gpu.counted_flops_per_s == pytest.approx(SHARE * operations / seconds)


def test_only_forward_passes_are_faster_there() -> None:
    """Analyses take what they take here, and several GPUs are as fast as one."""
    work = Workload(scaled_tokens=1000, draws=7)
    which = SIZES["Llama-3.3-70B"]
    here = estimate([which, which], Traffic(), [work] * 2, MACHINE)
    free = replace(MACHINE, flops_per_s=inf)
    beside = estimate([which, which], Traffic(), [work] * 2, free).stage_s
    for gpu in GPUS:
        found = there(which, work)[gpu.name]
        assert found.compare_s == pytest.approx(sum(found.stage_s.values()))
        assert found.memory_bytes == found.count * gpu.memory_bytes
        assert found.stage_s["analyses"] == here.stage_s["analyses"] > 0
        for stage, tokens in (("asking", work.sampled_tokens), ("reading", work.read_tokens), ("scaling", 1000)):
            passes = 2 * 2 * which.parameters * tokens / gpu.counted_flops_per_s
            assert found.stage_s[stage] - beside[stage] == pytest.approx(passes)


def test_every_token_belongs_to_one_stage() -> None:
    """With one kind of work only its stage takes time, where the processor takes none."""
    passes = replace(MACHINE, operation_s=0.0, solve_flops_per_s=inf)
    nothing = Workload(train_questions=0, test_questions=(0,))
    for stages, work in (
        (set(), nothing),
        ({"reading"}, replace(nothing, control_tokens=10)),
        ({"reading"}, replace(nothing, train_questions=10, is_asked=False)),
        ({"scaling"}, replace(nothing, scaled_tokens=10)),
        ({"asking", "reading"}, replace(nothing, train_questions=10)),
    ):
        found = estimate([SIZES["Llama-3.1-8B"]], Traffic(), [work], passes).stage_s
        assert tuple(found) == STAGES
        assert {stage for stage, seconds in found.items() if seconds} == stages
    mixed = Workload(scaled_tokens=70, control_tokens=5)
    assert mixed.tokens == mixed.sampled_tokens + mixed.read_tokens + mixed.scaled_tokens
