// The layers of a Qwen2 decoder. Rows are tokens; sequences are packed one after another without padding.

#ifndef RETORT_LAYERS_H
#define RETORT_LAYERS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// y[r] = x[r] · rstd[r] · w, rstd[r] = 1 / sqrt(mean(x[r]²) + epsilon); x, y [rows, columns]; rstd [rows], may be NULL.
/// Reference: Zhang & Sennrich 2019, arXiv 1910.07467.
void retort_rmsnorm_forward(ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, float epsilon, float *y, float *rstd);

/// dx (+)= gradient of x, dw (if not NULL) += gradient of w (chain in ascending row). `accumulate` adds to dx, otherwise dx is overwritten.
void retort_rmsnorm_backward(ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, const float *rstd, const float *dy,
                             float *dx, int accumulate, float *dw);

/// Fills cosine and sine tables [positions, head_size / 2]: angle = (first + row) · theta^(−2i / head_size) / divisors[i] (NULL: 1),
/// computed in double by our own functions. Reference: Su et al. 2021, arXiv 2104.09864; half-split ("NEOX") pairs (i, i + head_size/2), as Hugging Face.
void retort_rope_table(ptrdiff_t first, ptrdiff_t positions, ptrdiff_t head_size, double theta, const double *divisors,
                       float *cosine, float *sine);

/// Rotates `heads` adjacent heads of x [rows, heads·head_size] (row distance ldx) in place by positions[row], which index the tables.
/// `inverse` rotates back: the backward pass.
void retort_rope(ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_size, float *x, ptrdiff_t ldx, const int32_t *positions,
                 const float *cosine, const float *sine, int inverse);

/// One sequence of causal attention: query i (0..<queries) sees keys 0…(keys − queries + i). A packed training sequence has
/// queries = keys, or queries = keys − prefix where it continues another one; decoding with a cache has queries = 1. Head h of a row lies at h·head_size; several query heads share a key head (GQA).
typedef struct retort_sequence {
  const float *q, *k, *v;
  float *out;
  ptrdiff_t ldq, ldk, ldv, ldo;
  int32_t queries, keys;
  /// NULL, or the keys as retort_turn_keys wrote them, a head's floats `turned_stride` apart, instead of k and ldk (forward only).
  const float *turned;
  ptrdiff_t turned_stride;
  /// Where a sequence continues another: the first `prefix` keys and values are that one's, at prefix_k and prefix_v, rows ldk and ldv
  /// apart; k and v have the others. Needs turned = NULL. 0: none.
  const float *prefix_k, *prefix_v;
  int32_t prefix;
} retort_sequence;

/// Adds the keys of rows first..<first + rows to a cache of keys in the order in which they are multiplied: for each head panels of 16
/// rows, [panel][channel][16]. k points to row `first`: [rows, heads·head_size], row distance ldk. A head's panels begin
/// `turned_stride` floats apart, at least round_up(rows, 16)·head_size; what is not written must be finite.
void retort_turn_keys(ptrdiff_t first, ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_size, const float *k, ptrdiff_t ldk, float *turned,
                      ptrdiff_t turned_stride);

/// Floats of scratch for sequences of up to `keys` keys on up to `threads` threads.
size_t retort_attention_scratch(ptrdiff_t keys, ptrdiff_t head_size, int threads);

/// out = softmax(scale · q·kᵀ, causal) · v for every sequence and head.
/// Scores are FMA chains over the head, outputs FMA chains over ascending keys, so a sequence's bits do not depend on its neighbours.
/// At most `threads` threads are used: as many as the scratch was made for.
void retort_attention_forward(const retort_sequence *sequences, ptrdiff_t count, ptrdiff_t heads, ptrdiff_t key_value_heads,
                              ptrdiff_t head_size, float scale, float *scratch, int threads);

/// The gradients of one sequence, with the layouts and row distances of q, k, v, out in the matching retort_sequence.
typedef struct retort_sequence_gradient {
  const float *dout;
  float *dq, *dk, *dv;
  /// The gradients of the keys and values of its prefix: dk and dv of the sequence that it continues.
  float *prefix_dk, *prefix_dv;
  /// The index of the next sequence that continues the same one (of a sequence that others continue: of the first of them); 0: none.
  int32_t next;
} retort_sequence_gradient;

/// Overwrites dq, dk, dv; what continues a sequence adds to that one's dk and dv, in the order of `next`. Needs queries = keys − prefix.
/// Probabilities are computed again from q and k.
void retort_attention_backward(const retort_sequence *sequences, const retort_sequence_gradient *gradients, ptrdiff_t count,
                               ptrdiff_t heads, ptrdiff_t key_value_heads, ptrdiff_t head_size, float scale, float *scratch,
                               int threads);

/// h[r][j] = silu(g) · u with g = gate_up[r][j], u = gate_up[r][width + j]; gate_up [rows, 2·width], h [rows, width].
/// Reference: Shazeer 2020, arXiv 2002.05202, SwiGLU.
void retort_swiglu_forward(ptrdiff_t rows, ptrdiff_t width, const float *gate_up, float *h);

/// From dh [rows, width]: gate_up becomes its gradient in place, and h is written again (for the gradient of the next weights).
void retort_swiglu_backward(ptrdiff_t rows, ptrdiff_t width, float *gate_up, const float *dh, float *h);

/// sums[j] += Σ_r |x[r][j]|, a chain in ascending row; x [rows, columns].
void retort_absolute_column_sums(ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *sums);

/// sums[j] += Σ_r x[r][j], a chain in ascending row (a bias gradient).
void retort_column_sums(ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *sums);

/// out[r] = table[tokens[r]]; table [any, columns], out [rows, columns].
void retort_gather_rows(ptrdiff_t rows, ptrdiff_t columns, const float *table, const int32_t *indices, float *out);

/// As retort_gather_rows from a table of bfloat16 numbers.
void retort_gather_bfloat_rows(ptrdiff_t rows, ptrdiff_t columns, const uint16_t *table, const int32_t *indices, float *out);

/// table[indices[r]] += x[r], in ascending r whatever the threads.
void retort_scatter_add_rows(ptrdiff_t rows, ptrdiff_t columns, const float *x, const int32_t *indices, float *table);

/// out = a + b over count floats; out may be a or b.
void retort_add(ptrdiff_t count, const float *a, const float *b, float *out);

/// x *= factor over count floats, in place.
void retort_scale(ptrdiff_t count, float factor, float *x);

/// A dropout mask: element i of stream `stream` is kept iff hash(seed, stream, i) ≥ rate · 2³², and then scaled by 1 / (1 − rate).
typedef struct retort_dropout_mask {
  uint64_t seed;
  uint64_t stream;
  float rate;
} retort_dropout_mask;

/// out = base + mask∘x (base NULL: 0) over count floats; out may be base or x. The same call on gradients is the backward pass.
void retort_dropout_add(ptrdiff_t count, retort_dropout_mask mask, const float *base, const float *x, float *out);

#ifdef __cplusplus
}
#endif
#endif
