// Matrix products in fp32, and with Q8_0 weights. Definition: each output element is one FMA chain in ascending k.

#ifndef RETORT_PRODUCTS_H
#define RETORT_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// How A [m, k] and B [k, n] lie in memory.
typedef enum retort_layout {
  /// A is [m, k], B is [k, n]: C = A·B.
  RETORT_NN = 0,
  /// A is [m, k], B is [n, k]: C = A·Bᵀ (a linear layer with weights [out, in]).
  RETORT_NT = 1,
  /// A is [k, m], B is [k, n]: C = Aᵀ·B (a weight gradient).
  RETORT_TN = 2,
} retort_layout;

/// Floats of scratch that retort_gemm needs.
size_t retort_gemm_scratch(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k);

/// C[m, n] = start + A·B, start being C itself if `accumulate`, else bias[n] if not NULL, else 0.
void retort_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b,
                 ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias, int accumulate, float *scratch);

/// Floats of a packed B: ceil(n / 16) · 16 · k.
size_t retort_gemm_packed_size(ptrdiff_t n, ptrdiff_t k);

/// Packs B once for many products: panels of 16 columns, [panel][k][16], zero-padded. `layout` NN: B is [k, n]; NT: B is [n, k].
void retort_gemm_pack(retort_layout layout, ptrdiff_t n, ptrdiff_t k, const float *b, ptrdiff_t ldb, float *packed);

/// C[m, n] = start + A[m, k]·B with a packed B; the bits of retort_gemm. Fast for m = 1 too (decoding). No scratch.
void retort_gemm_packed(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *packed, float *c,
                        ptrdiff_t ldc, const float *bias, int accumulate);

/// y[rows] = bias (or 0) + W[rows, columns]·x, weights as they lie; the bits of retort_gemm. No scratch.
void retort_matvec(ptrdiff_t rows, ptrdiff_t columns, const float *w, ptrdiff_t ldw, const float *x, const float *bias, float *y);

// Q8_0, as ggml lays it out: a row of k weights (k a multiple of 32) is k/32 blocks of 34 bytes: fp16 scale d, 32 int8 q;
// w = d·q, exact in fp32. So the products below are those of the dequantized weights, bit for bit, whatever the batch.

/// Bytes of packed Q8_0 weights [n, k]: panels of 16 rows; per block of 32 k: 16 fp32 scales, then [32][16] int8.
size_t retort_q8_0_packed_size(ptrdiff_t n, ptrdiff_t k);

/// Packs n rows of ggml Q8_0 blocks (contiguous rows, n·k/32·34 bytes) for retort_q8_0_gemm. `packed` aligned to 4 bytes.
void retort_q8_0_pack(ptrdiff_t n, ptrdiff_t k, const uint8_t *blocks, uint8_t *packed);

/// Floats of scratch that retort_q8_0_gemm needs (0 for small m).
size_t retort_q8_0_gemm_scratch(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k);

/// C[m, n] = start + A[m, k]·Wᵀ with W [n, k] packed by retort_q8_0_pack; start as in retort_gemm. The bits of retort_gemm (NT) on the
/// dequantized weights, for every m.
void retort_q8_0_gemm(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const uint8_t *packed, float *c,
                      ptrdiff_t ldc, const float *bias, int accumulate, float *scratch);

/// y[m, rows] = bias (or 0) + x[m, columns]·Wᵀ with W in ggml's own layout (memory-mapped, not packed). Same bits as retort_q8_0_gemm;
/// slower. No scratch.
void retort_q8_0_matmul(ptrdiff_t m, ptrdiff_t rows, ptrdiff_t columns, const uint8_t *blocks, const float *x, ptrdiff_t ldx,
                        const float *bias, float *y, ptrdiff_t ldy);

/// Writes row `row` of Q8_0 weights with `columns` columns as fp32 (an embedding look-up).
void retort_q8_0_row(ptrdiff_t row, ptrdiff_t columns, const uint8_t *blocks, float *out);

#ifdef __cplusplus
}
#endif
#endif
