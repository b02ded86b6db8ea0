// The inner loops of the search for good four-bit grids: 32 numbers each, x ≈ step · q − offset with q in 0…15.
//
// The same bits on every processor: no fused multiply-adds, sums are trees of fixed shape.

#ifndef RETORT_GRID_H
#define RETORT_GRID_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The sums of weighted least squares over 32 numbers.
typedef struct retort_grid_sums {
  float w, wq, wqq, wx, wqx;
} retort_grid_sums;

/// The nearest q of each number; zeros for a step of 0.
void retort_grid_codes(const float *values, float step, float offset, uint8_t *codes);

/// Σ w·(x − (step · q − offset))² with the nearest q.
float retort_grid_error(const float *values, const float *weights, float step, float offset);

/// The sums over weights w, nearest q and numbers x.
retort_grid_sums retort_grid_sum(const float *values, const float *weights, float step, float offset);

/// The best step and offset, neither negative, that the search finds: from a ladder of starting steps, rounding and weighted least
/// squares in turn. The step is 0 where all numbers are the same, but for what no half-precision scale could tell apart.
void retort_grid_fit(const float *values, const float *weights, float *step, float *offset);

#ifdef __cplusplus
}
#endif
#endif
