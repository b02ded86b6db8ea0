// What the files of this module share. Not installed.

#ifndef RETORT_INTERNAL_H
#define RETORT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "CKernels.h"

#define RETORT_INLINE static inline __attribute__((always_inline))

/// Query rows that one attention block holds at once; a multiple of every level's tile height.
#define RETORT_ATTENTION_BLOCK 48
/// Elements of one block of the squared norm.
#define RETORT_NORM_BLOCK 16384
/// From this many rows on, packed 16-bit weights are first written out as fp32.
#define RETORT_HALF_EXPAND_ROWS 8

RETORT_INLINE ptrdiff_t round_up(ptrdiff_t x, ptrdiff_t to) { return (x + to - 1) / to * to; }
RETORT_INLINE ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

// The blocks of a product, see body_gemm.h.
/// Words of one operand's block: at most some 4 MB.
#define GEMM_A_WORDS (1 << 20)
#define GEMM_B_WORDS (1 << 20)
/// The most k of one block.
#define GEMM_DEPTH 2048

/// Rows (a multiple) of an operand's block whose rows have that many words.
RETORT_INLINE ptrdiff_t gemm_block(ptrdiff_t words, ptrdiff_t limit, ptrdiff_t multiple) {
  ptrdiff_t rows = limit / (words > 0 ? words : 1) / multiple * multiple;
  return rows > multiple ? rows : multiple;
}

/// IEEE half to single, exactly; scalar, no instruction-set extension.
RETORT_INLINE float half_to_float(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023, bits;
  if (exponent == 31) {
    bits = sign | 0x7f800000u | fraction << 13;
  } else if (exponent != 0) {
    bits = sign | (exponent + 112) << 23 | fraction << 13;
  } else if (fraction == 0) {
    bits = sign;
  } else {
    int shift = __builtin_clz(fraction) - 21;
    bits = sign | (uint32_t)(113 - shift) << 23 | ((fraction << shift) & 1023) << 13;
  }
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

// Every kernel that has levels: X(name, parameters, arguments). From this list come the table of a level and the public functions.
#define RETORT_LEVELLED_KERNELS(X)                                                                                                  \
  X(gemm,                                                                                                                           \
    (retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb,     \
     float *c, ptrdiff_t ldc, const float *bias, int accumulate, float *scratch),                                                   \
    (layout, m, n, k, a, lda, b, ldb, c, ldc, bias, accumulate, scratch))                                                           \
  X(bfloat_gemm,                                                                                                                    \
    (retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const void *b, int b_is_bfloat,    \
     ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias, int accumulate, float *scratch),                                    \
    (layout, m, n, k, a, lda, b, b_is_bfloat, ldb, c, ldc, bias, accumulate, scratch))                                              \
  X(product,                                                                                                                        \
    (int bfloat, ptrdiff_t m, ptrdiff_t n, const retort_term *terms, ptrdiff_t count, float *c, ptrdiff_t ldc, const float *bias,   \
     int accumulate, float *scratch),                                                                                               \
    (bfloat, m, n, terms, count, c, ldc, bias, accumulate, scratch))                                                                \
  X(gemm_pack, (retort_layout layout, ptrdiff_t n, ptrdiff_t k, const float *b, ptrdiff_t ldb, float *packed),                      \
    (layout, n, k, b, ldb, packed))                                                                                                 \
  X(gemm_packed,                                                                                                                    \
    (ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *packed, float *c, ptrdiff_t ldc,            \
     const float *bias, int accumulate),                                                                                            \
    (m, n, k, a, lda, packed, c, ldc, bias, accumulate))                                                                            \
  X(half_gemm,                                                                                                                      \
    (int bfloat, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const uint16_t *packed, float *c,            \
     ptrdiff_t ldc, const float *bias, float *scratch),                                                                             \
    (bfloat, m, n, k, a, lda, packed, c, ldc, bias, scratch))                                                                       \
  X(bfloat_probe, (ptrdiff_t rounds, float *out), (rounds, out))                                                                    \
  X(probe, (ptrdiff_t rounds, float *out), (rounds, out))                                                                           \
  X(rmsnorm_forward, (ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, float epsilon, float *y, float *rstd),     \
    (rows, columns, x, w, epsilon, y, rstd))                                                                                        \
  X(rmsnorm_backward,                                                                                                               \
    (ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, const float *rstd, const float *dy, float *dx,              \
     int accumulate, float *dw),                                                                                                    \
    (rows, columns, x, w, rstd, dy, dx, accumulate, dw))                                                                            \
  X(rope,                                                                                                                           \
    (ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_size, float *x, ptrdiff_t ldx, const int32_t *positions, const float *cosine,  \
     const float *sine, int inverse),                                                                                               \
    (rows, heads, head_size, x, ldx, positions, cosine, sine, inverse))                                                             \
  X(attention_forward,                                                                                                              \
    (const retort_sequence *sequences, ptrdiff_t count, ptrdiff_t heads, ptrdiff_t key_value_heads, ptrdiff_t head_size,            \
     float scale, float *scratch, int threads),                                                                                     \
    (sequences, count, heads, key_value_heads, head_size, scale, scratch, threads))                                                 \
  X(attention_backward,                                                                                                             \
    (const retort_sequence *sequences, const retort_sequence_gradient *gradients, ptrdiff_t count, ptrdiff_t heads,                 \
     ptrdiff_t key_value_heads, ptrdiff_t head_size, float scale, float *scratch, int threads),                                     \
    (sequences, gradients, count, heads, key_value_heads, head_size, scale, scratch, threads))                                      \
  X(swiglu_forward, (ptrdiff_t rows, ptrdiff_t width, const float *gate_up, float *h), (rows, width, gate_up, h))                   \
  X(swiglu_backward, (ptrdiff_t rows, ptrdiff_t width, float *gate_up, const float *dh, float *h), (rows, width, gate_up, dh, h))   \
  X(absolute_column_sums, (ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *sums),                          \
    (rows, columns, x, ldx, sums))                                                                                                  \
  X(column_sums, (ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *sums), (rows, columns, x, ldx, sums))    \
  X(gather_rows, (ptrdiff_t rows, ptrdiff_t columns, const float *table, const int32_t *indices, float *out),                       \
    (rows, columns, table, indices, out))                                                                                           \
  X(scatter_add_rows, (ptrdiff_t rows, ptrdiff_t columns, const float *x, const int32_t *indices, float *table),                    \
    (rows, columns, x, indices, table))                                                                                             \
  X(add, (ptrdiff_t count, const float *a, const float *b, float *out), (count, a, b, out))                                         \
  X(scale, (ptrdiff_t count, float factor, float *x), (count, factor, x))                                                           \
  X(dropout_add, (ptrdiff_t count, retort_dropout_mask mask, const float *base, const float *x, float *out),                        \
    (count, mask, base, x, out))                                                                                                    \
  X(cross_entropy,                                                                                                                  \
    (ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets, const float *weights,              \
     float gradient_scale, const float *teacher, ptrdiff_t ldt, float kl_weight, int gradient, retort_row_loss *losses),            \
    (rows, vocabulary, logits, ldl, targets, weights, gradient_scale, teacher, ldt, kl_weight, gradient, losses))                   \
  X(mixed_loss,                                                                                                                     \
    (ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets, const float *target_weights,       \
     float gradient_scale, const retort_teacher_rows *teacher, int gradient, retort_row_loss *losses),                              \
    (rows, vocabulary, logits, ldl, targets, target_weights, gradient_scale, teacher, gradient, losses))                            \
  X(top_loss,                                                                                                                       \
    (ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets, const float *weights,              \
     float gradient_scale, const retort_top_rows *teacher, int gradient, retort_row_loss *losses),                                  \
    (rows, vocabulary, logits, ldl, targets, weights, gradient_scale, teacher, gradient, losses))                                   \
  X(softmax_rows, (ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *out, ptrdiff_t ldo, int logarithm),     \
    (rows, columns, x, ldx, out, ldo, logarithm))                                                                                   \
  X(squared_norm_blocks, (ptrdiff_t count, const float *x, double *scratch), (count, x, scratch))                                   \
  X(adamw,                                                                                                                          \
    (const retort_range *ranges, ptrdiff_t range_count, float *parameters, const float *gradients, float *m, float *v,              \
     retort_adamw_settings settings),                                                                                               \
    (ranges, range_count, parameters, gradients, m, v, settings))                                                                  \
  X(adamw_stored,                                                                                                                   \
    (retort_moment_type type, ptrdiff_t count, int decays, float *parameters, const float *gradients, retort_moments m,             \
     retort_moments v, retort_adamw_settings settings, ptrdiff_t first),                                                            \
    (type, count, decays, parameters, gradients, m, v, settings, first))                                                            \
  X(to_bfloat16, (ptrdiff_t count, const float *x, uint16_t *out), (count, x, out))                                                 \
  X(from_bfloat16, (ptrdiff_t count, const uint16_t *x, float *out), (count, x, out))                                               \
  X(gather_bfloat_rows,                                                                                                             \
    (ptrdiff_t rows, ptrdiff_t columns, const uint16_t *table, const int32_t *indices, float *out),                                 \
    (rows, columns, table, indices, out))

/// The kernels of one level.
typedef struct retort_kernel_table {
#define RETORT_MEMBER(name, parameters, arguments) void(*name) parameters;
  RETORT_LEVELLED_KERNELS(RETORT_MEMBER)
#undef RETORT_MEMBER
} retort_kernel_table;

extern const retort_kernel_table retort_kernels_portable;
#if defined(__x86_64__)
extern const retort_kernel_table retort_kernels_avx2;
extern const retort_kernel_table retort_kernels_avx512;
extern const retort_kernel_table retort_kernels_avx512_bf16;
#endif

/// As retort_parallel_for on at most `limit` threads: `worker` stays below it.
void retort_parallel_for_limited(ptrdiff_t count, int limit, void (*fn)(void *, ptrdiff_t, int), void *context);

/// Keeps 12 registers multiplying for `rounds` rounds: the level's fp32 peak.
void retort_probe(ptrdiff_t rounds, float *out);
/// The same with bfloat16 products, two in each lane and round.
void retort_bfloat_probe(ptrdiff_t rounds, float *out);

/// Flushes denormals in this thread; returns the mode to restore.
uint64_t retort_enter_numerics(void);
/// Restores what retort_enter_numerics returned.
void retort_leave_numerics(uint64_t saved);

#endif
