// Plain scalar versions of the kernels, one loop nest each, single-threaded: what the fast ones are tested against.

#ifndef RETORT_REFERENCE_H
#define RETORT_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

#include "retort_layers.h"
#include "retort_linear.h"
#include "retort_products.h"
#include "retort_training.h"

#ifdef __cplusplus
extern "C" {
#endif

/// As retort_gemm, bit for bit.
void retort_reference_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b,
                           ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias, int accumulate);

/// As retort_bfloat_gemm, bit for bit.
void retort_reference_bfloat_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda,
                                  const void *b, int b_is_bfloat, ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias,
                                  int accumulate);

/// As retort_linear, bit for bit, on weights [n, k] as files store them.
void retort_reference_linear(retort_weight_type type, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *x, ptrdiff_t ldx,
                             const uint8_t *weights, float *y, ptrdiff_t ldy, const float *bias);

/// As retort_rmsnorm_forward, bit for bit.
void retort_reference_rmsnorm_forward(ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, float epsilon, float *y,
                                      float *rstd);

/// As retort_rmsnorm_backward, bit for bit.
void retort_reference_rmsnorm_backward(ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, const float *rstd,
                                       const float *dy, float *dx, int accumulate, float *dw);

/// As retort_rope, bit for bit.
void retort_reference_rope(ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_size, float *x, ptrdiff_t ldx, const int32_t *positions,
                           const float *cosine, const float *sine, int inverse);

/// As retort_attention_forward, in double: equal to about 1e-5.
void retort_reference_attention_forward(const retort_sequence *sequences, ptrdiff_t count, ptrdiff_t heads, ptrdiff_t key_value_heads,
                                        ptrdiff_t head_size, float scale);

/// As retort_attention_backward, in double: equal to about 1e-5.
void retort_reference_attention_backward(const retort_sequence *sequences, const retort_sequence_gradient *gradients, ptrdiff_t count,
                                         ptrdiff_t heads, ptrdiff_t key_value_heads, ptrdiff_t head_size, float scale);

/// As retort_swiglu_forward, in double.
void retort_reference_swiglu_forward(ptrdiff_t rows, ptrdiff_t width, const float *gate_up, float *h);

/// As retort_swiglu_backward, in double.
void retort_reference_swiglu_backward(ptrdiff_t rows, ptrdiff_t width, float *gate_up, const float *dh, float *h);

/// As retort_cross_entropy, in double.
void retort_reference_cross_entropy(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                                    const float *weights, float gradient_scale, const float *teacher, ptrdiff_t ldt, float kl_weight,
                                    int gradient, retort_row_loss *losses);

/// As retort_mixed_loss, in double.
void retort_reference_mixed_loss(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                                 const float *target_weights, float gradient_scale, const retort_teacher_rows *teacher, int gradient,
                                 retort_row_loss *losses);

/// As retort_top_loss, in double.
void retort_reference_top_loss(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                               const float *weights, float gradient_scale, const retort_top_rows *teacher, int gradient,
                               retort_row_loss *losses);

/// As retort_squared_norm, bit for bit.
double retort_reference_squared_norm(ptrdiff_t count, const float *x);

/// As retort_adamw, bit for bit.
void retort_reference_adamw(const retort_range *ranges, ptrdiff_t range_count, float *parameters, const float *gradients, float *m,
                            float *v, retort_adamw_settings settings);

#ifdef __cplusplus
}
#endif
#endif
