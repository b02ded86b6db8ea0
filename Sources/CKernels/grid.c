// The inner loops of the search for good four-bit grids, in vectors that every processor's compiler splits as it needs.

#include "internal.h"

// Vectors wider than the target's registers are only passed to what is inlined.
#pragma clang diagnostic ignored "-Wpsabi"

#pragma STDC FP_CONTRACT OFF

enum { COUNT = 32, LADDER = 14, TURNS = 2 };

typedef float floats __attribute__((vector_size(COUNT * 4)));
typedef float sixteen __attribute__((vector_size(64)));
typedef float eight __attribute__((vector_size(32)));
typedef float four __attribute__((vector_size(16)));

RETORT_INLINE floats load(const float *values) {
  floats x;
  memcpy(&x, values, sizeof x);
  return x;
}

/// The sum as a tree of fixed shape.
RETORT_INLINE float tree_sum(floats x) {
  sixteen a = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) +
              __builtin_shufflevector(x, x, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
  eight b = __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15);
  four c = __builtin_shufflevector(b, b, 0, 1, 2, 3) + __builtin_shufflevector(b, b, 4, 5, 6, 7);
  return (c[0] + c[2]) + (c[1] + c[3]);
}

/// The nearest q of each number.
RETORT_INLINE floats round_to_grid(floats values, float step, float offset) {
  float inverse = step > 0 ? 1.0f / step : 0.0f;
  floats x = __builtin_elementwise_max(__builtin_elementwise_min((values + offset) * inverse, (floats){} + 15.0f), (floats){});
  // Added and taken away, 1.5 · 2^23 leaves whole numbers, ties to even.
  return (x + 12582912.0f) - 12582912.0f;
}

RETORT_INLINE float error_of(floats values, floats weights, float step, float offset) {
  floats difference = values + offset - round_to_grid(values, step, offset) * step;
  return tree_sum(weights * difference * difference);
}

RETORT_INLINE retort_grid_sums sums_of(floats values, floats weights, float step, float offset) {
  floats q = round_to_grid(values, step, offset), wq = weights * q;
  return (retort_grid_sums){tree_sum(weights), tree_sum(wq), tree_sum(wq * q), tree_sum(weights * values), tree_sum(wq * values)};
}

void retort_grid_codes(const float *values, float step, float offset, uint8_t *codes) {
  floats q = round_to_grid(load(values), step, offset);
  for (int i = 0; i < COUNT; i++) codes[i] = (uint8_t)q[i];
}

float retort_grid_error(const float *values, const float *weights, float step, float offset) {
  return error_of(load(values), load(weights), step, offset);
}

retort_grid_sums retort_grid_sum(const float *values, const float *weights, float step, float offset) {
  return sums_of(load(values), load(weights), step, offset);
}

/// The step and offset with the least error for q as they are rounded now.
RETORT_INLINE void improve(floats values, floats weights, float *step, float *offset) {
  retort_grid_sums s = sums_of(values, weights, *step, *offset);
  float determinant = s.w * s.wqq - s.wq * s.wq;
  if (determinant > 0) {
    *step = (s.w * s.wqx - s.wq * s.wx) / determinant;
    *offset = (s.wq * s.wqx - s.wqq * s.wx) / determinant;
    if (*step > 0 && *offset >= 0) return;
  }
  *step = s.wqq > 0 && s.wqx > 0 ? s.wqx / s.wqq : 0;
  *offset = 0;
}

void retort_grid_fit(const float *values, const float *weights, float *step, float *offset) {
  float lowest = 0, highest = values[0];
  for (int i = 0; i < COUNT; i++) {
    lowest = values[i] < lowest ? values[i] : lowest;
    highest = values[i] > highest ? values[i] : highest;
  }
  *step = 0;
  *offset = -lowest;
  // No half-precision scale could hold the step of a smaller range.
  if (!(highest - lowest >= 1e-12f)) return;
  *step = (highest - lowest) / 15;
  floats x = load(values), w = load(weights);
  float least = error_of(x, w, *step, *offset);
  // Steps that are too long for the range leave codes unused; those that are too short cut its ends off.
  for (int candidate = 0; candidate < LADDER; candidate++) {
    float next_step = (highest - lowest) / (11.5f + 0.5f * (float)candidate), next_offset = -lowest;
    for (int turn = 0; turn < TURNS; turn++) {
      improve(x, w, &next_step, &next_offset);
      float error = error_of(x, w, next_step, next_offset);
      if (error < least) least = error, *step = next_step, *offset = next_offset;
    }
  }
}
