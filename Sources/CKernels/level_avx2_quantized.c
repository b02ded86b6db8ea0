// Block-quantized products for AVX2: tiles of 3 × 16. vpmaddubsw saturates at 16 bits, which products of 8-bit weights without their sign
// reach; so it gets |w| and x with the sign of w, at most 2 · 128 · 127.

#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define LEVEL_HAS_F16C
#include "lanes.h"

RETORT_INLINE __m256i half_of(i16 x, const int high) {
  return high ? __builtin_bit_cast(__m256i, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15))
              : __builtin_bit_cast(__m256i, __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7));
}

RETORT_INLINE i16 joined(__m256i low, __m256i high) {
  typedef int32_t i8 __attribute__((ext_vector_type(8)));
  return __builtin_shufflevector(__builtin_bit_cast(i8, low), __builtin_bit_cast(i8, high), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                                 13, 14, 15);
}

RETORT_INLINE __m256i dot4_half(__m256i sum, __m256i w, __m256i x) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
}

RETORT_INLINE __m256i dot8_half(__m256i sum, __m256i w, __m256i x) {
  __m256i signed_weights = _mm256_xor_si256(w, _mm256_set1_epi8((char)128));
  return dot4_half(sum, _mm256_abs_epi8(signed_weights), _mm256_sign_epi8(x, signed_weights));
}

RETORT_INLINE i16 dot4(i16 sum, i16 weights, int32_t x) {
  __m256i a = _mm256_set1_epi32(x);
  return joined(dot4_half(half_of(sum, 0), half_of(weights, 0), a), dot4_half(half_of(sum, 1), half_of(weights, 1), a));
}

RETORT_INLINE i16 dot8(i16 sum, i16 weights, int32_t x) {
  __m256i a = _mm256_set1_epi32(x);
  return joined(dot8_half(half_of(sum, 0), half_of(weights, 0), a), dot8_half(half_of(sum, 1), half_of(weights, 1), a));
}

#define DOT8_IS_SIGNED 1
#define TILE_ROWS 3
#define TILE_HALVES 1
#define QUANTIZED_TABLE retort_quantized_avx2
#include "body_quantized.h"
#pragma clang attribute pop
#endif
