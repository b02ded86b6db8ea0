// The kernels for any processor with 128-bit vectors (SSE2, NEON), without assumptions; on x86-64 the slow, exact reference level.

#include "internal.h"

#define MR 6
#define NP 1
#define KERNEL_TABLE retort_kernels_portable
#include "body.h"
