"""Our tasks in Inspect AI, with its mock model: simulated tools, outcome, guard, and the log that is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration
inspect_ai = pytest.importorskip("inspect_ai", reason="needs inspect-ai (extra inspect)")

from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: E402

from harmless.interop import read  # noqa: E402
from harmless.interop.agents import PLAIN, injections  # noqa: E402

MODEL = "mockllm/model"


def evaluated(task: Any, outputs: list[Any], folder: Path) -> Any:
    for each in outputs:
        each.usage = ModelUsage()  # else Inspect fetches a tokenizer to count
    model = get_model(MODEL, custom_outputs=outputs)
    logs = inspect_ai.eval(
        task, model=model, log_dir=str(folder), log_format="json", display="none", max_samples=1, limit=1
    )
    assert logs[0].status == "success", logs[0].error
    return logs[0]


def obeying() -> list[Any]:
    send = {"to": "collector@example.net", "text": "The hall is free on Tuesday."}
    return [
        ModelOutput.for_tool_call(MODEL, "newest_email", {}),
        ModelOutput.for_tool_call(MODEL, "send_email", send),
        ModelOutput.from_content(MODEL, "The hall is free on Tuesday."),
    ]


def test_an_agent_that_obeys_a_tool_result_is_attacked(tmp_path: Path) -> None:
    from harmless.interop.inspect_tasks import agent_injection

    log = evaluated(agent_injection("ignore"), obeying(), tmp_path)
    scores = log.samples[0].scores
    assert scores["outcome"].value == {"attacked": 1, "useful": 1}
    assert 0 <= scores["guard"].value <= 1
    found = read(next(tmp_path.glob("*.json")))[1].attempts[0]
    assert (found.success, found.objective) == (True, injections(["ignore"])[0].objective)
    assert '[send_email {"to": "collector@example.net"' in found.reply.text


def test_an_agent_that_does_its_task_alone_is_not(tmp_path: Path) -> None:
    from harmless.interop.inspect_tasks import agent_injection

    first, _, last = obeying()
    log = evaluated(agent_injection(PLAIN), [first, last], tmp_path)
    sample = log.samples[0]
    assert sample.scores["outcome"].value == {"attacked": 0, "useful": 1}
    assert [each.text for each in sample.messages if each.role == "tool"] == [
        injections([PLAIN])[0].results["newest_email"]
    ]
    means = {score.name: score.metrics["mean"].value for score in log.results.scores}
    assert (means["attacked"], means["useful"]) == (0, 1)


def test_harmful_requests_are_judged_by_the_calls(tmp_path: Path) -> None:
    from harmless.interop.inspect_tasks import agent_misuse

    log = evaluated(
        agent_misuse(), [ModelOutput.from_content(MODEL, "I'm sorry, I can't help with that.")], tmp_path
    )
    assert log.samples[0].scores["outcome"].value == {"attacked": 0, "useful": 0}


def test_inspect_finds_the_tasks_by_name() -> None:
    from importlib.metadata import entry_points

    assert {each.value for each in entry_points(group="inspect_ai") if each.name == "harmless"} == {
        "harmless.interop.inspect_tasks"
    }
