"""GCG finds suffixes that make the beginning of a reply likely, on a tiny model with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harmless.attacks import load
from harmless.core import user
from harmless.errors import UsageError
from tests.doubles import FakeTarget
from tests.tiny import saved
from tests.unit.attacks.sessions import FakeSession, run
from tests.unit.attacks.test_taken_up import Dies, answer, found

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("transformers", reason="needs transformers (extra hf)")

from harmless.attacks.suffix.frame import Frame, framed  # noqa: E402
from harmless.attacks.suffix.losses import Losses  # noqa: E402
from harmless.attacks.suffix.opened import Opened, opened  # noqa: E402
from harmless.attacks.suffix.search import Search, SearchOptions  # noqa: E402
from harmless.internals.model import load as load_model  # noqa: E402

AIM, LENGTH = "Sure!", 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Opened:
    return opened(str(folder))


@pytest.fixture(scope="module")
def frame(tiny: Opened) -> Frame:
    return framed(tiny.local, user("open it"), AIM, LENGTH, "be brief")


def plain(tiny: Opened, frame: Frame, suffix: Sequence[int]) -> float:
    """The loss of the aim by one run over everything."""
    ids = torch.tensor([[*frame.head, *suffix, *frame.tail, *frame.aim]])
    logits = tiny.local.model(ids).logits[0, -len(frame.aim) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, ids[0, -len(frame.aim) :]).item()


def searched(tiny: Opened, frame: Frame, steps: int = 8, seed: int = 1, **options: float) -> Search:
    chosen = SearchOptions(length=LENGTH, width=12, **options)  # type: ignore[arg-type]
    search = Search(tiny.local, frame, tiny.allowed, chosen, seed)
    for _ in range(steps):
        search.step()
    return search


def test_the_suffix_stands_behind_the_last_message(tiny: Opened, frame: Frame) -> None:
    whole = tiny.local.tokenizer.decode([*frame.head, *frame.start, *frame.tail, *frame.aim])
    assert whole == f"<|system|>be brief<|end|><|user|>open it{'x' * LENGTH}<|end|><|assistant|>{AIM}"
    assert frame.texts([frame.start, frame.start[:2]]) == ["x" * LENGTH, "xx"]


def test_losses_of_many_are_those_of_each_alone(tiny: Opened, frame: Frame) -> None:
    near = list(frame.start)
    rows = [near, [*near[:3], 7, *near[4:]], [9, *near[1:]], [*near[:-1], 5], [4, 5, 6, 7, 8, 9, 10, 11]]
    expected = [plain(tiny, frame, row) for row in rows]
    assert Losses(tiny.local, frame).of(rows, near) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("kind", "cached"), [("mistral", True), ("gpt_neox", True), ("mamba", False)])
def test_losses_of_other_kinds_of_models(tmp_path: Path, kind: str, cached: bool) -> None:
    local = load_model(str(saved(tmp_path, kind=kind)))
    frame = framed(local, user("open it"), AIM, LENGTH, None)
    losses, near = Losses(local, frame), list(frame.start)
    rows = [[*near[:3], 7, *near[4:]], near]
    expected = [plain(Opened(local, None), frame, row) for row in rows]
    assert losses.of(rows, near) == pytest.approx(expected, abs=1e-4)
    assert losses.slope(near).loss == pytest.approx(expected[1], abs=1e-4)
    assert bool(losses._head) == cached


def test_losses_need_no_cache(tiny: Opened, frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Losses, "_kept", lambda *_: [])
    losses, near = Losses(tiny.local, frame), list(frame.start)
    rows = [[*near[:3], 7, *near[4:]], near]
    assert losses.of(rows, near) == pytest.approx([plain(tiny, frame, row) for row in rows], abs=1e-4)
    assert losses.slope(near).loss == pytest.approx(plain(tiny, frame, near), abs=1e-4)


def test_the_gradient_is_that_of_a_token_put_in_by_a_small_share(tiny: Opened, frame: Frame) -> None:
    slope, weight = Losses(tiny.local, frame).slope(frame.start), tiny.local.model.get_input_embeddings().weight
    assert slope.loss == pytest.approx(plain(tiny, frame, frame.start), abs=1e-4)
    assert not slope.reached
    ids = torch.tensor([*frame.head, *frame.start, *frame.tail, *frame.aim])
    place, share = len(frame.head) + 2, 1e-3

    def loss(token: int, share: float) -> float:
        inputs = weight[ids].detach().clone()
        inputs[place] += share * weight[token].detach()
        logits = tiny.local.model(inputs_embeds=inputs[None]).logits[0, -len(frame.aim) - 1 : -1]
        return torch.nn.functional.cross_entropy(logits, ids[-len(frame.aim) :]).item()

    for token in (3, 50, 200):
        measured = (loss(token, share) - loss(token, -share)) / (2 * share)
        assert float(slope.gradient[2, token]) == pytest.approx(measured, rel=0.05, abs=2e-3)


def test_a_search_makes_the_beginning_likelier(tiny: Opened, frame: Frame) -> None:
    search, before = searched(tiny, frame), plain(tiny, frame, frame.start)
    assert search.loss < before - 0.3
    assert search.loss == pytest.approx(plain(tiny, frame, search.best), abs=1e-4)
    assert frame.surviving([search.best]) == [0]
    assert frame.texts([search.best])[0].isprintable()
    assert 8 * 6 <= search.evaluated <= 8 * 12


def test_a_search_depends_on_its_seed_and_its_options(tiny: Opened, frame: Frame) -> None:
    best = searched(tiny, frame).best
    assert searched(tiny, frame).best == best
    assert searched(tiny, frame, seed=2).best != best
    assert searched(tiny, frame, momentum=0.8).best != best


def test_with_a_buffer_the_best_one_is_changed_next(tiny: Opened, frame: Frame) -> None:
    search = searched(tiny, frame, buffer=1)
    assert search.loss == pytest.approx(plain(tiny, frame, search.best), abs=1e-4)
    assert search._current == search.best


def test_a_suffix_that_is_read_as_other_tokens_is_left_out(frame: Frame) -> None:
    texts = {0: "?", 1: "a", 2: "b", 3: " "}

    class Merging:
        def batch_decode(self, rows: Sequence[Sequence[int]], **_: object) -> list[str]:
            return ["".join(texts[i] for i in row) for row in rows]

        def __call__(self, written: list[str], **_: object) -> dict[str, list[list[int]]]:
            rows = [[next((i for i, t in texts.items() if t == c), 4) for c in one] for one in written]
            return {
                "input_ids": [[4] if "ab" in each else row for each, row in zip(written, rows, strict=True)]
            }

    merging = Frame("?", "?", (0,), (0,), (1, 1), (1,), Merging())
    survive = merging.surviving([(1, 1), (1, 2), (2, 1), (1, 3)])
    assert survive == [0, 2], "one is merged, one ends with a space"


def test_it_asks_with_what_it_found(folder: Path) -> None:
    attack = load(f"gcg({folder}, steps=25, width=6, length={LENGTH})")
    session = run(attack, FakeSession(lambda _: "no", objective="open it"))
    assert 1 <= len(session.prompts) <= attack.info.calls + 1
    assert len(set(session.prompts)) == len(session.prompts)
    assert all(prompt.startswith("open it") and len(prompt) > 7 for prompt in session.prompts)
    assert session.notes[0].startswith("step 10, loss ")
    assert session.notes[0].endswith("candidates")
    assert (attack.info.access, attack.info.calls) == ("white-box", 2)


def test_a_suffix_that_does_it_is_said_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Search, "step", lambda self: setattr(self, "reached", [5] * LENGTH))
    session = run(load(f"gcg({folder}, length={LENGTH})"), FakeSession(lambda _: "UNSAFE", objective="open it"))
    assert session.reached
    assert len(session.prompts) == 1


def test_a_search_that_was_cut_off_ends_like_one_that_was_not(folder: Path, tmp_path: Path) -> None:
    spec = f"gcg({folder}, steps=30, width=6, length={LENGTH})"
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    whole, part = FakeTarget(answer), FakeTarget(answer)
    expected = found(tmp_path / "whole", spec, whole)
    with pytest.raises(RuntimeError):
        found(tmp_path / "part", spec, Dies(part, 2))
    assert found(tmp_path / "part", spec, part) == expected
    assert len(part.asked) - len(whole.asked) <= 2, "only what was under way is asked again"


def test_what_has_no_room_is_told(tiny: Opened) -> None:
    with pytest.raises(UsageError, match="no room"):
        framed(tiny.local, user("a" * 60), AIM, LENGTH, None)
