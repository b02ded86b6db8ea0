// Weights of linear layers: the formats of files, packing, look-up, and the choice of the product.

#include "quantized.h"

#pragma STDC FP_CONTRACT OFF

static int is_quantized(retort_weight_type type) { return type >= RETORT_WEIGHT_Q8_0; }

ptrdiff_t retort_weight_block(retort_weight_type type) {
  return !is_quantized(type) ? 1 : type == RETORT_WEIGHT_Q8_0 || type == RETORT_WEIGHT_Q4_0 ? 32 : 256;
}

/// Bytes of one block of retort_weight_block weights.
static size_t block_size(retort_weight_type type) {
  static const size_t sizes[] = {4, 2, 2, 34, 18, 144, 210};
  return sizes[type];
}

size_t retort_weight_row_size(retort_weight_type type, ptrdiff_t k) {
  return (size_t)(k / retort_weight_block(type)) * block_size(type);
}

RETORT_INLINE uint16_t load_half(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

// MARK: Blocks of 32, whatever the format

/// Scale and minimum of a sub-block of Q4_K, 6 bits each.
static void q4_k_scale(const uint8_t *s, int j, int *scale, int *minimum) {
  if (j < 4) {
    *scale = s[j] & 63;
    *minimum = s[j + 4] & 63;
  } else {
    *scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    *minimum = s[j + 4] >> 4 | s[j] >> 6 << 4;
  }
}

retort_block retort_block_of(retort_weight_type type, const uint8_t *row, ptrdiff_t index) {
  retort_block block = {{0, 0}, 0, {0}};
  if (type == RETORT_WEIGHT_Q8_0) {
    row += index * 34;
    for (int i = 0; i < 32; i++) block.q[i] = row[2 + i] ^ 128;
    block.scale[0] = block.scale[1] = half_to_float(load_half(row));
  } else if (type == RETORT_WEIGHT_Q4_0) {
    row += index * 18;
    for (int i = 0; i < 16; i++) block.q[i] = row[2 + i] & 15, block.q[i + 16] = row[2 + i] >> 4;
    block.scale[0] = block.scale[1] = half_to_float(load_half(row));
  } else if (type == RETORT_WEIGHT_Q4_K) {
    int j = (int)(index % 8), scale, minimum;
    row += index / 8 * 144;
    q4_k_scale(row + 4, j, &scale, &minimum);
    for (int i = 0; i < 32; i++) block.q[i] = row[16 + j / 2 * 32 + i] >> 4 * (j % 2) & 15;
    block.scale[0] = block.scale[1] = half_to_float(load_half(row)) * (float)scale;
    block.minimum = half_to_float(load_half(row + 2)) * (float)minimum;
  } else {
    // 128 weights at a time: 64 bytes of low bits, 32 bytes of high bits; quarter j of them in the bits 2j and 2j + 1.
    int half = (int)(index % 8) / 4, j = (int)(index % 4);
    row += index / 8 * 210;
    const uint8_t *low = row + half * 64 + j % 2 * 32, *high = row + 128 + half * 32;
    for (int i = 0; i < 32; i++)
      block.q[i] = (uint8_t)(((low[i] >> 4 * (j / 2) & 15) | (high[i] >> 2 * j & 3) << 4) - 32 + 128);
    for (int part = 0; part < 2; part++)
      block.scale[part] = half_to_float(load_half(row + 208)) * (float)(int8_t)row[192 + half * 8 + j * 2 + part];
  }
  return block;
}

static void block_row(retort_weight_type type, ptrdiff_t k, const uint8_t *row, float *out) {
  int32_t offset = quantized_offset(type);
  for (ptrdiff_t index = 0; index < k / 32; index++, out += 32) {
    retort_block block = retort_block_of(type, row, index);
    for (int i = 0; i < 32; i++) out[i] = block.scale[i / 16] * (float)(block.q[i] - offset) - block.minimum;
  }
}

static void plain_row(retort_weight_type type, ptrdiff_t k, const uint8_t *row, float *out) {
  if (type == RETORT_WEIGHT_F32) {
    memcpy(out, row, (size_t)k * sizeof(float));
    return;
  }
  for (ptrdiff_t i = 0; i < k; i++, row += 2) {
    uint32_t bits = (uint32_t)load_half(row) << 16;
    if (type == RETORT_WEIGHT_F16) out[i] = half_to_float(load_half(row)); else memcpy(out + i, &bits, 4);
  }
}

void retort_weight_rows(retort_weight_type type, ptrdiff_t k, const uint8_t *table, const int32_t *indices, ptrdiff_t count, float *out) {
  size_t size = retort_weight_row_size(type, k);
  for (ptrdiff_t r = 0; r < count; r++, out += k) {
    const uint8_t *row = table + (size_t)indices[r] * size;
    if (is_quantized(type)) block_row(type, k, row, out); else plain_row(type, k, row, out);
  }
}

// MARK: Finite numbers

RETORT_INLINE int is_finite_half(const uint8_t *p) { return (p[1] & 0x7c) != 0x7c; }

static int is_finite_block(retort_weight_type type, const uint8_t *p) {
  switch (type) {
    case RETORT_WEIGHT_F32: return (p[3] & 0x7f) != 0x7f || !(p[2] & 0x80);
    case RETORT_WEIGHT_BF16: return (p[1] & 0x7f) != 0x7f || !(p[0] & 0x80);
    case RETORT_WEIGHT_Q4_K: return is_finite_half(p) && is_finite_half(p + 2);
    case RETORT_WEIGHT_Q6_K: return is_finite_half(p + 208);
    default: return is_finite_half(p);
  }
}

int retort_weight_is_finite(retort_weight_type type, ptrdiff_t rows, ptrdiff_t k, const uint8_t *weights) {
  size_t size = block_size(type), count = (size_t)rows * (size_t)(k / retort_weight_block(type));
  int finite = 1;
  for (size_t i = 0; i < count; i++) finite &= is_finite_block(type, weights + i * size);
  return finite;
}

// MARK: Packing

typedef struct pack_job {
  retort_weight_type type;
  ptrdiff_t n, k;
  const uint8_t *weights;
  uint8_t *packed;
} pack_job;

static void put_scale(uint8_t *at, ptrdiff_t row, float scale) { memcpy(at + 4 * row, &scale, 4); }

/// Writes one block of 32 k of one row of a panel.
static void pack_block(retort_weight_type type, const uint8_t *row, ptrdiff_t index, ptrdiff_t r, uint8_t *scales) {
  retort_block block = retort_block_of(type, row, index);
  uint8_t *out = scales + quantized_scale_bytes(type) + r / 16 * 64 + r % 16 * 4;
  for (int i = 0; i < 32; i++) {
    int line = i / 4;
    if (quantized_is_8_bit(type)) {
      out[line * 128 + i % 4] = block.q[i];
    } else if (line < 4) {
      out[line * 128 + i % 4] = (uint8_t)(block.q[i] | block.q[i + 16] << 4);
    }
  }
  if (quantized_has_half_scales(type)) {
    memcpy(scales + 2 * r, row + (size_t)index * block_size(type), 2);
  } else {
    for (int part = 0; part < quantized_parts(type); part++) put_scale(scales + 128 * part, r, block.scale[part]);
    if (quantized_has_minima(type)) put_scale(scales + 128, r, block.minimum);
  }
}

static void pack_quantized_panel(void *context, ptrdiff_t panel, int worker) {
  (void)worker;
  const pack_job *job = context;
  ptrdiff_t blocks = job->k / 32, rows = smaller(RETORT_PANEL, job->n - panel * RETORT_PANEL);
  size_t size = retort_weight_row_size(job->type, job->k);
  uint8_t *out = job->packed + panel * quantized_panel_bytes(job->type, job->k);
  memset(out, 0, (size_t)quantized_panel_bytes(job->type, job->k));
  for (ptrdiff_t index = 0; index < blocks; index++, out += quantized_block_bytes(job->type)) {
    for (ptrdiff_t r = 0; r < rows; r++)
      pack_block(job->type, job->weights + (size_t)(panel * RETORT_PANEL + r) * size, index, r, out);
  }
}

/// F32, F16, BF16: panels of 16 outputs, [k][16], in the type of the file.
static void pack_plain_panel(void *context, ptrdiff_t panel, int worker) {
  (void)worker;
  const pack_job *job = context;
  ptrdiff_t rows = smaller(16, job->n - panel * 16);
  size_t width = block_size(job->type), size = retort_weight_row_size(job->type, job->k);
  uint8_t *out = job->packed + (size_t)panel * 16 * size;
  memset(out, 0, 16 * size);
  for (ptrdiff_t r = 0; r < rows; r++) {
    const uint8_t *in = job->weights + (size_t)(panel * 16 + r) * size;
    for (ptrdiff_t i = 0; i < job->k; i++) memcpy(out + (size_t)(i * 16 + r) * width, in + (size_t)i * width, width);
  }
}

size_t retort_linear_packed_size(retort_weight_type type, ptrdiff_t n, ptrdiff_t k) {
  if (!is_quantized(type)) return (size_t)round_up(n, 16) * retort_weight_row_size(type, k);
  return (size_t)(round_up(n, RETORT_PANEL) / RETORT_PANEL * quantized_panel_bytes(type, k));
}

void retort_linear_pack(retort_weight_type type, ptrdiff_t n, ptrdiff_t k, const uint8_t *weights, uint8_t *packed) {
  pack_job job = {type, n, k, weights, packed};
  size_t size = retort_linear_packed_size(type, n, k);
  retort_prefer_large_pages(packed, size);
  if (is_quantized(type)) {
    retort_parallel_for((n + RETORT_PANEL - 1) / RETORT_PANEL, pack_quantized_panel, &job);
  } else {
    retort_parallel_for((n + 15) / 16, pack_plain_panel, &job);
  }
  retort_gather_large_pages(packed, size);
}

// MARK: Products

const retort_quantized_table *retort_quantized_kernels(void) {
#if defined(__x86_64__)
  retort_level level = retort_kernels_level();
  if (level >= RETORT_LEVEL_AVX512 && __builtin_cpu_supports("avx512vnni")) return &retort_quantized_vnni;
  if (level >= RETORT_LEVEL_AVX2) return &retort_quantized_avx2;
#endif
  return &retort_quantized_portable;
}

static void multiply_quantized(quantized_job *job) {
  uint64_t saved = retort_enter_numerics();
  retort_quantized_kernels()->multiply(job);
  retort_leave_numerics(saved);
}

size_t retort_linear_scratch(retort_weight_type type, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k) {
  if (is_quantized(type)) return (size_t)(m * (k / 32) * quantized_row_bytes(type));
  return type == RETORT_WEIGHT_F32 || m < RETORT_HALF_EXPAND_ROWS ? 0 : retort_gemm_packed_size(n, k) * sizeof(float);
}

void retort_linear(retort_weight_type type, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *x, ptrdiff_t ldx, const uint8_t *packed,
                   float *y, ptrdiff_t ldy, const float *bias, uint8_t *scratch) {
  if (m <= 0 || n <= 0) return;
  if (type == RETORT_WEIGHT_F32) {
    retort_gemm_packed(m, n, k, x, ldx, (const float *)packed, y, ldy, bias, 0);
  } else if (!is_quantized(type)) {
    retort_half_gemm(type == RETORT_WEIGHT_BF16, m, n, k, x, ldx, (const uint16_t *)packed, y, ldy, bias, (float *)scratch);
  } else {
    quantized_job job = {.type = type, .m = m, .n = n, .k = k, .x = x, .ldx = ldx, .activations = scratch, .packed = packed, .y = y,
                         .ldy = ldy, .bias = bias, .panel_count = (n + RETORT_PANEL - 1) / RETORT_PANEL};
    multiply_quantized(&job);
  }
}

void retort_linear_panels(retort_weight_type type, ptrdiff_t n, ptrdiff_t k, const float *x, const uint8_t *packed,
                          const int32_t *panels, ptrdiff_t count, float *y, uint8_t *scratch) {
  if (is_quantized(type)) {
    quantized_job job = {.type = type, .m = 1, .n = n, .k = k, .x = x, .ldx = k, .activations = scratch, .packed = packed, .y = y,
                         .ldy = n, .panels = panels, .panel_count = count};
    multiply_quantized(&job);
    return;
  }
  for (ptrdiff_t i = 0; i < count; i++) {
    ptrdiff_t first = (ptrdiff_t)panels[i] * RETORT_PANEL;
    retort_linear(type, 1, smaller(RETORT_PANEL, n - first), k, x, k, packed + (size_t)first * retort_weight_row_size(type, k), y + first,
                  n, NULL, scratch);
  }
}
