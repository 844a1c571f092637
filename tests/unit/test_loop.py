"""The loop: check, guard, align, and the best combination of both by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from harmless import guards, loop
from harmless.align.drafts import Draft
from harmless.align.examples import Example, write_examples
from harmless.align.gather import write_prompts
from harmless.attacks.trial import Learnt
from harmless.check import CheckOptions, load_policy
from harmless.core import Expect, Target
from harmless.data import Suite, load_suite
from harmless.errors import GateFailedError, UsageError
from harmless.evidence import Store
from harmless.loop import Aligning, Made, make_harmless
from tests.doubles import FakeGuard, FakeTarget, judges, said


def model(name: str, refuses: Callable[[str], bool]) -> FakeTarget:
    def answer(prompt: str) -> str:
        return "REFUSE" if refuses(prompt) else "UNSAFE" if prompt.startswith("harmful") else "Fine."

    return FakeTarget(lambda prompt, _: said(answer(prompt)), name=name)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "mine.jsonl"
    rows = [{"prompt": f"{kind} {i}", "expect": expect, "hazard": "O57"}
            for kind, expect in (("harmful", "refuse"), ("benign", "answer")) for i in range(10)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_suite(str(path))


class Catching(FakeGuard):
    """Stands in front: blocks the prompts that a function names."""

    def __init__(self, catches: Callable[[str], bool]) -> None:
        super().__init__("front", word="never")
        self._catches = catches

    def _verdict(self, text: str):  # type: ignore[no-untyped-def]
        return FakeGuard(word="block")._verdict("block" if self._catches(text) else "pass")


@pytest.fixture
def made(tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Made]:
    def run(aligned: Callable[[str], bool] | None, catches: Callable[[str], bool] = lambda text: False) -> Made:
        monkeypatch.setattr(guards, "load", lambda spec, policy=None: Catching(catches))

        async def trained(what: Aligning, store: Store, learnt: Learnt | None) -> str:
            return f"embedded:{what.folder}"

        monkeypatch.setattr(loop, "_aligned", trained)

        def load(spec: str) -> Target:
            assert spec == "embedded:aligned"
            assert aligned is not None
            return model("aligned", aligned)

        what = Aligning("embedded", "dpo", Path("aligned"), load) if aligned else None

        async def start(store: Store) -> Made:
            base = model("base", lambda prompt: False)
            return await make_harmless(
                base, "front", suite, load_policy(), store, judges(), CheckOptions(),
                out=tmp_path / "report", aligning=what,
            )  # fmt: skip

        with Store(tmp_path / "evidence.db") as store:
            return anyio.run(start, store)

    return run


def harmful(prompt: str) -> bool:
    return prompt.startswith("harmful")


def test_without_alignment_the_comparison_is_of_the_guard(made: Callable[..., Made]) -> None:
    found = made(None, harmful)
    assert found.proof is None
    assert (found.comparison.before.unsafe.rate, found.comparison.after.unsafe.rate) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("aligned", "catches", "best", "unsafe"),
    [
        (harmful, lambda text: False, "alignment alone", 0.0),
        (lambda p: False, harmful, "the guard alone", 0.0),
        (lambda p: p == "harmful 1", lambda text: text == "harmful 2", "alignment with the guard", 0.8),
        (
            lambda p: True,
            lambda text: "harmful 1" in text,
            "the guard alone",
            0.9,
        ),  # blanket refusal is no gain
        (lambda p: not harmful(p), lambda text: not harmful(text), "the model as it is", 1.0),
    ],
)
def test_the_best_combination_is_named_and_compared(
    made: Callable[..., Made],
    tmp_path: Path,
    aligned: Callable[[str], bool],
    catches: Callable[[str], bool],
    best: str,
    unsafe: float,
) -> None:
    found = made(aligned, catches)
    assert found.best.startswith(best)
    assert found.comparison.after.unsafe.rate == pytest.approx(unsafe)
    assert found.proof is not None
    assert [each.target.split(":")[0] for each in found.proof.standings] == [
        "base",
        "guarded",
        "aligned",
        "guarded",
    ]
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "front.html", "front.json", "report.html", "report.json",
    ]  # fmt: skip


def test_a_folder_with_another_model_aligned_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "align.json").write_text(json.dumps({"base": {"target": "hf:other"}, "files": []}))
    what = Aligning("embedded", "dpo", tmp_path, lambda spec: model("x", harmful))
    with Store(tmp_path / "evidence.db") as store, pytest.raises(UsageError, match="hf:other aligned"):
        anyio.run(loop._aligned, what, store, None)


@pytest.mark.parametrize(
    ("base", "files", "kind"),
    [
        ("embedded", ["adapter.gguf"], "embedded"),
        ("embedded", ["model.safetensors"], "hf"),
        ("hf:tiny", ["adapter.gguf"], "hf"),  # llama.cpp has no GGUF of its base
    ],
)
def test_a_finished_alignment_is_taken_as_it_is(tmp_path: Path, base: str, files: list[str], kind: str) -> None:
    (tmp_path / "align.json").write_text(json.dumps({"base": {"target": base}, "files": files}))
    what = Aligning(base, "dpo", tmp_path, lambda spec: model("x", harmful))
    with Store(tmp_path / "evidence.db") as store:
        assert anyio.run(loop._aligned, what, store, None) == f"{kind}:{tmp_path}"


def test_the_suite_is_kept_out_of_what_is_trained_on(
    tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harmless.align import run

    seen: list[run.Alignment] = []

    async def align(what: run.Alignment, *_: object) -> run.Aligned:
        seen.append(what)
        raise UsageError("that will do")

    monkeypatch.setattr(run, "align", align)
    monkeypatch.setattr(run, "opened", lambda *_: None)
    what = Aligning("embedded", "dpo", tmp_path / "aligned", lambda spec: model("x", harmful))

    async def start(store: Store) -> Made:
        monkeypatch.setattr(guards, "load", lambda spec, policy=None: Catching(lambda text: False))
        return await make_harmless(
            model("base", harmful), "front", suite, load_policy(), store, judges(), CheckOptions(),
            out=tmp_path / "report", aligning=what,
        )  # fmt: skip

    with Store(tmp_path / "evidence.db") as store, pytest.raises(UsageError, match="that will do"):
        anyio.run(start, store)
    assert seen[0].gathering.evaluations == (suite,)


@pytest.mark.parametrize("replied", [True, False])
def test_a_model_aligned_on_prompts_of_the_suite_is_not_taken(
    tmp_path: Path, suite: Suite, replied: bool
) -> None:
    (tmp_path / "align.json").write_text(json.dumps({"base": {"target": "embedded"}, "files": []}))
    (tmp_path / "data").mkdir()
    conversation = suite.prompts[0].conversation
    if replied:
        learned = Example(conversation=conversation, good="No.", expect=Expect.REFUSE)
        write_examples(tmp_path / "data" / "development.jsonl", [learned])
    else:
        write_prompts(tmp_path / "data", [Draft(conversation, Expect.REFUSE)], [])
    what = Aligning("embedded", "dpo", tmp_path, lambda spec: model("x", harmful), measured=(suite,))
    with (
        Store(tmp_path / "evidence.db") as store,
        pytest.raises(GateFailedError, match="1 exact") as caught,
    ):
        anyio.run(loop._aligned, what, store, None)
    assert "another --out" in caught.value.next_step


def test_gates_learn_from_all_prompts_but_those_of_the_suite(
    tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harmless.align import gated, run

    class Trained:
        manifest = {"base": {"target": "hf:tiny"}, "files": []}  # noqa: RUF012 - a stand-in

    asked: list[gated.Gating] = []

    async def gate(what: gated.Gating, *_: object) -> Trained:
        asked.append(what)
        return Trained()

    monkeypatch.setattr(gated, "gate", gate)
    monkeypatch.setattr(run, "opened", lambda *_: None)
    what = Aligning("hf:tiny", "gate", tmp_path / "x", lambda spec: model("x", harmful), measured=(suite,))
    with Store(tmp_path / "evidence.db") as store:
        assert anyio.run(loop._aligned, what, store, None) == f"hf:{tmp_path / 'x'}"
    assert asked[0].gathering.evaluations == (suite,)
    assert asked[0].gathering.limit == loop.PROMPTS


def test_examples_from_an_attack_make_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harmless.align import run

    class Trained:
        manifest = {"base": {"target": "hf:tiny"}, "files": []}  # noqa: RUF012 - a stand-in

    asked = []

    async def align(what: run.Alignment, *_: object) -> Trained:
        asked.append(what)
        return Trained()

    monkeypatch.setattr(run, "opened", lambda *_: None)
    monkeypatch.setattr(run, "align", align)
    what = Aligning("hf:tiny", "dpo", tmp_path / "aligned-dpo", lambda spec: model("x", harmful))
    nothing, something = (Learnt(run=f"r{n}", objectives=8, failures=n, examples=n) for n in (0, 3))
    with Store(tmp_path / "evidence.db") as store:
        for learnt in (None, nothing, something):
            anyio.run(loop._aligned, what, store, learnt)
    assert [each.out.name for each in asked] == ["aligned-dpo", "aligned-dpo", "aligned-dpo-r3"]
    own = ("pairs", "ordinary")
    assert [each.gathering.sources for each in asked] == [own, own, (*own, "r3")]
