// Linear layers for inference, with weights as model files store them, packed once.
//
// Two definitions, and nothing else decides the bits (not the batch, the instruction set, or the number of threads):
//   - F32, F16, BF16: each output is one FMA chain over the exact weights in ascending k, as retort_gemm;
//   - block formats: activations are rounded, 32 at a time, to int8 with an fp32 scale d = max|x| / 127 (as llama.cpp does for
//     Q8_0 × Q8_0, but for its half-precision scale); products inside a block are exact integers; each output is one FMA chain over the blocks
//     in ascending k: y = fma(Σ q·a, d_weight · d, y), and then, where the format has minima, y = fma(minimum, −(d · Σ a), y).

#ifndef RETORT_LINEAR_H
#define RETORT_LINEAR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// How weights are stored. The block formats are ggml's, bit for bit:
/// Q8_0: 32 weights, 34 bytes: half d, int8 q[32]; w = d·q.
/// Q4_0: 32 weights, 18 bytes: half d, 16 bytes, byte j with element j in its low and j + 16 in its high four bits; w = d·(q − 8).
/// Q4_K: 256 weights, 144 bytes: half d, half dmin, 12 bytes of 6-bit scales and minima for 8 sub-blocks of 32, 128 bytes of 4-bit q,
///       element i of sub-blocks 2j and 2j + 1 in the low and high bits of byte 32j + i; w = (d·scale)·q − dmin·minimum.
/// Q6_K: 256 weights, 210 bytes: 128 bytes of low 4 bits, 64 bytes of high 2 bits, int8 scales for 16 sub-blocks of 16, half d;
///       w = d·scale·(q − 32).
typedef enum retort_weight_type {
  RETORT_WEIGHT_F32 = 0,
  RETORT_WEIGHT_F16 = 1,
  RETORT_WEIGHT_BF16 = 2,
  RETORT_WEIGHT_Q8_0 = 3,
  RETORT_WEIGHT_Q4_0 = 4,
  RETORT_WEIGHT_Q4_K = 5,
  RETORT_WEIGHT_Q6_K = 6,
} retort_weight_type;

/// Outputs of one panel of packed weights.
#define RETORT_PANEL 32

/// Weights that are stored together: k must be a multiple of it. 1, 32 or 256.
ptrdiff_t retort_weight_block(retort_weight_type type);

/// Bytes of a row of k weights as files store it.
size_t retort_weight_row_size(retort_weight_type type, ptrdiff_t k);

/// Whether every scale (or weight) of `rows` rows of k weights is a finite number.
int retort_weight_is_finite(retort_weight_type type, ptrdiff_t rows, ptrdiff_t k, const uint8_t *weights);

/// out[r] = row indices[r] of a table of weights with rows of k, exactly, as fp32 [count, k]: an embedding look-up.
void retort_weight_rows(retort_weight_type type, ptrdiff_t k, const uint8_t *table, const int32_t *indices, ptrdiff_t count, float *out);

/// Bytes of n rows of k weights once packed.
size_t retort_linear_packed_size(retort_weight_type type, ptrdiff_t n, ptrdiff_t k);

/// Packs n rows of k weights, contiguous as files store them (no alignment needed). `packed` aligned to 64 bytes.
void retort_linear_pack(retort_weight_type type, ptrdiff_t n, ptrdiff_t k, const uint8_t *weights, uint8_t *packed);

/// Bytes of scratch for retort_linear and retort_linear_panels; 64-byte alignment is best.
size_t retort_linear_scratch(retort_weight_type type, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k);

/// y[m, n] = bias (or 0) + x[m, k]·Wᵀ with W [n, k] packed. Row distances ldx, ldy.
void retort_linear(retort_weight_type type, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *x, ptrdiff_t ldx, const uint8_t *packed,
                   float *y, ptrdiff_t ldy, const float *bias, uint8_t *scratch);

/// The same for one row of x and only the outputs of the `count` given panels (32 outputs each): y[n] is written there and nowhere else.
void retort_linear_panels(retort_weight_type type, ptrdiff_t n, ptrdiff_t k, const float *x, const uint8_t *packed,
                          const int32_t *panels, ptrdiff_t count, float *y, uint8_t *scratch);

#ifdef __cplusplus
}
#endif
#endif
