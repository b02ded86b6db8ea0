// Block-quantized products for AVX-512 VNNI: tiles of 6 × 32, twelve integer and twelve float accumulators.

#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), apply_to = function)
#define LEVEL_HAS_F16C
#include "lanes.h"

RETORT_INLINE i16 dot4(i16 sum, i16 weights, int32_t x) {
  __m512i a = _mm512_set1_epi32(x);
  return __builtin_bit_cast(i16, _mm512_dpbusd_epi32(__builtin_bit_cast(__m512i, sum), __builtin_bit_cast(__m512i, weights), a));
}

RETORT_INLINE i16 dot8(i16 sum, i16 weights, int32_t x) { return dot4(sum, weights, x); }

#define DOT8_IS_SIGNED 0
#define TILE_ROWS 6
#define TILE_HALVES 2
#define QUANTIZED_TABLE retort_quantized_vnni
#include "body_quantized.h"
#pragma clang attribute pop
#endif
