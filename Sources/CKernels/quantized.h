// How block-quantized weights and activations lie in memory while they are multiplied.
//
// Weights: panels of 32 outputs, [block of 32 k], each block whole cache lines, so that a panel is one stream:
//   scales [part][32 outputs] (half where the file has halves, else float), then, for formats with minima, [32 outputs] floats;
//   quants [line of 4 k][2 halves][16 outputs][4 k], one byte each (8-bit formats, stored with an offset so that they are unsigned),
//   or [4 lines][2][16][4] where a byte holds line l in its low and line l + 4 in its high four bits.
// Activations: tiles of up to TILE_ROWS rows, each [block]: float scale[rows]; correction[parts][rows]; int8 q[line of 4 k][rows][4].
//   The correction is what the weights' offset adds to the integer sum (int32: −offset · Σ q), or, for minima, the float −(scale · Σ q).

#ifndef RETORT_QUANTIZED_H
#define RETORT_QUANTIZED_H

#include "internal.h"

/// Scales of one block: sub-blocks of 16 have two.
RETORT_INLINE int quantized_parts(retort_weight_type type) { return type == RETORT_WEIGHT_Q6_K ? 2 : 1; }
RETORT_INLINE int quantized_is_8_bit(retort_weight_type type) { return type == RETORT_WEIGHT_Q8_0 || type == RETORT_WEIGHT_Q6_K; }
RETORT_INLINE int quantized_has_minima(retort_weight_type type) { return type == RETORT_WEIGHT_Q4_K; }
RETORT_INLINE int quantized_has_half_scales(retort_weight_type type) { return type == RETORT_WEIGHT_Q8_0 || type == RETORT_WEIGHT_Q4_0; }
/// What is subtracted from a stored quant.
RETORT_INLINE int32_t quantized_offset(retort_weight_type type) {
  return quantized_is_8_bit(type) ? 128 : type == RETORT_WEIGHT_Q4_0 ? 8 : 0;
}
/// Bytes of the scales and minima of one block of a panel.
RETORT_INLINE ptrdiff_t quantized_scale_bytes(retort_weight_type type) {
  return RETORT_PANEL * (quantized_has_half_scales(type) ? 2 : 4 * (quantized_parts(type) + quantized_has_minima(type)));
}
/// Bytes of one block of a panel.
RETORT_INLINE ptrdiff_t quantized_block_bytes(retort_weight_type type) {
  return quantized_scale_bytes(type) + (quantized_is_8_bit(type) ? 1024 : 512);
}
RETORT_INLINE ptrdiff_t quantized_panel_bytes(retort_weight_type type, ptrdiff_t k) { return k / 32 * quantized_block_bytes(type); }
/// Bytes of one block of one row of activations.
RETORT_INLINE ptrdiff_t quantized_row_bytes(retort_weight_type type) { return 4 + 4 * quantized_parts(type) + 32; }

/// 32 weights of one row: w[i] = scale[i / 16] · (q[i] − offset) − minimum.
typedef struct retort_block {
  float scale[2], minimum;
  uint8_t q[32];
} retort_block;

/// Block `index` (of 32 weights) of a row as files store it.
retort_block retort_block_of(retort_weight_type type, const uint8_t *row, ptrdiff_t index);

typedef struct quantized_job {
  retort_weight_type type;
  ptrdiff_t m, n, k;
  const float *x;
  ptrdiff_t ldx;
  uint8_t *activations;
  const uint8_t *packed;
  const int32_t *panels;  // the ones wanted; NULL: all
  float *y;
  ptrdiff_t ldy;
  const float *bias;
  ptrdiff_t panel_count, task_panels, task_rows, column_tasks;
} quantized_job;

/// The kernels of one level.
typedef struct retort_quantized_table {
  /// Rounds x into tiles of activations, and multiplies them with the panels.
  void (*multiply)(quantized_job *job);
  /// Multiplies in 12 registers for `rounds` rounds.
  void (*probe)(ptrdiff_t rounds, float *out);
} retort_quantized_table;

extern const retort_quantized_table retort_quantized_portable;
#if defined(__x86_64__)
extern const retort_quantized_table retort_quantized_avx2;
extern const retort_quantized_table retort_quantized_vnni;
#endif

/// The kernels of the level in force.
const retort_quantized_table *retort_quantized_kernels(void);

#endif
