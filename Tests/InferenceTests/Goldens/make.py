"""Makes the goldens beside it: python make.py   (PyPI: torch, transformers, safetensors)

qwen2/, llama3/   tiny random models saved by transformers: Qwen2 in bfloat16 and two shards, tied; Llama in half precision, untied, with
                  Llama 3's rotary scaling, of which all three ranges occur
*.logits          little-endian fp32 [40, 96]: transformers' logits in fp32 after each of the tokens (7·i + 3) mod 96
"""
import pathlib
import shutil

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

here = pathlib.Path(__file__).parent
sizes = dict(
    vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, initializer_range=0.3,
)
qwen2 = Qwen2Config(**sizes, tie_word_embeddings=True, rope_theta=1000000.0)
llama3 = LlamaConfig(
    **sizes, tie_word_embeddings=False, rope_theta=500000.0,
    rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
    ),
)
tokens = torch.tensor([[(7 * i + 3) % 96 for i in range(40)]])
for name, kind, config, dtype, shard in [
    ("qwen2", Qwen2ForCausalLM, qwen2, torch.bfloat16, "60KB"),
    ("llama3", LlamaForCausalLM, llama3, torch.float16, "1GB"),
]:
    torch.manual_seed(1)
    model = kind(config)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    model = model.to(dtype)
    shutil.rmtree(here / name, ignore_errors=True)
    model.save_pretrained(here / name, max_shard_size=shard)
    with torch.no_grad():
        logits = kind.from_pretrained(here / name, dtype=torch.float32)(tokens).logits[0]
    logits.numpy().astype("<f4").tofile(here / f"{name}.logits")
