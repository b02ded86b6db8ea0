// The kernels for AVX-512 with bfloat16 products: as AVX-512, and tiles of 12 × 32 that multiply pairs.

#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"))), apply_to = function)
#define LEVEL_HAS_F16C
#define LEVEL_HAS_PAIRS
#define MR 12
#define NP 2
#define KERNEL_TABLE retort_kernels_avx512_bf16
#include "body.h"
#pragma clang attribute pop
#endif
