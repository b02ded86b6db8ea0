// The kernels for AVX-512: tiles of 12 × 32, twenty-four accumulators of 16 lanes.

#include "internal.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)
#define LEVEL_HAS_F16C
#define MR 12
#define NP 2
#define KERNEL_TABLE retort_kernels_avx512
#include "body.h"
#pragma clang attribute pop
#endif
