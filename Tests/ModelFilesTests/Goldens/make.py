"""Makes the goldens beside it: python make.py   (PyPI: safetensors, gguf, numpy)

tiny.safetensors       by safetensors.numpy.save_file
tiny.gguf              by gguf.GGUFWriter, with the metadata of a Qwen2 decoder of no use and all element types that are read
weights.f32            odd numbers, little-endian; weights.q8_0 and weights.q4_0 are the same by gguf.quants
blocks.q4_k, q6_k      random blocks, and what gguf.quants makes of them (.f32)
"""
import pathlib
import struct

import gguf
import numpy as np
from safetensors.numpy import save_file

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(7)

save_file(
    {
        "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        "a.half": np.array([1, -2.5, 65504, 6e-8], dtype=np.float16),
        "scalar": np.array(3, dtype=np.int64),
        "a.weight": np.array([[0.1, -0.2]], dtype=np.float32),
        "empty": np.zeros((0, 4), dtype=np.float32),
        "bytes": np.array([1, 2, 255], dtype=np.uint8),
    },
    here / "tiny.safetensors",
    metadata={"format": "pt"},
)

blocks = [rng.standard_normal(32) * s for s in (1, 0.02, 1e-3, 300, 1e-7)]
blocks += [np.zeros(32), np.full(32, -1.5), np.linspace(-1, 1, 32), np.arange(32) - 127.0]
halves = np.arange(32) * 0.5 - 8  # ties: the largest is 127 steps of one
halves[0] = 127
blocks += [halves, rng.standard_cauchy(32), rng.integers(-4, 4, 32).astype(float)]
weights = np.stack(blocks).astype(np.float32)
weights.astype("<f4").tofile(here / "weights.f32")
q8 = gguf.quants.quantize(weights, gguf.GGMLQuantizationType.Q8_0)
q4 = gguf.quants.quantize(weights, gguf.GGMLQuantizationType.Q4_0)
q8.tofile(here / "weights.q8_0")
q4.tofile(here / "weights.q4_0")

for name, kind in [("q4_k", gguf.GGMLQuantizationType.Q4_K), ("q6_k", gguf.GGMLQuantizationType.Q6_K)]:
    blocks = rng.integers(0, 256, (6, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    # Scales that are numbers: 0.01, 2.5, −0.3, 0, a subnormal half, 1.
    scales = np.array([0.01, 2.5, -0.3, 0, 3e-6, 1], dtype=np.float16).view(np.uint8).reshape(6, 2)
    if name == "q4_k":
        blocks[:, 0:2], blocks[:, 2:4] = scales, scales[::-1]
    else:
        blocks[:, 208:210] = scales
    blocks.tofile(here / f"blocks.{name}")
    gguf.quants.dequantize(blocks, kind).astype("<f4").tofile(here / f"blocks.{name}.f32")

writer = gguf.GGUFWriter(here / "tiny.gguf", "qwen2", endianess=gguf.GGUFEndian.LITTLE)
writer.add_name("tiny")
writer.add_uint32("qwen2.block_count", 3)
writer.add_uint8("test.u8", 200)
writer.add_int8("test.i8", -100)
writer.add_uint16("test.u16", 60000)
writer.add_int16("test.i16", -30000)
writer.add_int32("test.i32", -2_000_000_000)
writer.add_uint64("test.u64", 2**63 + 1)
writer.add_int64("test.i64", -(2**62))
writer.add_float32("test.f32", 1e-6)
writer.add_float64("test.f64", 0.1)
writer.add_bool("test.bool", True)
writer.add_string("test.string", "naïve ☕")
writer.add_array("test.strings", ["a", "Ġb", ""])
writer.add_array("test.ints", [1, -2, 3])
writer.add_tensor("token_embd.weight", weights[:2])
writer.add_tensor("blk.0.q8", q8, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
writer.add_tensor("blk.0.q4", q4, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
writer.add_tensor("blk.0.norm", weights[3, :5].copy())
writer.add_tensor("blk.0.half", weights[1].astype(np.float16))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
