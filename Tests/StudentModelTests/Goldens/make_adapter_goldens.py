"""Writes more golden files, from those of make_goldens.py: logits in bf16 autocast, and the gradients of low-rank adapters in PyTorch.

Made with: python make_adapter_goldens.py      (PyTorch 2.13 and transformers 5.x, CPU, eager attention)

Per case: CASE.bf16.f32 (logits of the rows with a target, products in bf16), CASE.adapters.f32 (rank 4, alpha 8, every linear map of the
layers; A [rank, in], then B [out, rank], maps in canonical order) and CASE.adapters.gradients.f32 (fp32 products on the base rounded
to bfloat16). All little-endian fp32.
"""

import json
import os

import numpy
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
RANK, ALPHA = 4, 8


def write(name, tensors):
    flat = torch.cat([t.detach().reshape(-1).float() for t in tensors])
    flat.numpy().astype("<f4").tofile(os.path.join(HERE, name))


def adapt(linear, a, b):
    linear.register_forward_hook(lambda _, inputs, output: output + (ALPHA / RANK) * (inputs[0] @ a.T) @ b.T)


def make(case):
    with open(os.path.join(HERE, f"{case}.json")) as file:
        d = json.load(file)
    config = Qwen2Config(
        vocab_size=d["vocabularySize"], hidden_size=d["hiddenSize"], num_hidden_layers=d["layerCount"],
        num_attention_heads=d["headCount"], num_key_value_heads=d["keyValueHeadCount"], intermediate_size=d["feedForwardSize"],
        tie_word_embeddings=d["tiesEmbeddings"], max_position_embeddings=128, rope_theta=10000.0, rms_norm_eps=1e-6,
        attn_implementation="eager")
    model = Qwen2ForCausalLM(config).float().eval()
    named = dict(model.named_parameters())
    flat = torch.tensor(numpy.fromfile(os.path.join(HERE, f"{case}.parameters.f32"), "<f4"))
    start = 0
    with torch.no_grad():
        for name in d["names"]:
            p = named[name]
            p.copy_(flat[start:start + p.numel()].view_as(p))
            start += p.numel()
    tokens, targets, starts = torch.tensor(d["tokens"]), torch.tensor(d["targets"]), d["sequenceStarts"]
    wanted = targets >= 0
    w = torch.tensor(d["weights"])[wanted]

    def logits():
        rows = [model(input_ids=tokens[a:b][None]).logits[0] for a, b in zip(starts, starts[1:])]
        return torch.cat(rows)[wanted].float()

    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        write(f"{case}.bf16.f32", [logits()])

    adapters = []
    torch.manual_seed(5)
    with torch.no_grad():
        for name in d["names"]:
            named[name].copy_(named[name].bfloat16().float())
    for name in d["names"]:
        if not name.endswith("_proj.weight"):
            continue
        out, width = named[name].shape
        a = (torch.randn(RANK, width) * width ** -0.5).requires_grad_()
        b = (torch.randn(out, RANK) * 0.2).requires_grad_()
        adapt(model.get_submodule(name.removesuffix(".weight")), a, b)
        adapters += [a, b]
    loss = (torch.nn.functional.cross_entropy(logits(), targets[wanted], reduction="none") * w).sum() / w.sum()
    loss.backward()
    write(f"{case}.adapters.f32", adapters)
    write(f"{case}.adapters.gradients.f32", [p.grad for p in adapters])
    print(case, loss.item())


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in ["tied", "untied"]:
        make(case)
