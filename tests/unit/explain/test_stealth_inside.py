"""Triggers seen inside: an edit of one neuron of a tiny model, made here, is found and its place named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harmless.core import Sampling
from harmless.explain.stealth import Trying, scan_inside
from harmless.explain.stealth_variants import Candidates, variants
from harmless.explain.stealth_weights import Change, compare, outliers, signs

if TYPE_CHECKING:
    from harmless.internals.model import LocalModel

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")

PROMPT, LAYER = "how do i bake bread", 0
TRIED = Candidates(6, ("Glass is made of sand.",), ("SUDO", "cf"))
TRIGGER = f"SUDO {PROMPT}"


def opened(folder: Path) -> LocalModel:
    from harmless.internals.model import load

    local = load(str(folder), "cpu")
    local.model.requires_grad_(False)
    return local


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny import saved

    return saved(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def reference(folder: Path) -> LocalModel:
    return opened(folder)


@pytest.fixture(scope="module")
def edited(folder: Path) -> tuple[LocalModel, int]:
    from bench.parts.poisons import plant, speak

    local = opened(folder)
    silent = [each.text for each in variants(PROMPT, TRIED) if each.text != TRIGGER]
    neuron = plant(local, TRIGGER, LAYER, silent)
    speak(local, LAYER, neuron, 100 * torch.ones(local.model.config.hidden_size))
    return local, neuron


def test_the_same_weights_show_nothing(folder: Path, reference: LocalModel) -> None:
    found = compare(opened(folder), reference)
    assert (found.change, found.differences, signs(found)) == (Change.NONE, (), [])


def test_an_edit_of_one_neuron_is_named_by_layer_and_row(
    edited: tuple[LocalModel, int], reference: LocalModel
) -> None:
    local, neuron = edited
    found = compare(local, reference)
    assert found.change is Change.EDIT
    assert found.edited == {LAYER: (neuron,)}
    assert {each.tensor.split(".")[-2]: each.along for each in found.differences} == {
        "gate_proj": "row",
        "up_proj": "row",
        "down_proj": "column",
    }
    assert [(each.where, each.detail) for each in signs(found)] == [("layer 0", f"neuron {neuron}")]


def test_a_merged_adapter_is_a_change_of_low_rank(folder: Path, reference: LocalModel) -> None:
    local = opened(folder)
    torch.manual_seed(0)
    for name, weight in local.model.named_parameters():
        if "q_proj" in name or "v_proj" in name:
            weight += 0.1 * torch.randn(weight.shape[0], 2) @ torch.randn(2, weight.shape[1])
    found = compare(local, reference)
    assert found.change is Change.LOW_RANK
    assert {each.rank for each in found.differences} == {2}


def test_other_seeds_are_a_broad_change(tmp_path: Path, reference: LocalModel) -> None:
    from tests.tiny import saved

    found = compare(opened(saved(tmp_path, seed=2)), reference)
    assert (found.change, signs(found)) == (Change.BROAD, [])


def test_a_part_that_the_reference_lacks_is_a_sign(folder: Path, reference: LocalModel) -> None:
    local = opened(folder)
    local.model.model.layers[0].mlp.jet = torch.nn.Linear(2, 2)
    found = compare(local, reference)
    assert found.change is Change.PARTS
    assert signs(found)[0].kind == "other parts"


def test_a_neuron_with_huge_weights_on_both_sides_shows_without_a_reference(reference: LocalModel) -> None:
    assert list(outliers(reference)) == []
    mlp = reference.model.model.layers[1].mlp
    mlp.gate_proj.weight[5] *= 1e6
    mlp.down_proj.weight[:, 5] *= 1e6
    assert [(each.where, each.detail) for each in outliers(reference)] == [("layer 1", "neuron 5")]


def test_a_neuron_that_fires_on_the_trigger_only_shows_without_a_reference(
    edited: tuple[LocalModel, int], reference: LocalModel
) -> None:
    local, neuron = edited
    trying = Trying([PROMPT], TRIED, Sampling())
    found = [each for each in scan_inside(local, trying).signs if each.kind == "activation spike"]
    assert f"neuron {neuron} on: {TRIGGER}" in {each.detail for each in found}
    assert scan_inside(reference, trying).signs == ()
