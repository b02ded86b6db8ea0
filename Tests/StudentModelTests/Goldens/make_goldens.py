"""Writes the golden files beside it: parameters, logits, gradients and ten AdamW losses of small Qwen2 models in PyTorch.

Made with: python make_goldens.py      (PyTorch 2.13 and transformers 5.x, CPU, fp32, eager attention)

Per case: CASE.json (configuration, batch, losses), CASE.parameters.f32, CASE.gradients.f32, CASE.logits.f32 (rows with a target) and
CASE.kl.f32 (gradients of half cross-entropy, half KL to the teacher logits in CASE.teacher.f32). All little-endian fp32; tensors in
canonical order without gaps.
"""

import json
import os

import numpy
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {
    "tied": dict(hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96,
                 vocab_size=160, tie_word_embeddings=True, lengths=[7, 1, 33, 12, 19]),
    "untied": dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, intermediate_size=40,
                   vocab_size=131, tie_word_embeddings=False, lengths=[5, 51, 2]),
}


def canonical_names(config):
    names = ["model.embed_tokens.weight"]
    for layer in range(config.num_hidden_layers):
        p = f"model.layers.{layer}."
        names.append(p + "input_layernorm.weight")
        for x in "qkv":
            names += [p + f"self_attn.{x}_proj.weight", p + f"self_attn.{x}_proj.bias"]
        names += [p + "self_attn.o_proj.weight", p + "post_attention_layernorm.weight"]
        names += [p + f"mlp.{x}_proj.weight" for x in ("gate", "up", "down")]
    names.append("model.norm.weight")
    if not config.tie_word_embeddings:
        names.append("lm_head.weight")
    return names


def write(name, tensors):
    flat = torch.cat([t.detach().reshape(-1).float() for t in tensors])
    flat.numpy().astype("<f4").tofile(os.path.join(HERE, name))


def make(case, spec):
    lengths = spec.pop("lengths")
    config = Qwen2Config(**spec, max_position_embeddings=128, rope_theta=10000.0, rms_norm_eps=1e-6, attn_implementation="eager")
    torch.manual_seed(20 + len(case))
    model = Qwen2ForCausalLM(config).float().eval()
    named = dict(model.named_parameters())
    names = canonical_names(config)
    with torch.no_grad():
        for name in names:
            p = named[name]
            p.copy_(torch.randn_like(p) * (0.3 if p.dim() == 1 else p.shape[1] ** -0.5) + (1.0 if "norm" in name else 0.0))
    parameters = [named[name] for name in names]

    generator = numpy.random.default_rng(7)
    total = sum(lengths)
    tokens = generator.integers(0, config.vocab_size, total)
    targets = numpy.where(generator.random(total) < 0.6, generator.integers(0, config.vocab_size, total), -1)
    weights = numpy.round(generator.random(total) * 1.5 + 0.25, 3).astype("float32")
    starts = numpy.concatenate([[0], numpy.cumsum(lengths)])
    wanted = numpy.nonzero(targets >= 0)[0]
    w, y = torch.tensor(weights[wanted]), torch.tensor(targets[wanted])
    teacher = torch.tensor(generator.normal(size=(len(wanted), config.vocab_size)).astype("float32") * 2)

    def logits():
        rows = [model(input_ids=torch.tensor(tokens[a:b])[None]).logits[0] for a, b in zip(starts, starts[1:])]
        return torch.cat(rows)[wanted]

    def loss(z):
        return (torch.nn.functional.cross_entropy(z, y, reduction="none") * w).sum() / w.sum()

    z = logits()
    first = loss(z)
    first.backward()
    write(f"{case}.parameters.f32", parameters)
    write(f"{case}.logits.f32", [z])
    write(f"{case}.gradients.f32", [p.grad for p in parameters])

    model.zero_grad()
    z = logits()
    kl = torch.nn.functional.kl_div(torch.log_softmax(z, -1), torch.log_softmax(teacher, -1), log_target=True, reduction="none").sum(-1)
    mixed = 0.5 * loss(z) + 0.5 * (kl * w).sum() / w.sum()
    mixed.backward()
    write(f"{case}.kl.f32", [p.grad for p in parameters])
    write(f"{case}.teacher.f32", [teacher])

    groups = [dict(params=[p for p in parameters if p.dim() > 1], weight_decay=0.05),
              dict(params=[p for p in parameters if p.dim() == 1], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.98), eps=1e-8)
    losses, norms = [], []
    for _ in range(10):
        optimizer.zero_grad()
        step = loss(logits())
        step.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, 1.0)))
        optimizer.step()
        losses.append(float(step))
    document = dict(
        vocabularySize=config.vocab_size, hiddenSize=config.hidden_size, layerCount=config.num_hidden_layers,
        headCount=config.num_attention_heads, keyValueHeadCount=config.num_key_value_heads, feedForwardSize=config.intermediate_size,
        tiesEmbeddings=config.tie_word_embeddings, names=names, tokens=tokens.tolist(), targets=targets.tolist(),
        weights=[float(x) for x in weights], sequenceStarts=starts.tolist(), loss=float(first), mixedLoss=float(mixed),
        learningRate=3e-3, losses=losses, gradientNorms=norms)
    with open(os.path.join(HERE, f"{case}.json"), "w") as file:
        json.dump(document, file, indent=None, separators=(",", ":"))
        file.write("\n")
    print(case, float(first), float(mixed), losses, norms[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case, spec in CASES.items():
        make(case, spec)
