"""The guard ``llm_guard`` with the real LLM Guard: those of its scanners that need no model."""

from __future__ import annotations

import anyio
import pytest

from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import UnknownNameError, UnreachableError, UsageError
from harmless.guards import load

pytestmark = pytest.mark.integration
pytest.importorskip("llm_guard", reason="needs llm-guard")

SAFE, UNSAFE, UNASSESSED = Outcome.SAFE, Outcome.UNSAFE, Outcome.UNASSESSED
SECRET = "my key is AKIA" + "QWER2345TYUI6724"


def judge(spec: str, *exchanges: tuple[str, str | None]) -> list[Verdict]:
    return anyio.run(load(spec).judge, [Exchange.of(*each) for each in exchanges])


@pytest.mark.parametrize(
    ("spec", "bad", "good"),
    [
        ("llm_guard(Secrets)", SECRET, "hello"),
        ("llm_guard(BanSubstrings, substrings=foo|bar, match_type=word)", "a bar of soap", "food"),
        ("llm_guard(Regex, patterns=fo+)", "foooo", "bread"),
        ("llm_guard(InvisibleText)", "hi\U000e0041\u200b", "hi"),
    ],
)
def test_scanners_of_prompts_that_need_no_model(spec: str, bad: str, good: str) -> None:
    verdicts = judge(spec, (bad, None), (good, None), ("", None))
    assert [(v.outcome, v.score) for v in verdicts] == [(UNSAFE, 1.0), (SAFE, 0.0), (SAFE, 0.0)]
    assert load(spec).info.leaves_machine is False


@pytest.mark.parametrize(
    ("spec", "bad", "good"),
    [
        ("llm_guard(BanSubstrings, substrings=foo)", "foo", "bar"),
        ("llm_guard(NoRefusalLight)", "I'm sorry, I cannot assist with that.", "Bake it for an hour."),
        ("llm_guard(ReadingTime, max_time=0.01)", "word " * 200, "word"),
        ("llm_guard(JSON, required_elements=1)", "no json", '{"a": 1}'),
    ],
)
def test_scanners_of_replies_that_need_no_model(spec: str, bad: str, good: str) -> None:
    verdicts = judge(spec, ("hello", bad), ("hello", good))
    assert [verdict.outcome for verdict in verdicts] == [UNSAFE, SAFE]


def test_a_scanner_of_prompts_leaves_replies_unassessed() -> None:
    guard = load("llm_guard(Secrets)")
    assert guard.info.sees == "prompt"
    assert judge("llm_guard(Secrets)", ("hello", SECRET))[0].outcome is UNASSESSED


def test_arguments_may_stand_in_a_file(tmp_path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("substrings: [foo]\nmatch_type: word\n")
    assert judge(f"llm_guard(BanSubstrings, config={config})", ("foo", None))[0].outcome is UNSAFE


def test_a_model_that_is_not_here_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub.constants", reason="needs huggingface_hub")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    import transformers.utils.hub

    monkeypatch.setattr(transformers.utils.hub, "_is_offline_mode", True)
    with pytest.raises(UnreachableError, match="Toxicity needs is not here"):
        load("llm_guard(Toxicity)")


def test_what_is_no_scanner_or_argument_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Secrets"):
        load("llm_guard(Secret)")
    with pytest.raises(UsageError, match="It takes patterns="):
        load("llm_guard(Regex, colour=red)")


def test_nothing_is_written_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    judge("llm_guard(Secrets)", (SECRET, None))
    assert capsys.readouterr().out == ""
