// Block-quantized products for any processor: 16-bit multiplications of even and odd bytes, which cannot overflow (255 · 127).

#include "internal.h"
#include "lanes.h"

typedef int16_t h32 __attribute__((ext_vector_type(32)));

/// sum + both 16-bit products in each lane.
RETORT_INLINE i16 add_products(i16 sum, u16 weights, int16_t first, int16_t second) {
  i16 x = (i16)(int32_t)((uint32_t)(uint16_t)first | (uint32_t)(uint16_t)second << 16);
  i16 products = __builtin_bit_cast(i16, __builtin_bit_cast(h32, weights) * __builtin_bit_cast(h32, x));
  return sum + (__builtin_bit_cast(i16, __builtin_bit_cast(u16, products) << 16) >> 16) + (products >> 16);
}

RETORT_INLINE i16 dot4(i16 sum, i16 weights, int32_t x) {
  u16 w = __builtin_bit_cast(u16, weights);
  sum = add_products(sum, w & 0x00ff00ffu, (int8_t)x, (int8_t)(x >> 16));
  return add_products(sum, w >> 8 & 0x00ff00ffu, (int8_t)(x >> 8), (int8_t)(x >> 24));
}

RETORT_INLINE i16 dot8(i16 sum, i16 weights, int32_t x) { return dot4(sum, weights, x); }

#define DOT8_IS_SIGNED 0
#define TILE_ROWS 3
#define TILE_HALVES 1
#define QUANTIZED_TABLE retort_quantized_portable
#include "body_quantized.h"
