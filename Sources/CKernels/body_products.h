// Matrix products: packing, the register tile, and its driver.

/// How a product starts: from zero, from C, from the bias.
enum { START_ZERO, START_C, START_BIAS };

/// C[rows, 16·panels] = start + A·B. Element (r, k) of A lies at a[r·lda + k] (by_row) or a[k·lda + r]; row k of panel p
/// of B lies at b + p·panel_stride + k·row_stride. n: how many of the columns exist. `rows`, `panels` and `by_row` are constants after inlining.
RETORT_INLINE void tile_body(const int rows, const int panels, const int by_row, ptrdiff_t k, const float *a, ptrdiff_t lda,
                             const float *b, ptrdiff_t row_stride, ptrdiff_t panel_stride, float *c, ptrdiff_t ldc, int start,
                             const float *bias, ptrdiff_t n) {
  v16 sum[rows * panels];
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int p = 0; p < panels; p++) {
      const float *from = start == START_C ? c + r * ldc : bias;
      sum[r * panels + p] = start == START_ZERO ? splat(0) : load_part(from + p * 16, n - p * 16, 0);
    }
  }
  for (ptrdiff_t i = 0; i < k; i++) {
    v16 bv[panels];
    UNROLL for (int p = 0; p < panels; p++) bv[p] = load(b + p * panel_stride);
    UNROLL for (int r = 0; r < rows; r++) {
      v16 av = splat(by_row ? a[r * lda] : a[r]);
      UNROLL for (int p = 0; p < panels; p++) sum[r * panels + p] = fma16(av, bv[p], sum[r * panels + p]);
    }
    a += by_row ? 1 : lda;
    b += row_stride;
  }
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int p = 0; p < panels; p++) store_part(c + r * ldc + p * 16, sum[r * panels + p], n - p * 16);
  }
}

typedef void (*tile_function)(ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t row_stride,
                              ptrdiff_t panel_stride, float *c, ptrdiff_t ldc, int start, const float *bias, ptrdiff_t n);

#define TILE(rows, panels, by_row)                                                                                                \
  static void tile_##rows##_##panels##_##by_row(ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t row_stride,  \
                                                ptrdiff_t panel_stride, float *c, ptrdiff_t ldc, int start, const float *bias,    \
                                                ptrdiff_t n) {                                                                    \
    tile_body(rows, panels, by_row, k, a, lda, b, row_stride, panel_stride, c, ldc, start, bias, n);                              \
  }
#define TILES(rows) TILE(rows, 1, 0) TILE(rows, 1, 1)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
TILE(1, 4, 1) TILE(2, 2, 1) TILE(3, 2, 1)
#if MR > 6
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12)
#define WIDE_TILES(rows) TILE(rows, 2, 0) TILE(rows, 2, 1)
TILE(1, 2, 0) TILE(1, 2, 1) TILE(2, 2, 0) TILE(3, 2, 0)
WIDE_TILES(4) WIDE_TILES(5) WIDE_TILES(6) WIDE_TILES(7) WIDE_TILES(8) WIDE_TILES(9) WIDE_TILES(10) WIDE_TILES(11) WIDE_TILES(12)
#endif

#define BOTH(rows, panels) {tile_##rows##_##panels##_0, tile_##rows##_##panels##_1}
/// One panel wide, by [rows − 1][by_row].
static const tile_function narrow_tiles[MR][2] = {
  BOTH(1, 1), BOTH(2, 1), BOTH(3, 1), BOTH(4, 1), BOTH(5, 1), BOTH(6, 1),
#if MR > 6
  BOTH(7, 1), BOTH(8, 1), BOTH(9, 1), BOTH(10, 1), BOTH(11, 1), BOTH(12, 1),
#endif
};
#if NP == 2
/// Two panels wide.
static const tile_function full_tiles[MR][2] = {
  BOTH(1, 2), BOTH(2, 2), BOTH(3, 2), BOTH(4, 2), BOTH(5, 2), BOTH(6, 2),
  BOTH(7, 2), BOTH(8, 2), BOTH(9, 2), BOTH(10, 2), BOTH(11, 2), BOTH(12, 2),
};
#else
#define full_tiles narrow_tiles
#endif

/// C[rows ≤ MR, n ≤ any] over all panels of B.
RETORT_INLINE void row_of_tiles(int rows, int by_row, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b,
                                ptrdiff_t row_stride, ptrdiff_t panel_stride, float *c, ptrdiff_t ldc, int start, const float *bias) {
  for (ptrdiff_t j = 0; j < n;) {
    int wide = n - j > 16 * (NP - 1);
    tile_function f = wide ? full_tiles[rows - 1][by_row] : narrow_tiles[rows - 1][by_row];
    f(k, a, lda, b + j / 16 * panel_stride, row_stride, panel_stride, c + j, ldc, start, start == START_BIAS ? bias + j : NULL, n - j);
    j += wide ? 16 * NP : 16;
  }
}

/// Few rows: more panels at once, so that the chains' latency is hidden.
RETORT_INLINE void few_rows(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t row_stride,
                            ptrdiff_t panel_stride, float *c, ptrdiff_t ldc, int start, const float *bias) {
  ptrdiff_t step = m == 1 ? 64 : 32, j = 0;
  tile_function f = m == 1 ? tile_1_4_1 : m == 2 ? tile_2_2_1 : tile_3_2_1;
  for (; n - j > step - 16; j += step)
    f(k, a, lda, b + j / 16 * panel_stride, row_stride, panel_stride, c + j, ldc, start, start == START_BIAS ? bias + j : NULL, n - j);
  for (; j < n; j += 16)
    narrow_tiles[m - 1][1](k, a, lda, b + j / 16 * panel_stride, row_stride, panel_stride, c + j, ldc, start,
                           start == START_BIAS ? bias + j : NULL, n - j);
}

/// Writes the transpose of 8×8 floats: out[i·ldo + j] = in[j·ldi + i].
RETORT_INLINE void transpose8(const float *in, ptrdiff_t ldi, float *out, ptrdiff_t ldo) {
  v8 r[8], t[8];
  UNROLL for (int i = 0; i < 8; i++) r[i] = *(const v8_unaligned *)(in + i * ldi);
  UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  UNROLL for (int i = 0; i < 8; i += 4) {
    r[i] = __builtin_shufflevector(t[i], t[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 1] = __builtin_shufflevector(t[i], t[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    r[i + 2] = __builtin_shufflevector(t[i + 1], t[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 3] = __builtin_shufflevector(t[i + 1], t[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  UNROLL for (int i = 0; i < 4; i++) {
    *(v8_unaligned *)(out + i * ldo) = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *(v8_unaligned *)(out + (i + 4) * ldo) = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/// Packs one panel [k][16] from up to 16 rows of B [n, k]; missing columns become zero.
RETORT_INLINE void pack_rows(ptrdiff_t n, ptrdiff_t k, const float *b, ptrdiff_t ldb, float *out) {
  ptrdiff_t i = 0;
  if (n >= 16) {
    for (; i + 8 <= k; i += 8) {
      transpose8(b + i, ldb, out + i * 16, 16);
      transpose8(b + 8 * ldb + i, ldb, out + i * 16 + 8, 16);
    }
  }
  for (; i < k; i++)
    for (ptrdiff_t j = 0; j < 16; j++) out[i * 16 + j] = j < n ? b[j * ldb + i] : 0;
}

/// Packs one panel [k][16] from up to 16 columns of B [k, n].
RETORT_INLINE void pack_columns(ptrdiff_t n, ptrdiff_t k, const float *b, ptrdiff_t ldb, float *out) {
  for (ptrdiff_t i = 0; i < k; i++) store(out + i * 16, load_part(b + i * ldb, n, 0));
}

typedef struct packed_job {
  retort_layout layout;
  ptrdiff_t m, n, k;
  const float *a;
  ptrdiff_t lda;
  const float *b;
  ptrdiff_t ldb;
  float *c;
  ptrdiff_t ldc;
  int start;
  const float *bias;
  float *packed;
  ptrdiff_t tile_rows, tile_columns, column_tiles, block;
} packed_job;

/// Panels of B that one packing task handles.
#define PACK_GROUP 4

static void pack_task(void *context, ptrdiff_t group, int worker) {
  (void)worker;
  const packed_job *job = context;
  for (ptrdiff_t panel = group * PACK_GROUP; panel < (group + 1) * PACK_GROUP && panel * 16 < job->n; panel++) {
    float *out = job->packed + panel * 16 * job->k;
    ptrdiff_t columns = smaller(16, job->n - panel * 16);
    if (job->layout == RETORT_NT) {
      pack_rows(columns, job->k, job->b + panel * 16 * job->ldb, job->ldb, out);
    } else {
      pack_columns(columns, job->k, job->b + panel * 16, job->ldb, out);
    }
  }
}

static void tile_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const packed_job *job = context;
  ptrdiff_t i0 = index / job->column_tiles * job->tile_rows, i1 = smaller(i0 + job->tile_rows, job->m);
  ptrdiff_t j0 = index % job->column_tiles * job->tile_columns, j1 = smaller(j0 + job->tile_columns, job->n);
  ptrdiff_t lda = job->lda, k = job->k;
  for (ptrdiff_t k0 = 0; k0 == 0 || k0 < k; k0 += job->block) {
    ptrdiff_t depth = smaller(job->block, k - k0);
    int start = k0 == 0 ? job->start : START_C;
    if (job->m <= 3) {
      few_rows(job->m, j1 - j0, depth, job->a + k0, lda, job->packed + j0 * k + k0 * 16, 16, 16 * k, job->c + j0, job->ldc, start,
               job->bias ? job->bias + j0 : NULL);
      continue;
    }
    for (ptrdiff_t j = j0; j < j1; j += 16 * NP) {
      for (ptrdiff_t i = i0; i < i1; i += MR) {
        row_of_tiles((int)smaller(MR, i1 - i), 1, smaller(16 * NP, j1 - j), depth, job->a + i * lda + k0, lda,
                     job->packed + j * k + k0 * 16, 16, 16 * k, job->c + i * job->ldc + j, job->ldc, start,
                     job->bias ? job->bias + j : NULL);
      }
    }
  }
}

/// Cuts C into tiles that suit the caches and the threads, and runs them.
static void run_packed(packed_job *job) {
  ptrdiff_t work = job->m * job->n * (job->k + 1), threads = retort_pool_threads();
  ptrdiff_t blocks = job->k <= 384 ? 1 : (job->k + 383) / 384;
  job->block = job->k == 0 ? 1 : (job->k + blocks - 1) / blocks;
  job->tile_columns = 64;
  job->tile_rows = 120;
  if (job->m <= 3) {
    job->tile_rows = MR;
    job->block = job->k == 0 ? 1 : job->k;
  }
  job->column_tiles = (job->n + job->tile_columns - 1) / job->tile_columns;
  // Enough tiles that dynamic scheduling evens out the threads.
  while (job->tile_rows > 24 && job->column_tiles * ((job->m + job->tile_rows - 1) / job->tile_rows) < 4 * threads)
    job->tile_rows = round_up(job->tile_rows / 2, MR);
  run_tasks(job->column_tiles * ((job->m + job->tile_rows - 1) / job->tile_rows), work, tile_task, job);
}

static void kernel_gemm_pack(retort_layout layout, ptrdiff_t n, ptrdiff_t k, const float *b, ptrdiff_t ldb, float *packed) {
  packed_job job = {.layout = layout, .n = n, .k = k, .b = b, .ldb = ldb, .packed = packed};
  run_tasks((n + 16 * PACK_GROUP - 1) / (16 * PACK_GROUP), n * k, pack_task, &job);
}

static void kernel_gemm_packed(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *packed, float *c,
                               ptrdiff_t ldc, const float *bias, int accumulate) {
  if (m <= 0 || n <= 0) return;
  packed_job job = {.m = m, .n = n, .k = k, .a = a, .lda = lda, .packed = (float *)packed, .c = c, .ldc = ldc, .bias = bias};
  job.start = accumulate ? START_C : bias ? START_BIAS : START_ZERO;
  run_packed(&job);
}

/// C[rows, 16·panels] for packed 16-bit weights, as tile_body; rows, panels and the type are constants after inlining.
RETORT_INLINE void half_tile_body(const int bfloat, const int rows, const int panels, ptrdiff_t k, const float *a, ptrdiff_t lda,
                                  const uint16_t *b, float *c, ptrdiff_t ldc, const float *bias, ptrdiff_t n) {
  v16 sum[8];
  ptrdiff_t panel_stride = 16 * k;
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int p = 0; p < panels; p++) sum[r * panels + p] = bias ? load_part(bias + p * 16, n - p * 16, 0) : splat(0);
  for (ptrdiff_t i = 0; i < k; i++, b += 16) {
    UNROLL for (int p = 0; p < panels; p++) {
      v16 w = bfloat ? bfloats16(b + p * panel_stride) : halves16(b + p * panel_stride);
      if (rows == 1) __builtin_prefetch(b + p * panel_stride + 2048);
      UNROLL for (int r = 0; r < rows; r++) sum[r * panels + p] = fma16(splat(a[r * lda + i]), w, sum[r * panels + p]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int p = 0; p < panels; p++) store_part(c + r * ldc + p * 16, sum[r * panels + p], n - p * 16);
}

typedef void (*half_tile_function)(ptrdiff_t k, const float *a, ptrdiff_t lda, const uint16_t *b, float *c, ptrdiff_t ldc,
                                   const float *bias, ptrdiff_t n);
#define HALF_TILE(bfloat, rows, panels)                                                                                          \
  static void half_tile_##bfloat##_##rows##_##panels(ptrdiff_t k, const float *a, ptrdiff_t lda, const uint16_t *b, float *c,    \
                                                     ptrdiff_t ldc, const float *bias, ptrdiff_t n) {                            \
    half_tile_body(bfloat, rows, panels, k, a, lda, b, c, ldc, bias, n);                                                         \
  }
#define HALF_TILES(bfloat)                                                                                                \
  HALF_TILE(bfloat, 1, 1) HALF_TILE(bfloat, 2, 1) HALF_TILE(bfloat, 3, 1) HALF_TILE(bfloat, 4, 1) HALF_TILE(bfloat, 1, 4) \
  HALF_TILE(bfloat, 2, 4)
HALF_TILES(0) HALF_TILES(1)
/// By [bfloat][rows − 1], one panel wide; and four panels wide, for chains enough to hide their latency.
static const half_tile_function half_tiles[2][4] = {{half_tile_0_1_1, half_tile_0_2_1, half_tile_0_3_1, half_tile_0_4_1},
                                                    {half_tile_1_1_1, half_tile_1_2_1, half_tile_1_3_1, half_tile_1_4_1}};
static const half_tile_function wide_half_tiles[2][2] = {{half_tile_0_1_4, half_tile_0_2_4}, {half_tile_1_1_4, half_tile_1_2_4}};

typedef struct half_job {
  int bfloat;
  ptrdiff_t m, n, k;
  const float *a;
  ptrdiff_t lda;
  const uint16_t *packed;
  float *c;
  ptrdiff_t ldc;
  const float *bias;
  float *expanded;
} half_job;

static void half_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const half_job *job = context;
  for (ptrdiff_t j = index * 64; j < smaller((index + 1) * 64, job->n);) {
    int wide = job->m <= 2 && j + 64 <= round_up(job->n, 16);
    const float *bias = job->bias ? job->bias + j : NULL;
    for (ptrdiff_t i = 0; i < job->m; i += 4) {
      ptrdiff_t rows = smaller(4, job->m - i);
      half_tile_function f = wide ? wide_half_tiles[job->bfloat][rows - 1] : half_tiles[job->bfloat][rows - 1];
      f(job->k, job->a + i * job->lda, job->lda, job->packed + j * job->k, job->c + i * job->ldc + j, job->ldc, bias, job->n - j);
    }
    j += wide ? 64 : 16;
  }
}

static void half_expand_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const half_job *job = context;
  const uint16_t *b = job->packed + index * 16 * job->k;
  float *out = job->expanded + index * 16 * job->k;
  for (ptrdiff_t i = 0; i < job->k; i++, b += 16, out += 16) store(out, job->bfloat ? bfloats16(b) : halves16(b));
}

static void kernel_half_gemm(int bfloat, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const uint16_t *packed,
                             float *c, ptrdiff_t ldc, const float *bias, float *scratch) {
  half_job job = {.bfloat = bfloat, .m = m, .n = n, .k = k, .a = a, .lda = lda, .packed = packed, .c = c, .ldc = ldc, .bias = bias,
                  .expanded = scratch};
  if (m < RETORT_HALF_EXPAND_ROWS) {
    run_tasks((n + 63) / 64, m * n * k, half_task, &job);
  } else {
    run_tasks((n + 15) / 16, n * k, half_expand_task, &job);
    kernel_gemm_packed(m, n, k, a, lda, scratch, c, ldc, bias, 0);
  }
}

static void kernel_probe(ptrdiff_t rounds, float *out) {
  v16 sums[12], factor = splat(0.5f);
  UNROLL for (int i = 0; i < 12; i++) sums[i] = splat((float)i);
  for (ptrdiff_t round = 0; round < rounds; round++) {
    UNROLL for (int i = 0; i < 12; i++) sums[i] = fma16(sums[i], factor, factor);
    __asm__ volatile("" : "+m"(factor));
  }
  UNROLL for (int i = 1; i < 12; i++) sums[0] += sums[i];
  store(out, sums[0]);
}
