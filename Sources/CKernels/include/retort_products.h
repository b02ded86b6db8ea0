// Matrix products in fp32, of bfloat16 numbers, and with 16-bit weights. Definition: each output element is one FMA chain in ascending k
// (of bfloat16 numbers: in ascending pairs of k, the odd one first).

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

/// Floats of scratch that retort_gemm or retort_bfloat_gemm of any layout needs; bounded (about 8 MB) whatever m and n.
size_t retort_gemm_scratch(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k);

/// C[m, n] = start + A·B, start being C itself if `accumulate`, else bias[n] if not NULL, else 0.
void retort_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b,
                 ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias, int accumulate, float *scratch);

/// As retort_gemm for operands rounded to bfloat16 (nearest, ties to even, denormals to zero), accumulated in fp32: for each pair of k
/// c = fma(a[2i + 1], b[2i + 1], c), then c = fma(a[2i], b[2i], c), a missing last one being 0. That is what AVX512-BF16's vdpbf16ps
/// computes; levels without it compute the same bits with fp32 FMAs. b: floats, or bfloat16 numbers if `b_is_bfloat`.
void retort_bfloat_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const void *b,
                        int b_is_bfloat, ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias, int accumulate, float *scratch);

/// One term A·B of a product, A [m, k], B [k, n]; the fields are retort_bfloat_gemm's arguments.
typedef struct retort_term {
  retort_layout layout;
  ptrdiff_t k;
  const float *a;
  ptrdiff_t lda;
  const void *b;
  int b_is_bfloat;
  ptrdiff_t ldb;
} retort_term;

/// C[m, n] = start + Σ A·B over terms: the bits of retort_gemm (of retort_bfloat_gemm if `bfloat`) for each term in order, accumulating from
/// the second on; but C passes through memory less often. b_is_bfloat: only if `bfloat`. scratch: of k = the terms' k, each rounded up to
/// an even number, together.
void retort_product(int bfloat, ptrdiff_t m, ptrdiff_t n, const retort_term *terms, ptrdiff_t count, float *c, ptrdiff_t ldc,
                    const float *bias, int accumulate, float *scratch);

/// Floats of a packed B: ceil(n / 16) · 16 · k.
size_t retort_gemm_packed_size(ptrdiff_t n, ptrdiff_t k);

/// Packs B once for many products: panels of 16 columns, [panel][k][16], zero-padded. `layout` NN: B is [k, n]; NT: B is [n, k].
void retort_gemm_pack(retort_layout layout, ptrdiff_t n, ptrdiff_t k, const float *b, ptrdiff_t ldb, float *packed);

/// C[m, n] = start + A[m, k]·B with a packed B; the bits of retort_gemm. Fast for m = 1 too (decoding). No scratch.
void retort_gemm_packed(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *packed, float *c,
                        ptrdiff_t ldc, const float *bias, int accumulate);

/// C[m, n] = bias (or 0) + A[m, k]·Wᵀ for weights [n, k] in bfloat16 (`bfloat`) or IEEE half, packed as retort_gemm_pack packs floats; the
/// bits of retort_gemm (NT) on the exact weights. scratch: retort_gemm_packed_size floats where m ≥ 8, else none.
void retort_half_gemm(int bfloat, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const uint16_t *packed, float *c,
                      ptrdiff_t ldc, const float *bias, float *scratch);

#ifdef __cplusplus
}
#endif
#endif
