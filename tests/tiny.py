"""A small chat model with random weights, made in a moment; needs torch and transformers."""

from __future__ import annotations

from pathlib import Path

CONTEXT = 64
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MARKS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def saved(folder: Path, *, seed: int = 1, template: str | None = TEMPLATE, kind: str = "llama") -> Path:
    """Write a byte-level tokenizer and a small model (a Llama, or another ``kind``) with random weights."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    base = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    base.add_special_tokens(MARKS)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=base, eos_token="<|end|>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        initializer_range=0.6,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder
