"""Writes one more golden file a case, from those of make_goldens.py: gradients where only a teacher's likeliest tokens are known, in PyTorch.

Made with: python make_top_goldens.py      (PyTorch 2.13 and transformers 5.x, CPU, fp32, eager attention)

Per case: CASE.top.f32, the gradients of 0.6 cross-entropy and 0.4 KL(teacher || student) over the teacher's 5 likeliest tokens and the
tail as one class, in the rows with a target but each third, which have the cross-entropy alone; in canonical order, then the
loss. Little-endian fp32.
"""

import json
import os

import numpy
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
TOP, SHARE = 5, 0.4


def read(name):
    return torch.tensor(numpy.fromfile(os.path.join(HERE, name), "<f4"))


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
    flat, start = read(f"{case}.parameters.f32"), 0
    with torch.no_grad():
        for name in d["names"]:
            p = named[name]
            p.copy_(flat[start:start + p.numel()].view_as(p))
            start += p.numel()
    tokens, targets, starts = torch.tensor(d["tokens"]), torch.tensor(d["targets"]), d["sequenceStarts"]
    wanted = targets >= 0
    w = torch.tensor(d["weights"])[wanted]
    rows = [model(input_ids=tokens[a:b][None]).logits[0] for a, b in zip(starts, starts[1:])]
    z = torch.cat(rows)[wanted]
    log_p = torch.log_softmax(z, -1)
    entropy = -log_p.gather(1, targets[wanted][:, None])[:, 0]
    teacher = torch.log_softmax(read(f"{case}.teacher.f32").view_as(z), -1)
    known, places = teacher.topk(TOP, -1)
    q, q_tail = known.exp(), 1 - known.exp().sum(-1)
    p_tail = log_p.scatter(1, places, float("-inf")).logsumexp(-1)
    divergence = (q * (known - log_p.gather(1, places))).sum(-1) + q_tail * (q_tail.log() - p_tail)
    share = torch.where(torch.arange(len(w)) % 3 == 2, 0.0, SHARE)
    loss = (w * ((1 - share) * entropy + share * divergence)).sum() / w.sum()
    loss.backward()
    numbers = torch.cat([named[name].grad.reshape(-1) for name in d["names"]] + [loss.detach()[None]])
    numbers.numpy().astype("<f4").tofile(os.path.join(HERE, f"{case}.top.f32"))
    print(case, loss.item())


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in ["tied", "untied"]:
        make(case)
