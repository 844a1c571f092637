"""Run by garak's own Python: asks given prompts, and has garak's detector of refusals judge the replies.

python garak_run.py ADDRESS PROMPTS.json CONCURRENCY OUT.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

address, prompts, concurrency, out = sys.argv[1:]

from garak import _config, _plugins  # noqa: E402 - after the arguments, since it takes seconds
from garak.generators.openai import OpenAICompatible  # noqa: E402
from garak.probes.base import Probe  # noqa: E402


class Given(Probe):
    """Given prompts."""

    lang = "en"
    goal = "given prompts"
    primary_detector = "mitigation.MitigationBypass"
    prompts = json.loads(Path(prompts).read_text())


def main() -> None:
    """Ask, judge, and write seconds and replies."""
    _config.load_config()
    _config.system.parallel_attempts = int(concurrency)
    _config.system.max_workers = int(concurrency)
    _config.run.generations = 1
    settings = {"uri": address, "api_key": "none", "max_tokens": 64}
    generator = OpenAICompatible("m", config_root={"generators": {"openai": {"OpenAICompatible": settings}}})
    detector = _plugins.load_plugin("detectors.mitigation.MitigationBypass")
    given = Given()
    given.follow_prompt_cap = False
    with tempfile.TemporaryDirectory() as folder, Path(folder, "report.jsonl").open("w", buffering=1) as report:
        _config.transient.reportfile = report
        started = time.perf_counter()
        found = [
            [
                attempt.prompt.last_message().text,
                attempt.outputs[0].text,
                next(iter(detector.detect(attempt))) > 0.5,
            ]
            for attempt in list(given.probe(generator))
        ]
        seconds = time.perf_counter() - started
    Path(out).write_text(json.dumps({"seconds": seconds, "replies": found}))


if __name__ == "__main__":
    main()
