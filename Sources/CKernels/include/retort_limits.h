// What this machine can do at most: the yardsticks of the benchmarks. Nothing here computes anything of use.

#ifndef RETORT_LIMITS_H
#define RETORT_LIMITS_H

#include "retort_linear.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Reads `size` bytes once, in order, on all threads; the result is of no use. The time is that of reading.
uint64_t retort_limit_read(const uint8_t *memory, size_t size);

/// Keeps every thread multiplying in registers for `rounds` rounds, in the way in which retort_linear (for bfloat16 training) multiplies on
/// the level in force; returns the number of operations (a multiplication and an addition are two).
uint64_t retort_limit_multiply(retort_weight_type type, ptrdiff_t rounds);

#ifdef __cplusplus
}
#endif
#endif
