// Chooses the level once, and forwards every public kernel to it with denormals flushed.

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

static _Atomic int selected = -1;

retort_level retort_kernels_best(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return __builtin_cpu_supports("avx512bf16") ? RETORT_LEVEL_AVX512_BF16 : RETORT_LEVEL_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) return RETORT_LEVEL_AVX2;
#endif
  return RETORT_LEVEL_PORTABLE;
}

static int wanted_level(void) {
  static const char *const names[] = {"portable", "avx2", "avx512", "avx512_bf16"};
  const char *text = getenv("RETORT_KERNELS");
  int best = (int)retort_kernels_best();
  if (text == NULL || *text == 0) return best;
  for (int level = 0; level <= best; level++) {
    if (strcmp(text, names[level]) == 0) return level;
  }
  fprintf(stderr, "RETORT_KERNELS: expected portable, avx2, avx512 or avx512_bf16, and no more than this processor has; ");
  fprintf(stderr, "found \"%.40s\", using %s\n", text, names[best]);
  return best;
}

retort_level retort_kernels_level(void) {
  int level = atomic_load_explicit(&selected, memory_order_relaxed);
  if (level < 0) {
    level = wanted_level();
    atomic_store_explicit(&selected, level, memory_order_relaxed);
  }
  return (retort_level)level;
}

retort_level retort_kernels_select(retort_level level) {
  if (level > retort_kernels_best()) return retort_kernels_level();
  atomic_store(&selected, (int)level);
  return level;
}

static const retort_kernel_table *kernels(void) {
#if defined(__x86_64__)
  switch (retort_kernels_level()) {
    case RETORT_LEVEL_AVX512_BF16: return &retort_kernels_avx512_bf16;
    case RETORT_LEVEL_AVX512: return &retort_kernels_avx512;
    case RETORT_LEVEL_AVX2: return &retort_kernels_avx2;
    default: return &retort_kernels_portable;
  }
#else
  return &retort_kernels_portable;
#endif
}

#define RETORT_PUBLIC(name, parameters, arguments) \
  void retort_##name parameters;                   \
  void retort_##name parameters {                  \
    uint64_t saved = retort_enter_numerics();      \
    kernels()->name arguments;                     \
    retort_leave_numerics(saved);                  \
  }
RETORT_LEVELLED_KERNELS(RETORT_PUBLIC)

size_t retort_squared_norm_scratch(ptrdiff_t count) {
  return (size_t)((count + RETORT_NORM_BLOCK - 1) / RETORT_NORM_BLOCK);
}

double retort_squared_norm(ptrdiff_t count, const float *x, double *scratch) {
  retort_squared_norm_blocks(count, x, scratch);
  double sum = 0;
  for (size_t i = 0; i < retort_squared_norm_scratch(count); i++) sum += scratch[i];
  return sum;
}

size_t retort_gemm_packed_size(ptrdiff_t n, ptrdiff_t k) { return (size_t)(round_up(n, 16) * k); }

size_t retort_gemm_scratch(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k) {
  // The most that any level, any precision and any smaller m, n or k asks for: a buffer that was made for the largest batch serves all
  // others. A block's words do not grow with k (blocks are whole tiles), so the bound is their limit, not what this k takes.
  ptrdiff_t depth = round_up(smaller(k, GEMM_DEPTH), 2);
  ptrdiff_t a = smaller(round_up(m, 12) * depth, GEMM_A_WORDS), b = smaller(round_up(n, 32) * depth, GEMM_B_WORDS);
  return (size_t)(a + b);
}

size_t retort_attention_scratch(ptrdiff_t keys, ptrdiff_t head_size, int threads) {
  ptrdiff_t padded = round_up(keys, 16), width = round_up(head_size, 16);
  ptrdiff_t one = 2 * padded * head_size + 2 * padded * width + 2 * RETORT_ATTENTION_BLOCK * (width + padded);
  return (size_t)(one * threads);
}
