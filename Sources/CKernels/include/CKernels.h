// The numeric kernels of the student: products, attention, layers, losses, optimizer, and the threads that run them.
//
// Numerics "retort-fp32-1". Bits depend on the arguments alone, never on tiling, instruction set, or the number of threads:
//   - an element of a matrix product is ONE chain of fused multiply-adds in ascending k: c = fma(a[i][k], b[k][j], c), starting
//     from zero, from the bias, or from the old C;
//   - every other reduction runs in 16 lanes (element i belongs to lane i mod 16, ascending), closed by one tree
//     (lane l + lane l+8, then +4, +2, +1);
//   - exp, log, sin, cos are our own polynomials over IEEE-exact operations; no libm;
//   - denormals are flushed (FTZ and DAZ) in every thread while a kernel runs; the caller's mode is restored.
//
// Matrices are row-major; `ld…` is the distance between rows in floats. No kernel allocates: scratch belongs to the caller, and each
// `…_scratch` function says how many floats it must hold. Pointers need no alignment (64 bytes is fastest). Buffers that are
// written must not overlap others unless "in place" is said. Sizes must be ≥ 0; kernels do not check them.
// All functions may be called from several threads at once; one call has the pool, the others run on their own thread meanwhile.

#ifndef RETORT_CKERNELS_H
#define RETORT_CKERNELS_H

#include "retort_pool.h"
#include "retort_pages.h"
#include "retort_products.h"
#include "retort_linear.h"
#include "retort_grid.h"
#include "retort_limits.h"
#include "retort_layers.h"
#include "retort_training.h"
#include "retort_reference.h"

#endif
