"""A small chat model with random weights, made in a moment; needs torch and transformers."""

from __future__ import annotations

from pathlib import Path

CONTEXT = 64
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MARKS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def saved(
    folder: Path, *, seed: int = 1, template: str | None = TEMPLATE, kind: str = "llama", layers: int = 2
) -> Path:
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
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        initializer_range=0.6,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def saved_gguf(path: Path, bundled: Path, *, seed: int = 1) -> Path:
    """Write a small Llama with random weights as GGUF, with template and first words of the bundled one."""
    import gguf
    import numpy as np

    reader, writer = gguf.GGUFReader(bundled), gguf.GGUFWriter(path, "llama")
    words = 1024
    known = set(reader.fields["tokenizer.ggml.tokens"].contents()[:words])
    for field in reader.fields.values():
        if field.name.startswith("tokenizer."):
            array = field.types[0] == gguf.GGUFValueType.ARRAY
            kind, value = field.types[-1] if array else None, field.contents()
            if field.name.endswith("merges"):
                value = [pair for pair in value if pair.replace(" ", "") in known]
            elif array:
                value = value[:words]
            writer.add_key_value(field.name, value, field.types[0], sub_type=kind)
    width, inner, heads, shared, layers = 64, 96, 4, 2, 2
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(shared)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(words)
    rng = np.random.default_rng(seed)
    small = width * shared // heads
    shapes = {"attn_q": (width, width), "attn_k": (small, width), "attn_v": (small, width)}
    shapes |= {"attn_output": (width, width), "ffn_gate": (inner, width), "ffn_up": (inner, width)}
    shapes |= {"ffn_down": (width, inner), "attn_norm": (width,), "ffn_norm": (width,)}
    named = {f"blk.{i}.{name}.weight": shape for i in range(layers) for name, shape in shapes.items()}
    for name, shape in {"token_embd.weight": (words, width), "output_norm.weight": (width,), **named}.items():
        values = np.ones(shape) if len(shape) == 1 else rng.normal(0, 0.3, shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
