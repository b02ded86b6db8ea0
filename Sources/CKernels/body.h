// The kernels of one level, compiled once for each. Before including: MR (tile height), NP (tile width in panels of 16), KERNEL_TABLE.

#include "lanes.h"

#include "body_products.h"
#include "body_gemm.h"
#include "body_attention.h"
#include "body_layers.h"
#include "body_losses.h"
#include "body_training.h"

const retort_kernel_table KERNEL_TABLE = {
#define RETORT_ENTRY(name, parameters, arguments) .name = kernel_##name,
  RETORT_LEVELLED_KERNELS(RETORT_ENTRY)
#undef RETORT_ENTRY
};
