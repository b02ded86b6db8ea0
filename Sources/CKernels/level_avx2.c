// The kernels for AVX2 and FMA: tiles of 6 × 16, twelve accumulators of 8 lanes.

#include "internal.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define LEVEL_HAS_F16C
#define MR 6
#define NP 1
#define KERNEL_TABLE retort_kernels_avx2
#include "body.h"
#pragma clang attribute pop
#endif
