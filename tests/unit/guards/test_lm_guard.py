"""Guard models as guards: order, causes, criteria, options; with a target whose answers are given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from harmless.core import (
    Completion,
    Exchange,
    Message,
    ModelInput,
    Outcome,
    Reply,
    ReplyStatus,
    Sampling,
    Target,
    Token,
    Verdict,
)
from harmless.errors import BadFileError, UnknownNameError, UsageError
from harmless.guards import formats, load
from harmless.guards.lm import LMGuard, Wishes
from tests.doubles import FakeTarget, said


class ExactTarget(FakeTarget):
    """A target that takes exact inputs and answers with a function of them."""

    def __init__(self, answer: Callable[[ModelInput], Reply]) -> None:
        super().__init__(lambda prompt, sampling: said("unused"))
        self._answers = answer
        self.inputs: list[ModelInput] = []
        self.samplings: list[tuple[Sampling, int]] = []

    async def complete(
        self, inputs: Sequence[ModelInput], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        self.inputs += inputs
        self.samplings.append((sampling, top_logprobs))
        return [Completion.of(self._answers(each)) for each in inputs]


def sure(text: str, **top: float) -> Completion:
    """Return a completion of one token with its likely alternatives."""
    likely = tuple((word, math.log(p)) for word, p in top.items())
    return Completion(
        status=ReplyStatus.COMPLETE, text=text, tokens=(Token(text=text, logprob=-0.1, top=likely),)
    )


def judged(name: str, target: Target, exchanges: Sequence[Exchange], **wishes: Any) -> list[Verdict]:
    return anyio.run(LMGuard(formats.find(name), target, Wishes(**wishes)).judge, exchanges)


def last(asked: ModelInput) -> str:
    return asked.text if asked.text is not None else str(asked.messages[-1]["content"])


def test_the_score_is_that_of_the_token_probabilities() -> None:
    target = ExactTarget(lambda asked: sure("unsafe", unsafe=0.6, safe=0.2))
    (verdict,) = judged("llama_guard_3", target, [Exchange.of("Hi")])
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, pytest.approx(0.75))
    assert verdict.findings == ()
    assert target.samplings == [(Sampling(temperature=0, max_tokens=20), 5)]


def test_without_log_probabilities_the_score_is_0_or_1_and_the_verdict_says_so() -> None:
    for text, score in (("safe", 0.0), ("unsafe\nS1,S2", 1.0)):
        target = ExactTarget(lambda asked, text=text: said(text))  # type: ignore[misc]
        (verdict,) = judged("llama_guard_3", target, [Exchange.of("Hi")])
        assert verdict.score == score
        assert "no log-probabilities" in verdict.reason


N_A = "\nResponse refusal: n/a\nHarmful response: n/a"
REFUSES = "\nResponse refusal: yes\n"


@pytest.mark.parametrize(
    ("name", "reply", "tokens", "place", "other", "outcome"),
    [
        ("wildguard", None, f"Harm|ful| request|:| yes|{N_A}", 4, " no", "unsafe"),
        ("wildguard", "A", f"Harmful request:| yes{REFUSES}|Harmful response:| no", 3, " yes", "safe"),
        ("wildguard", "A", f"Harmful|request|:|no{REFUSES}|Harmful|response|:|yes", 7, "no", "unsafe"),
        ("nemoguard", None, '{"|User| Safety|":| "|uns|afe|"}', 5, "safe", "unsafe"),
        ("nemoguard", "A", '{"User Safety": "unsafe",| "Response Safety|":"|safe|"}', 3, "uns", "safe"),
        ("nemotron_safety_guard_v3", None, '{"User Safety|":| "safe|"}', 2, ' "un', "safe"),
        ("nemotron_reasoning", None, "Prompt harm|:| un|harmful|\nResponse harm: None", 2, " harmful", "safe"),
        ("nemotron_reasoning", "A", "Prompt harm: harmful\nResponse| harm:| harmful", 2, " un", "unsafe"),
        ("gpt_oss_safeguard", None, "It is not SAFE|.\n|VIOL|ATION|:| SP5", 2, "SAFE", "unsafe"),
        ("gpt_oss_safeguard", "A", "No VIOL|ATION| here.|\n\n|SAFE", 4, "VI", "safe"),
    ],
)  # fmt: skip
def test_in_an_answer_of_fields_the_token_that_decides_gives_the_score(
    name: str, reply: str | None, tokens: str, place: int, other: str, outcome: str
) -> None:
    def answer(asked: ModelInput) -> Completion:
        texts = tokens.split("|")
        top = {place: ((texts[place], math.log(0.6)), (other, math.log(0.2)))}
        every = [
            Token(text=text, logprob=-0.1, top=top.get(i, ((text, -0.1),))) for i, text in enumerate(texts)
        ]
        # A tokenizer may drop the space before a word.
        text = "".join(texts).replace("Harmfulre", "Harmful re")
        return Completion(status=ReplyStatus.COMPLETE, text=text, tokens=tuple(every))

    target = ExactTarget(answer)
    (verdict,) = judged(name, target, [Exchange.of("Q", reply)])
    assert (verdict.outcome, verdict.score) == (outcome, pytest.approx(0.75 if outcome == "unsafe" else 0.25))
    assert "no log-probabilities" not in verdict.reason
    assert target.samplings[0][1] == 5


def test_categories_become_findings_with_the_hazards_that_are_certain() -> None:
    target = ExactTarget(lambda asked: said("unsafe\nS10,S2,S77"))
    (verdict,) = judged("llama_guard_3", target, [Exchange.of("Hi", "Hello")])
    found = {f.rule: f.hazard for f in verdict.findings}
    assert found == {"S10": "salad.c.O1", "S2": None, "S77": None}


def test_the_order_is_kept_and_one_bad_item_costs_only_itself() -> None:
    replies = {
        "a": said("safe"),
        "b": said("I cannot judge this."),
        "d": Reply.error("http 500"),
        "e": said("unsafe"),
    }
    target = ExactTarget(lambda asked: replies[last(asked)])
    exchanges = [
        Exchange.of("a"),
        Exchange.of("b"),
        Exchange(conversation=()),
        Exchange.of("d"),
        Exchange.of("e"),
    ]
    verdicts = judged("llama_guard_3", target, exchanges)
    assert [v.outcome for v in verdicts] == ["safe", "unassessed", "unassessed", "unassessed", "unsafe"]
    causes = [v.reason for v in verdicts]
    assert "unparsable" in causes[1]
    assert "no user message" in causes[2]
    assert causes[3] == "http 500"


def test_an_input_that_breaks_the_target_costs_only_that_item() -> None:
    def answer(asked: ModelInput) -> Reply:
        if last(asked) == "poison":
            raise RuntimeError("boom")
        return said("safe")

    exchanges = [Exchange.of("x"), Exchange.of("poison"), Exchange.of("y")]
    verdicts = judged("llama_guard_3", ExactTarget(answer), exchanges)
    assert [v.outcome for v in verdicts] == ["safe", "unassessed", "safe"]
    assert "RuntimeError: boom" in verdicts[1].reason


@pytest.mark.parametrize(
    ("status", "cause"),
    [(ReplyStatus.EMPTY, "no text"), (ReplyStatus.FILTERED, "withheld"), (ReplyStatus.BLOCKED, "")],
)
def test_a_reply_that_is_not_the_models_is_unassessed(status: ReplyStatus, cause: str) -> None:
    target = ExactTarget(lambda asked: Reply(status=status, text="safe", cause=cause))
    (verdict,) = judged("llama_guard_3", target, [Exchange.of("Hi")])
    assert (verdict.outcome, verdict.reason) == (Outcome.UNASSESSED, cause or "blocked")


@pytest.mark.parametrize("name", formats.names())
@pytest.mark.parametrize("text", ["\ufffd\x00{[", "I'm sorry, but I can't help with that.", "[" * 100_000])
def test_a_garbled_answer_is_unassessed_whoever_gives_it(name: str, text: str) -> None:
    context = Message(role="system", content="doc")
    exchange = Exchange(conversation=(context, Message(role="user", content="Q")), reply="A")
    (verdict,) = judged(name, ExactTarget(lambda asked: said(text)), [exchange])
    assert verdict.outcome is Outcome.UNASSESSED
    assert "unparsable" in verdict.reason


def test_nothing_is_asked_where_there_is_nothing_to_judge() -> None:
    target = ExactTarget(lambda asked: said("safe"))
    assert judged("llama_guard_3", target, []) == []
    (verdict,) = judged("md_judge_v01", target, [Exchange.of("Hi")])
    assert verdict.reason == "md_judge_v01: it judges replies only"
    assert target.inputs == []


# Criteria


def test_shieldgemma_asks_once_a_guideline_and_the_worst_counts() -> None:
    def answer(asked: ModelInput) -> Reply:
        p = 0.8 if "No Hate" in last(asked) else 0.1
        return sure("Yes" if p > 0.5 else "No", Yes=p, No=1 - p)

    target = ExactTarget(answer)
    (verdict,) = judged("shieldgemma", target, [Exchange.of("Hi")])
    assert len(target.inputs) == 4
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, pytest.approx(0.8))
    assert [(f.rule, f.hazard) for f in verdict.findings] == [("hate", "salad.c.O1")]
    assert verdict.labels["harassment"] == pytest.approx(0.1)


def test_it_is_safe_only_if_every_criterion_could_be_assessed() -> None:
    garbled = ExactTarget(lambda asked: said("?!" if "No Hate" in last(asked) else "No"))
    (verdict,) = judged("shieldgemma", garbled, [Exchange.of("Hi")])
    assert verdict.outcome is Outcome.UNASSESSED
    unsafe = ExactTarget(lambda asked: said("?!" if "No Hate" in last(asked) else "Yes"))
    (verdict,) = judged("shieldgemma", unsafe, [Exchange.of("Hi")])
    assert verdict.outcome is Outcome.UNSAFE


def test_granite_is_asked_for_the_risks_that_are_wished_for() -> None:
    target = ExactTarget(lambda asked: said("No"))
    exchange = Exchange(
        conversation=(Message(role="system", content="doc"), Message(role="user", content="q")), reply="a"
    )
    judged("granite_guardian_3_0", target, [exchange], criteria=("groundedness", "violence"))
    names = [each.template["guardian_config"]["risk_name"] for each in target.inputs]
    assert names == ["groundedness", "violence"]
    assert [each.messages[0]["role"] for each in target.inputs] == ["context", "user"]


def test_a_matter_of_prompts_is_not_asked_of_replies() -> None:
    target = ExactTarget(lambda asked: said("No"))
    verdicts = judged(
        "granite_guardian_3_0", target, [Exchange.of("q", "a"), Exchange.of("q")], criteria=("jailbreak",)
    )
    assert [v.outcome for v in verdicts] == ["unassessed", "safe"]
    guard = LMGuard(formats.find("granite_guardian_3_0"), target, Wishes(criteria=("jailbreak",)))
    assert guard.info.sees == "prompt"


# Grades and plain targets


def test_a_grade_is_unsafe_from_the_threshold_on() -> None:
    target = ExactTarget(lambda asked: sure("3", **{"3": 0.5, "5": 0.5}))
    (verdict,) = judged("strong_reject_finetuned", target, [Exchange.of("q", "a")])
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, pytest.approx(0.75))


def test_a_format_of_plain_messages_runs_on_every_target() -> None:
    target = FakeTarget(lambda prompt, sampling: said("1.b 0\n2.b 5\n3.b 5"))
    (verdict,) = judged("strong_reject", target, [Exchange.of("q", "a")])
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, 1.0)
    assert "User instruction: q" in target.asked[0]


def test_a_target_without_exact_inputs_is_refused_where_they_are_needed() -> None:
    with pytest.raises(UsageError, match="exact input of wildguard"):
        judged("wildguard", FakeTarget(lambda prompt, sampling: said("safe")), [])


# Specs and identity


@pytest.mark.parametrize("name", formats.names())
def test_every_guard_model_is_registered_and_says_which_target_to_give(name: str) -> None:
    with pytest.raises(UsageError, match=rf"Guard '{name}' needs a target.*{name}\(openai:"):
        load(name)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("llama_guard_3(openai:m, base_url=http://localhost:9, colour=red)", "option colour.*base_url"),
        ("llama_guard_3(openai:m, fast)", "does not understand 'fast'"),
        ("llama_guard_3(openai:m, base_url=http://localhost:9, logprobs=-1)", "logprobs"),
        ("llama_guard_3(openai:m, base_url=http://localhost:9, think=yes)", "cannot think"),
        ("llama_guard_3(openai:m, base_url=http://localhost:9, policy=pyproject.toml)", "takes no policy"),
    ],
)
def test_a_wrong_option_is_a_usage_error(spec: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[3])
    with pytest.raises(UsageError, match=message):
        load(spec)


def test_a_missing_policy_and_an_unknown_criterion_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="policy cannot be read"):
        load(f"gpt_oss_safeguard(openai:m, base_url=http://localhost:9, policy={tmp_path / 'none.md'})")
    with pytest.raises(UnknownNameError, match="violence"):
        load("granite_guardian_3_3(openai:m, base_url=http://localhost:9, criteria=violense)")


def test_a_policy_of_ones_own_takes_the_place_of_ours(tmp_path: Path) -> None:
    target = ExactTarget(lambda asked: said("VIOLATION: SP1"))
    judged("gpt_oss_safeguard", target, [Exchange.of("Hi")], policy="Only poems are allowed.")
    assert target.inputs[0].messages[0]["content"].startswith("Only poems are allowed.\n\n## OUTPUT")


def test_the_revision_tells_models_and_wishes_apart(tmp_path: Path) -> None:
    target = ExactTarget(lambda asked: said("No"))
    format = formats.find("granite_guardian_3_3")
    revisions = {
        LMGuard(format, target, wishes).info.revision
        for wishes in (None, Wishes(think=True), Wishes(criteria=("violence",)), Wishes(logprobs=0))
    }
    assert len(revisions) == 4


def test_text_leaves_the_machine_unless_the_endpoint_is_local() -> None:
    local = load("llama_guard_3(openai:m, base_url=http://127.0.0.1:9/v1)")
    remote = load("llama_guard_3(openai:m, base_url=http://guard.example/v1)")
    assert (local.info.leaves_machine, remote.info.leaves_machine) == (False, True)
