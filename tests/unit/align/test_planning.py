"""The plan of a training of Mistral-7B, from its configuration alone."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.hf
pytest.importorskip("torch", reason="needs torch (extra hf)")
transformers = pytest.importorskip("transformers", reason="needs transformers (extra hf)")

from harmless.align.planning import plan  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402


def test_only_adapters_over_four_bits_leave_room_on_a_gpu_of_24_gb() -> None:
    config = transformers.MistralConfig()
    needed = {kind: plan(config, Tuning(weights=kind)).memory for kind in ("qlora", "lora", "full")}
    assert 5e9 < needed["qlora"] < 12e9
    assert 16e9 < needed["lora"] < 24e9
    assert needed["full"] > 100e9


def test_a_plan_counts_what_is_trained() -> None:
    config = transformers.MistralConfig()
    found = plan(config, Tuning(rank=16))
    assert found.parameters == pytest.approx(7.24e9, rel=0.01)
    assert found.trained == pytest.approx(41.9e6, rel=0.01)
    assert plan(config, Tuning(rank=16, frozen=0.5)).trained == pytest.approx(found.trained / 2, rel=0.01)


def test_more_passes_and_a_reference_take_longer() -> None:
    config = transformers.MistralConfig()
    once, twice = (plan(config, Tuning(epochs=n)).seconds for n in (1, 2))
    assert twice == pytest.approx(2 * once)
    assert plan(config, Tuning(loss="dpo", epochs=1)).seconds > once
