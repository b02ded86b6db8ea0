// Products of block-quantized weights, compiled once for each level. Before including, besides lanes.h: TILE_ROWS (rows of a register tile),
// TILE_HALVES (16-lane halves of a panel that it holds at once), QUANTIZED_TABLE, and two integer
// dot products of 16 outputs with 4 weights each and one 4-vector of int8: dot4 (weights 0…15) and dot8 (weights with their offset of
// 128, DOT8_IS_SIGNED: taken off already).

#include "quantized.h"

/// The most weights of one task: a few microseconds of a core's share of the memory bandwidth.
#define TASK_BYTES (1 << 16)

typedef i16 i16_unaligned __attribute__((aligned(4), may_alias));

RETORT_INLINE i16 load_lines(const uint8_t *p) { return *(const i16_unaligned *)p; }
RETORT_INLINE int32_t load_int(const uint8_t *p) {
  int32_t x;
  memcpy(&x, p, 4);
  return x;
}
RETORT_INLINE float load_float(const uint8_t *p) {
  float x;
  memcpy(&x, p, 4);
  return x;
}

/// Rounds one block of a row: 32 floats to int8 lines `stride` bytes apart; returns the scale, and the sum of each part.
RETORT_INLINE float round_block(const float *x, uint8_t *q, ptrdiff_t stride, int parts, int32_t sums[2]) {
  v16 a = load(x), b = load(x + 16);
  // As integers, absolute values are in order, and no number of a broken model gets lost: NaN is the largest.
  i16 top = __builtin_elementwise_max(__builtin_bit_cast(i16, a) & 0x7fffffff, __builtin_bit_cast(i16, b) & 0x7fffffff);
  int32_t largest = __builtin_reduce_max(top);
  float scale = __builtin_bit_cast(float, largest) / 127.0f;
  float inverse = scale >= 0x1p-126f ? 1.0f / scale : 0.0f;
  const v16 shift = splat(12582912.0f);
  i16 qa = __builtin_bit_cast(i16, a * splat(inverse) + shift) - 0x4b400000;
  i16 qb = __builtin_bit_cast(i16, b * splat(inverse) + shift) - 0x4b400000;
  if (parts == 2) {
    sums[0] = __builtin_reduce_add(qa);
    sums[1] = __builtin_reduce_add(qb);
  } else {
    sums[0] = __builtin_reduce_add(qa + qb);
  }
  int8_t t[32];
  *(b16_unaligned *)t = __builtin_convertvector(qa, b16);
  *(b16_unaligned *)(t + 16) = __builtin_convertvector(qb, b16);
  if (stride == 4) {  // one row: decoding
    memcpy(q, t, 32);
  } else {
    for (int line = 0; line < 8; line++) memcpy(q + line * stride, t + 4 * line, 4);
  }
  return scale;
}

/// Rounds the rows of one tile.
static void round_tile(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const quantized_job *job = context;
  ptrdiff_t first = index * TILE_ROWS, rows = smaller(TILE_ROWS, job->m - first), blocks = job->k / 32;
  int parts = quantized_parts(job->type), minima = quantized_has_minima(job->type);
  ptrdiff_t bytes = quantized_row_bytes(job->type);
  int32_t offset = -quantized_offset(job->type);
  for (ptrdiff_t r = 0; r < rows; r++) {
    const float *x = job->x + (first + r) * job->ldx;
    uint8_t *out = job->activations + first * blocks * bytes + 4 * r;
    for (ptrdiff_t block = 0; block < blocks; block++, x += 32, out += rows * bytes) {
      int32_t sums[2];
      float scale = round_block(x, out + 4 * rows * (1 + parts), 4 * rows, parts, sums);
      memcpy(out, &scale, 4);
      float share = -(scale * (float)sums[0]);
      int32_t whole = minima ? __builtin_bit_cast(int32_t, share) : offset * sums[0];
      memcpy(out + 4 * rows, &whole, 4);
      if (parts == 2) {
        int32_t second = offset * sums[1];
        memcpy(out + 8 * rows, &second, 4);
      }
    }
  }
}

/// dot[row][half] = the integer sums of one part of a block, offsets taken off. `a` and `quants` point to the block.
RETORT_INLINE void integer_dots(const retort_weight_type type, const int rows, const int halves, const int part, const uint8_t *a,
                                const uint8_t *quants, i16 *dot) {
  const int parts = quantized_parts(type), eight = quantized_is_8_bit(type), lines = (eight ? 8 : 4) / parts;
  const int begins = !quantized_has_minima(type) && !(eight && DOT8_IS_SIGNED);
  UNROLL for (int r = 0; r < rows; r++) {
    i16 start = begins ? (i16)load_int(a + 4 * (rows * (1 + part) + r)) : (i16)0;
    UNROLL for (int h = 0; h < halves; h++) dot[r * halves + h] = start;
  }
  const uint8_t *q = a + 4 * rows * (1 + parts) + part * 4 * 4 * rows;
  UNROLL for (int line = 0; line < lines; line++) {
    i16 w[TILE_HALVES];
    UNROLL for (int h = 0; h < halves; h++) w[h] = load_lines(quants + ((part * lines + line) * 2 + h) * 64);
    UNROLL for (int r = 0; r < rows; r++) {
      int32_t x = load_int(q + 4 * (line * rows + r)), high = eight ? 0 : load_int(q + 4 * ((line + 4) * rows + r));
      UNROLL for (int h = 0; h < halves; h++) {
        i16 *to = &dot[r * halves + h];
        u16 pair = __builtin_bit_cast(u16, w[h]);
        *to = eight ? dot8(*to, w[h], x)
                    : dot4(dot4(*to, __builtin_bit_cast(i16, pair & 0x0f0f0f0fu), x), __builtin_bit_cast(i16, pair >> 4 & 0x0f0f0f0fu), high);
      }
    }
  }
}

/// y[rows, 16·halves] = bias + activations·weights for one tile. All but the pointers and blocks are constants after inlining.
RETORT_INLINE void quantized_tile(const retort_weight_type type, const int rows, const int halves, ptrdiff_t blocks, const uint8_t *a,
                                  const uint8_t *quants, const uint8_t *scales, float *y, ptrdiff_t ldy, const float *bias, ptrdiff_t n) {
  const int parts = quantized_parts(type), minima = quantized_has_minima(type), bytes = (int)quantized_block_bytes(type);
  v16 sum[TILE_ROWS * TILE_HALVES];
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int h = 0; h < halves; h++) sum[r * halves + h] = bias ? load_part(bias + h * 16, n - h * 16, 0) : splat(0);
  for (ptrdiff_t block = 0; block < blocks; block++) {
    UNROLL for (int part = 0; part < parts; part++) {
      i16 dot[TILE_ROWS * TILE_HALVES];
      integer_dots(type, rows, halves, part, a, quants, dot);
      v16 weight[TILE_HALVES], least[TILE_HALVES];
      UNROLL for (int h = 0; h < halves; h++) {
        weight[h] = quantized_has_half_scales(type) ? halves16(scales + 32 * h) : load((const float *)(scales + 128 * part + 64 * h));
        least[h] = minima ? load((const float *)(scales + 128 + 64 * h)) : splat(0);
      }
      UNROLL for (int r = 0; r < rows; r++) {
        v16 scale = splat(load_float(a + 4 * r));
        UNROLL for (int h = 0; h < halves; h++) {
          v16 *to = &sum[r * halves + h];
          *to = fma16(__builtin_convertvector(dot[r * halves + h], v16), weight[h] * scale, *to);
          if (minima) *to = fma16(least[h], splat(load_float(a + 4 * (rows + r))), *to);
        }
      }
    }
    a += rows * quantized_row_bytes(type);
    quants += bytes;
    scales += bytes;
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int h = 0; h < halves; h++) store_part(y + r * ldy + h * 16, sum[r * halves + h], n - h * 16);
}

typedef void (*quantized_tile_function)(ptrdiff_t blocks, const uint8_t *a, const uint8_t *quants, const uint8_t *scales, float *y,
                                        ptrdiff_t ldy, const float *bias, ptrdiff_t n);

#define QUANTIZED_TILE(type, rows)                                                                                              \
  static void tile_##type##_##rows(ptrdiff_t blocks, const uint8_t *a, const uint8_t *quants, const uint8_t *scales, float *y,  \
                                   ptrdiff_t ldy, const float *bias, ptrdiff_t n) {                                             \
    quantized_tile(RETORT_WEIGHT_##type, rows, TILE_HALVES, blocks, a, quants, scales, y, ldy, bias, n);                        \
  }
#if TILE_ROWS == 6
#define QUANTIZED_TILES(type)                                                                                                 \
  QUANTIZED_TILE(type, 1) QUANTIZED_TILE(type, 2) QUANTIZED_TILE(type, 3) QUANTIZED_TILE(type, 4) QUANTIZED_TILE(type, 5)     \
  QUANTIZED_TILE(type, 6)
#define ROW_OF_TILES(type) {tile_##type##_1, tile_##type##_2, tile_##type##_3, tile_##type##_4, tile_##type##_5, tile_##type##_6}
#else
#define QUANTIZED_TILES(type) QUANTIZED_TILE(type, 1) QUANTIZED_TILE(type, 2) QUANTIZED_TILE(type, 3)
#define ROW_OF_TILES(type) {tile_##type##_1, tile_##type##_2, tile_##type##_3}
#endif
QUANTIZED_TILES(Q8_0) QUANTIZED_TILES(Q4_0) QUANTIZED_TILES(Q4_K) QUANTIZED_TILES(Q6_K)

/// By [type − Q8_0][rows − 1].
static const quantized_tile_function quantized_tiles[4][TILE_ROWS] = {ROW_OF_TILES(Q8_0), ROW_OF_TILES(Q4_0), ROW_OF_TILES(Q4_K),
                                                                      ROW_OF_TILES(Q6_K)};

/// Some panels times some rows: the panel stays in the nearest cache while the rows go by.
static void panels_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const quantized_job *job = context;
  ptrdiff_t blocks = job->k / 32, bytes = quantized_row_bytes(job->type) * blocks, panel_bytes = quantized_panel_bytes(job->type, job->k);
  ptrdiff_t row = index / job->column_tasks * job->task_rows, end = smaller(row + job->task_rows, job->m);
  ptrdiff_t first = index % job->column_tasks * job->task_panels, last = smaller(first + job->task_panels, job->panel_count);
  for (ptrdiff_t p = first; p < last; p++) {
    ptrdiff_t panel = job->panels ? job->panels[p] : p;
    const uint8_t *scales = job->packed + panel * panel_bytes, *quants = scales + quantized_scale_bytes(job->type);
    for (ptrdiff_t i = row; i < end; i += TILE_ROWS) {
      ptrdiff_t rows = smaller(TILE_ROWS, end - i);
      quantized_tile_function tile = quantized_tiles[job->type - RETORT_WEIGHT_Q8_0][rows - 1];
      for (ptrdiff_t half = 0; half < 2; half += TILE_HALVES) {
        ptrdiff_t column = panel * RETORT_PANEL + half * 16, n = job->n - column;
        ptrdiff_t scale_bytes = quantized_has_half_scales(job->type) ? 32 : 64;
        if (n > 0)
          tile(blocks, job->activations + i * bytes, quants + half * 64, scales + half * scale_bytes, job->y + i * job->ldy + column,
               job->ldy, job->bias ? job->bias + column : NULL, n);
      }
    }
  }
}

static void multiply(quantized_job *job) {
  ptrdiff_t tiles = (job->m + TILE_ROWS - 1) / TILE_ROWS, threads = retort_pool_threads();
  run_tasks(tiles, job->m * job->k, round_tile, job);
  // Enough tasks, and small enough ones, that taking over others' evens out the threads; each thread's own follow one another in memory.
  job->task_panels = smaller(job->panel_count / (16 * threads), TASK_BYTES / quantized_panel_bytes(job->type, job->k));
  if (job->task_panels < 1) job->task_panels = 1;
  job->column_tasks = (job->panel_count + job->task_panels - 1) / job->task_panels;
  job->task_rows = job->m;
  while (job->task_rows > 4 * TILE_ROWS && job->column_tasks * ((job->m + job->task_rows - 1) / job->task_rows) < 4 * threads)
    job->task_rows = round_up(job->task_rows / 2, TILE_ROWS);
  ptrdiff_t row_tasks = (job->m + job->task_rows - 1) / job->task_rows;
  // Sixteen products of bytes are taken for one of floats: where caches are far apart a call of the pool takes as long as 150,000.
  run_tasks(job->column_tasks * row_tasks, job->m * job->panel_count * (RETORT_PANEL / 16) * job->k, panels_task, job);
}

static void probe(ptrdiff_t rounds, float *out) {
  i16 sums[12], weights = (i16)0x01020304;
  UNROLL for (int i = 0; i < 12; i++) sums[i] = (i16)i;
  for (ptrdiff_t round = 0; round < rounds; round++) {
    UNROLL for (int i = 0; i < 12; i++) sums[i] = dot4(sums[i], weights, 0x01010101);
    // Nothing may be known about the weights, or the compiler would be done at once.
    __asm__ volatile("" : "+m"(weights));
  }
  UNROLL for (int i = 1; i < 12; i++) sums[0] += sums[i];
  store(out, __builtin_convertvector(sums[0], v16));
}

const retort_quantized_table QUANTIZED_TABLE = {multiply, probe};
