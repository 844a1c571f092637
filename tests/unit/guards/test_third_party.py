"""Guards of other libraries, with stand-ins for those; tests/integrations runs the real ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import pytest

from harmless import taxonomy
from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict
from harmless.errors import BadFileError, UnknownNameError, UnreachableError, UsageError
from harmless.guards import any_guardrail, guardrails_ai, llm_guard, load, nemo
from tests.doubles import FakeGuard

SAFE, UNSAFE, UNASSESSED = Outcome.SAFE, Outcome.UNSAFE, Outcome.UNASSESSED


def judge(guard: Any, *exchanges: Exchange | str) -> list[Verdict]:
    return anyio.run(guard.judge, [Exchange.of(e) if isinstance(e, str) else e for e in exchanges])


@pytest.mark.parametrize(
    "spec",
    ["llm_guard(Secrets)", "nemo(x)", "guardrails_ai(a:B)", "any_guardrail(llama_guard)"],
)
def test_without_its_package_the_package_is_named(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("llm_guard", "nemoguardrails", "guardrails", "any_guardrail"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match="pip install"):
        load(spec)


# LLM Guard


class Scanner:
    """Answers with a function of the texts, and keeps what it is asked."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self._answer, self.asked = answer, list[tuple[str, ...]]()

    def scan(self, *texts: str) -> Any:
        self.asked.append(texts)
        return self._answer(*texts)


def test_a_scanner_gets_the_prompt_or_the_prompt_and_the_reply() -> None:
    inputs, outputs = (Scanner(lambda *texts: (texts[-1], True, -1.0)) for _ in range(2))
    judge(llm_guard.LlmGuard("Regex", inputs, outputs), "a", Exchange.of("b", "c"))
    assert (inputs.asked, outputs.asked) == ([("a",)], [("b", "c")])


@pytest.mark.parametrize(
    ("valid", "risk", "outcome", "score"),
    [
        (True, -1.0, SAFE, 0.0),
        (True, -0.4, SAFE, 0.3),
        (True, 0.3, SAFE, llm_guard._BELOW),
        (False, 0.2, UNSAFE, 0.6),
        (False, -1.0, UNSAFE, 0.5),
        (False, 1.0, UNSAFE, 1.0),
    ],
)
def test_the_scanner_decides_and_its_risk_becomes_the_score(
    valid: bool, risk: float, outcome: Outcome, score: float
) -> None:
    guard = llm_guard.LlmGuard("Toxicity", Scanner(lambda text: (text, valid, risk)), None)
    (verdict,) = judge(guard, "x")
    assert (verdict.outcome, verdict.score) == (outcome, pytest.approx(score))
    assert verdict.labels == {"risk": risk}
    assert [f.hazard for f in verdict.findings] == ([] if valid else ["salad.t.O1"])


@pytest.mark.parametrize("answer", [None, ("x", "yes", 0.0), ("x", True, 7.0), ("x", True, float("nan")), ()])
def test_an_answer_that_is_none_is_unassessed(answer: Any) -> None:
    guard = llm_guard.LlmGuard("Regex", Scanner(lambda text: answer), None)
    assert judge(guard, "x")[0].outcome is UNASSESSED


def test_a_scanner_of_one_side_leaves_the_other_unassessed() -> None:
    scanner = Scanner(lambda *texts: ("", True, -1.0))
    prompts, replies = llm_guard.LlmGuard("A", scanner, None), llm_guard.LlmGuard("A", None, scanner)
    assert (prompts.info.sees, replies.info.sees) == ("prompt", "reply")
    assert judge(prompts, Exchange.of("a", "b"))[0].outcome is UNASSESSED
    assert judge(replies, "a")[0].outcome is UNASSESSED


@pytest.fixture
def fake_llm_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ban(Scanner):
        def __init__(self, words: list[str], times: int = 1, vault: Any = None) -> None:
            if times < 1:
                raise ValueError("times is less than 1")
            if "missing" in words:
                raise OSError("cannot reach the hub\nmore")
            self.words, self.times, self.vault = words, times, vault
            super().__init__(lambda text: (text, not any(text.count(w) >= times for w in words), -1.0))

    modules = {
        "llm_guard": {},
        "llm_guard.util": {"configure_logger": lambda level, stream: None},
        "llm_guard.vault": {"Vault": dict},
        "llm_guard.input_scanners": {"Ban": Ban, "Scanner": object},
        "llm_guard.output_scanners": {"Other": Ban},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(llm_guard, "version", lambda name: "1")


@pytest.mark.usefixtures("fake_llm_guard")
def test_a_scanner_is_made_with_typed_arguments(tmp_path: Path) -> None:
    guard = load("llm_guard(Ban, words=a|b, times=2)")
    assert (guard._inputs.words, guard._inputs.times, guard._inputs.vault) == (["a", "b"], 2, {})
    assert [v.outcome for v in judge(guard, "a b", "b b")] == [SAFE, UNSAFE]
    file = tmp_path / "config.yaml"
    file.write_text("words: [a]\ntimes: 3\n")
    assert load(f"llm_guard(Ban, config={file})")._inputs.times == 3
    assert load(f"llm_guard(Ban, config={file}, times=4)")._inputs.times == 4


@pytest.mark.usefixtures("fake_llm_guard")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ("Bon", UnknownNameError, "Did you mean Ban"),
        ("Ban, colour=red", UsageError, "It takes words=, times=, vault="),
        ("Ban, words", UsageError, "Write NAME=VALUE"),
        ("Ban, words=a, times=0", UsageError, "times is less than 1"),
        ("Ban", UsageError, "missing 1 required"),
        ("Ban, words=missing", UnreachableError, "is not here: cannot reach the hub"),
        ("Ban, config=nowhere.yaml", BadFileError, "cannot be read"),
    ],
)
def test_what_cannot_be_made_says_why(arguments: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(f"llm_guard({arguments})")


@pytest.mark.usefixtures("fake_llm_guard")
def test_a_configuration_without_names_is_a_bad_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("- a\n")
    with pytest.raises(BadFileError, match="no names with values"):
        load(f"llm_guard(Ban, config={file})")


def test_hazards_of_scanners_are_keys() -> None:
    spine = taxonomy.load()
    assert all(spine.hazard(each).key == each for each in llm_guard.known()["hazards"].values())


# NeMo Guardrails


class Rails:
    """Answers as ``LLMRails`` does, with a log that is told."""

    def __init__(self, answer: Callable[[list[Any]], Any], *flows: str, models: tuple[str, ...] = ()) -> None:
        sides = {side: SimpleNamespace(flows=[side] if side in flows else []) for side in ("input", "output")}
        self.config = SimpleNamespace(models=models, rails=SimpleNamespace(**sides))
        self._answer, self.asked, self.actions = answer, list[Any](), dict[str, Any]()

    async def generate_async(self, messages: list[Any], options: Any) -> Any:
        self.asked.append((messages, options))
        return self._answer(messages)

    def register_action(self, action: Any, name: str) -> None:
        self.actions[name] = action


def answer(
    text: str,
    *,
    stop: bool = False,
    failed: bool = False,
    said: str | None = None,
    task: str = "self_check_input",
) -> Any:
    done = [SimpleNamespace(return_value=SimpleNamespace(failed=failed))]
    calls = [] if said is None else [SimpleNamespace(task=task, completion=said)]
    rails = [SimpleNamespace(name="a rail", stop=stop, executed_actions=done)]
    log = SimpleNamespace(activated_rails=rails, llm_calls=calls)
    return SimpleNamespace(response=[{"role": "assistant", "content": text}], log=log)


@pytest.mark.parametrize(
    ("told", "outcome", "score"),
    [
        (answer("x"), SAFE, 0.0),
        (answer("x", said="No"), SAFE, 0.0),
        (answer("sorry", stop=True), UNSAFE, 1.0),
        (answer("sorry", stop=True, said="Yes"), UNSAFE, 1.0),
        (answer("sorry", stop=True, said="turtles", task="other"), UNSAFE, 1.0),
        (answer("sorry", stop=True, said="I like turtles"), UNASSESSED, None),
        (answer("sorry", stop=True, said=""), UNASSESSED, None),
        (answer("sorry", failed=True), UNASSESSED, None),
        (answer("<x>"), UNSAFE, 0.5),
        (
            SimpleNamespace(response="x", log=SimpleNamespace(activated_rails=[], llm_calls=None)),
            UNASSESSED,
            None,
        ),
        (None, UNASSESSED, None),
    ],
)
def test_what_the_rails_do_is_the_verdict(told: Any, outcome: Outcome, score: float | None) -> None:
    (verdict,) = judge(nemo.Nemo(Rails(lambda messages: told, "input", "output"), "n", "1"), "x")
    assert (verdict.outcome, verdict.score) == (outcome, score)


def test_the_conversation_is_sent_with_the_rails_of_its_side() -> None:
    rails = Rails(lambda messages: answer(messages[-1]["content"]), "input", "output", models=("m",))
    guard = nemo.Nemo(rails, "n", "1")
    judge(guard, "a", Exchange.of("b", "c"))
    log = {"activated_rails": True, "llm_calls": True}
    first, second = sorted(rails.asked, key=lambda asked: len(asked[0]))
    assert first == ([{"role": "user", "content": "a"}], {"rails": ["input"], "log": log})
    assert second[0][1] == {"role": "assistant", "content": "c"}
    assert second[1]["rails"] == ["output"]
    assert guard.info.leaves_machine


def test_a_side_without_rails_is_unassessed() -> None:
    guard = nemo.Nemo(Rails(lambda messages: answer("x"), "input"), "n", "1")
    assert guard.info.sees == "prompt"
    assert [v.outcome for v in judge(guard, "x", Exchange.of("x", "y"))] == [SAFE, UNASSESSED]


def test_a_failure_costs_only_its_exchange_and_order_is_kept() -> None:
    def told(messages: list[Any]) -> Any:
        text = messages[-1]["content"]
        if text == "poison":
            raise TimeoutError("too slow\nindeed")
        return answer(text, stop=text == "bad")

    verdicts = judge(nemo.Nemo(Rails(told, "input"), "n", "1"), "fine", "poison", "bad")
    assert [verdict.outcome for verdict in verdicts] == [SAFE, UNASSESSED, UNSAFE]
    assert verdicts[1].reason == "nemo(n): TimeoutError: too slow"


@pytest.fixture
def fake_nemo(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config:
        @staticmethod
        def from_path(folder: str) -> str:
            if "broken" in folder:
                raise ValueError("not a configuration\nat all")
            return folder

    def rails(folder: str) -> Rails:
        return Rails(lambda messages: answer("x"), *(() if "empty" in folder else ("input",)))

    module = ModuleType("nemoguardrails")
    vars(module).update({"RailsConfig": Config, "LLMRails": rails})
    monkeypatch.setitem(sys.modules, "nemoguardrails", module)
    monkeypatch.setattr(nemo, "version", lambda name: "1")


@pytest.mark.usefixtures("fake_nemo")
def test_a_folder_is_a_guard_whose_revision_follows_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "rails"
    folder.mkdir()
    (folder / "config.yml").write_text("a")
    first = load(f"nemo({folder})")
    assert first.info.name == "nemo(rails)"
    (folder / "config.yml").write_text("b")
    assert load(f"nemo({folder})").info.revision != first.info.revision
    for name, message in (("broken", "not a configuration"), ("empty", "no input and no output")):
        (tmp_path / name).mkdir()
        with pytest.raises(BadFileError, match=message):
            load(f"nemo({tmp_path / name})")
    with pytest.raises(BadFileError, match="no such folder"):
        load(f"nemo({tmp_path / 'none'})")


@pytest.mark.parametrize(
    ("text", "options", "allowed"),
    [
        ("fine", {}, True),
        ("UNSAFE", {}, False),
        ("UNSAFE", {"threshold": 1.0}, False),
        ("GARBLED", {}, False),
        ("GARBLED", {"on_unassessed": "allow"}, True),
    ],
)
def test_our_guard_is_an_action_in_rails(text: str, options: dict[str, Any], allowed: bool) -> None:
    rails, guard = Rails(lambda messages: None, "input"), FakeGuard()
    nemo.register(rails, guard, **options)
    check_input, check_output = (rails.actions[f"harmless_check_{side}"] for side in ("input", "output"))
    assert anyio.run(check_input, {"user_message": text}) is allowed
    assert anyio.run(check_output, {"user_message": "UNSAFE", "bot_message": text}) is allowed
    assert anyio.run(check_input, None) is True


# Guardrails AI


def validating(result: Any) -> Any:
    def validate(value: str, metadata: dict[str, Any]) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return SimpleNamespace(validate=validate)


SPAN = SimpleNamespace(start=1, end=3, reason="r")
FAR = SimpleNamespace(start=1, end=300, reason="r")


@pytest.mark.parametrize(
    ("result", "outcome", "spans"),
    [
        (SimpleNamespace(outcome="pass"), SAFE, []),
        (SimpleNamespace(outcome="fail", error_message="bad", error_spans=[SPAN]), UNSAFE, [(1, 3)]),
        (SimpleNamespace(outcome="fail", error_message="bad", error_spans=[FAR]), UNSAFE, [None]),
        (SimpleNamespace(outcome="fail", error_message="bad", error_spans=None), UNSAFE, [None]),
        (SimpleNamespace(outcome="maybe"), UNASSESSED, []),
        (None, UNASSESSED, []),
        (TimeoutError("slow"), UNASSESSED, []),
    ],
)
def test_what_a_validator_says_is_the_verdict(result: Any, outcome: Outcome, spans: list[Any]) -> None:
    (verdict,) = judge(guardrails_ai.GuardrailsAi(validating(result), "V"), "text")
    assert verdict.outcome is outcome
    assert [finding.span for finding in verdict.findings] == spans


@pytest.fixture
def fake_guardrails(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    class Result(SimpleNamespace):
        pass

    class Validator:
        def __init__(self, on_fail: str = "exception", words: list[str] | None = None, times: int = 1) -> None:
            self.on_fail, self.words, self.times = on_fail, words, times
            if times < 1:
                raise ValueError("times is less than 1")

        def validate(self, value: str, metadata: dict[str, Any]) -> Any:
            return self._validate(value, metadata)

    settings = SimpleNamespace(rc=SimpleNamespace(enable_metrics=True))
    modules: dict[str, dict[str, Any]] = {
        "guardrails": {"settings": settings},
        "guardrails.validator_base": {
            "Validator": Validator, "ErrorSpan": SimpleNamespace,
            "register_validator": lambda name, data_type: lambda kind: kind,
        },
        "guardrails.classes": {
            "PassResult": lambda: Result(outcome="pass"),
            "FailResult": lambda **fields: Result(outcome="fail", **fields),
        },
        "validators_of_a_stranger": {"Ban": Validator},
    }  # fmt: skip
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(guardrails_ai, "version", lambda name: "1")
    return settings


def test_a_validator_is_made_with_typed_arguments_and_without_telemetry(
    fake_guardrails: SimpleNamespace,
) -> None:
    guard = load("guardrails_ai(validators_of_a_stranger:Ban, words=a|b, times=2)")
    made = guard._validator
    assert (made.on_fail, made.words, made.times) == ("noop", ["a", "b"], 2)
    assert fake_guardrails.rc.enable_metrics is False
    with pytest.raises(UsageError, match="times is less than 1"):
        load("guardrails_ai(validators_of_a_stranger:Ban, times=0)")
    with pytest.raises(UsageError, match="cannot be imported"):
        load("guardrails_ai(validators_of_a_stranger)")


class Finds:
    """A guard that finds the first two characters."""

    info = GuardInfo(name="finds", revision="1", sees="both")

    async def judge(self, exchanges: Any) -> list[Verdict]:
        found = (Finding(rule="two", span=(0, 2)),)
        return [Verdict(outcome=UNSAFE, score=0.8, findings=found, reason="found two") for _ in exchanges]


@pytest.mark.usefixtures("fake_guardrails")
def test_our_guard_is_a_validator() -> None:
    def validated(guard: Any, text: str, metadata: dict[str, Any], **options: Any) -> Any:
        return guardrails_ai.validator(guard, **options)(on_fail="noop").validate(text, metadata)

    assert validated(FakeGuard(), "fine", {}).outcome == "pass"
    assert validated(FakeGuard(), "fine", {"prompt": "UNSAFE"}).outcome == "pass"
    assert validated(FakeGuard(), "UNSAFE", {}).outcome == "fail"
    assert validated(FakeGuard(), "GARBLED", {}).error_message == "not assessed: garbled"
    assert validated(FakeGuard(), "GARBLED", {}, on_unassessed="allow").outcome == "pass"
    failed = validated(Finds(), "abc", {})
    assert (failed.error_message, failed.fix_value) == ("found two", "<two>c")
    assert [(span.start, span.end, span.reason) for span in failed.error_spans] == [(0, 2, "two")]
    assert validated(Finds(), "abc", {}, threshold=0.9).outcome == "pass"
    made = guardrails_ai.validator(FakeGuard())(on_fail="noop")
    assert anyio.run(made.async_validate, "UNSAFE", {}).outcome == "fail"


# any-guardrail


def output(valid: Any, **fields: Any) -> Any:
    plain = {"explanation": None, "score": None, "categories": [], "spans": None, "extra": None}
    return SimpleNamespace(valid=valid, **(plain | fields))


def category(name: str, triggered: bool | None, score: float | None = None) -> Any:
    return SimpleNamespace(name=name, triggered=triggered, score=score)


def of(name: str, told: Any, *stages: str) -> any_guardrail.AnyGuardrail:
    def evaluate(prompt: str, reply: str | None) -> Any:
        if isinstance(told, Exception):
            raise told
        return told

    return any_guardrail.AnyGuardrail(
        name, evaluate, stages=frozenset(stages or ("input", "output")), hosted=False
    )


@pytest.mark.parametrize(
    ("name", "told", "outcome", "score"),
    [
        ("deepset", output(True), SAFE, 0.0),
        ("deepset", output(False), UNSAFE, 1.0),
        ("deepset", output(True, score=0.2), SAFE, 0.2),
        ("deepset", output(True, score=0.9), SAFE, 0.5),
        ("deepset", output(False, score=0.1), UNSAFE, 0.5),
        ("deepset", output(False, extra={"parse_failure": True}), UNASSESSED, None),
        ("deepset", output(None), UNASSESSED, None),
        ("deepset", output(True, score=7.0), UNASSESSED, None),
        ("deepset", ConnectionError("refused"), UNASSESSED, None),
        ("llama_guard", output(True, explanation="\n\nsafe"), SAFE, 0.0),
        ("llama_guard", output(False, explanation="unsafe\nS1"), UNSAFE, 1.0),
        ("llama_guard", output(True, explanation="I cannot help."), UNASSESSED, None),
        ("llama_guard", output(True, explanation=""), UNASSESSED, None),
    ],
)
def test_the_guardrail_decides_and_what_it_could_not_read_is_unassessed(
    name: str, told: Any, outcome: Outcome, score: float | None
) -> None:
    (verdict,) = judge(of(name, told), "x")
    assert verdict.outcome is outcome
    assert verdict.score == (None if score is None else pytest.approx(score))


def failing(name: str, fault: Exception) -> Any:
    def fail(messages: list[Any]) -> Any:
        raise fault

    if name == "nemo":
        return nemo.Nemo(Rails(fail, "input"), "n", "1")
    return (
        guardrails_ai.GuardrailsAi(validating(fault), "V") if name == "guardrails_ai" else of("deepset", fault)
    )


@pytest.mark.parametrize("name", ["nemo", "guardrails_ai", "any_guardrail"])
@pytest.mark.parametrize("cause", ["http 401", "http 429", "http 500", "no answer within 1 s"])
def test_a_fault_of_what_stands_behind_it_is_unassessed_with_its_cause(name: str, cause: str) -> None:
    fault = TimeoutError(cause) if "within" in cause else RuntimeError(cause)
    (verdict,) = judge(failing(name, fault), "x")
    assert verdict.outcome is UNASSESSED
    assert cause in verdict.reason


def test_places_and_categories_become_findings() -> None:
    span = SimpleNamespace(start=0, end=2, label="EMAIL", score=None)
    raised = [category("S1", True), category("S2", False, 0.1), category("S3", None, 0.4)]
    (verdict,) = judge(of("x", output(False, spans=[span], categories=raised)), "a@b")
    assert [(f.rule, f.span) for f in verdict.findings] == [("EMAIL", (0, 2)), ("S1", None)]
    assert verdict.labels == {"S2": 0.1, "S3": 0.4}


def test_a_guardrail_of_one_side_leaves_the_other_unassessed() -> None:
    prompts, replies = of("x", output(True), "input"), of("x", output(True), "output")
    assert [v.outcome for v in judge(prompts, "a", Exchange.of("a", "b"))] == [SAFE, UNASSESSED]
    assert [v.outcome for v in judge(replies, "a", Exchange.of("a", "b"))] == [UNASSESSED, SAFE]


def test_a_guardrail_is_made_with_typed_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Factory:
        @staticmethod
        def create(name: Any, **arguments: Any) -> Any:
            if arguments.get("model_id") == "missing/model":
                raise OSError("no network\nmore")
            if "colour" in arguments:
                raise TypeError("unexpected argument colour")
            made.append((name.value, arguments))
            return "made"

        @staticmethod
        def evaluate(name: Any, guardrail: Any, prompt: str, reply: str | None) -> Any:
            return output(guardrail == "made" and prompt == "fine")

        @staticmethod
        def metadata(name: Any) -> Any:
            return SimpleNamespace(stages=[SimpleNamespace(value="input")], requires_api_key=True)

    module = ModuleType("any_guardrail")
    names = [SimpleNamespace(value="deepset")]
    vars(module).update({"AnyGuardrail": Factory, "GuardrailName": names})
    monkeypatch.setitem(sys.modules, "any_guardrail", module)
    monkeypatch.setattr(any_guardrail, "version", lambda name: "1")
    guard = load("any_guardrail(deepset, threshold=0.7)")
    assert made == [("deepset", {"threshold": 0.7})]
    assert (guard.info.sees, guard.info.leaves_machine) == ("prompt", True)
    assert [verdict.outcome for verdict in judge(guard, "fine", "bad")] == [SAFE, UNSAFE]
    for arguments, error in (
        ("deepsot", UnknownNameError),
        ("deepset, colour=red", UsageError),
        ("deepset, model_id=missing/model", UnreachableError),
    ):
        with pytest.raises(error):
            load(f"any_guardrail({arguments})")
