"""The page of the documentation on guard models, made from ``prompts/*.yaml``."""

from __future__ import annotations

from harmless.guards import formats
from harmless.guards.formats import Format
from harmless.guards.parsers import Fields

_HEAD = """# Guard models

Language models that are trained or told to judge. harmless builds the exact input, reads the answer strictly,
and runs the model through any target:

```text
llama_guard_3(openai:meta-llama/Llama-Guard-3-8B, base_url=http://localhost:8000/v1)
granite_guardian_3_3(hf:ibm-granite/granite-guardian-3.3-8b, criteria=groundedness+harm)
wildguard(embedded:wildguard.Q4_K_M.gguf)
```

- **Which data leaves the machine**: with `hf:` and `embedded:` none. With `openai:` the conversation and the
  reply go to the endpoint that you name; the guard says so (`leaves_machine`) unless it is on this machine.
- **What it costs**: one answer of the model per exchange, or one per criterion where several are asked for.
  The size decides what it takes: about 2 GB of memory per billion parameters in 16 bits, 0.6 GB in 4 bits.
- **Score**: from the probabilities of the words that decide, where the target gives them; otherwise 0 or 1,
  and the verdict says so. `logprobs=5` asks for fewer of them, `logprobs=0` for none.
- **What cannot be read is unassessed**, with its cause: a refusal, an empty or garbled answer, a fault of the
  endpoint. It is never safe.
- **Context** (documents for groundedness, tools for tool calls) is the conversation's system message.
- A raw input needs the endpoint of completions, `template` one that knows `chat_template_kwargs` (vLLM,
  SGLang, llama.cpp). A server that ignores them asks for the default risk without saying so.
- The judged text is data, but a model reads it: a reply can try to talk to its judge. Guard models that take
  the raw input also see marks such as `[/INST]` if a user writes them.

Options behind the target: `criteria=A+B`, `think=yes`, `policy=FILE` (your categories in place of the
prompt's), `logprobs=N`, and those of targets: `base_url`, `api_key_env`, `timeout_s`, `input_price`,
`output_price`, `concurrency`, `slots`,
`context`, `device`.

| guard | models | size | judges | covers | conversation | input | score | context | licence of the weights |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
_FOOT = """
"From memory" means that no published source was at hand for a value. Sources: the comment and the field
`source` of each file in `src/harmless/guards/prompts/`.

Not here: Prompt Guard is a classifier, `classifier(meta-llama/Llama-Prompt-Guard-2-86M)`. BeaverDam needs a
model class that transformers does not have, and its licence is not commercial.

This page is made from those files; run `python -m harmless.guards.lm_page > docs/guards-lm.md` after a
change.
"""


def page() -> str:
    """Return the page as Markdown."""
    found = [formats.find(name) for name in formats.names()]
    notes = [line for each in found for line in _notes(each)]
    return _HEAD + "\n".join(_row(each) for each in found) + "\n\n" + "\n".join(notes) + "\n" + _FOOT


def _row(format: Format) -> str:
    judges = {"prompt": "prompts", "reply": "replies", "both": "prompts, replies"}[format.sees]
    cells = (
        f"`{format.name}`",
        "<br>".join(format.hub),
        format.size,
        judges,
        format.covers,
        {"all": "all turns", "last": "last turn"}[format.turns],
        "raw" if format.input.text is not None else "template" if format.input.template else "messages",
        "probabilities" if format.score else "grade of its own" if _graded(format) else "0 or 1",
        f"{format.context_length:,}",
        format.licence,
    )
    return f"| {' | '.join(cells)} |"


def _graded(format: Format) -> bool:
    parser = format.parser
    rated = isinstance(parser, Fields) and (parser.rating or any(0 < v < 1 for v in parser.levels.values()))
    return format.graded or bool(rated)


def _notes(format: Format) -> list[str]:
    said = [format.notes] if format.notes else []
    if format.criteria:
        said.append(f"criteria {', '.join(format.criteria)}; asked for by default: {', '.join(format.asked)}")
    if format.memory:
        said.append(f"from memory: {', '.join(format.memory)}")
    return [f"- `{format.name}`: {'; '.join(said)}."] if said else []


if __name__ == "__main__":
    print(page(), end="")
