// Layers that are not products: norms, rotation, activation, sums, tables, dropout.

/// One job for all of them: what a task needs, by meaning.
typedef struct layer_job {
  ptrdiff_t rows, columns, ldx, heads, half, chunk;
  const float *x, *w, *dy, *rstd, *cosine, *sine;
  const int32_t *indices;
  float *out, *out2;
  float number;
  int flag;
  uint32_t key0, key1, threshold;
} layer_job;

static void rmsnorm_forward_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  ptrdiff_t n = job->columns;
  for (ptrdiff_t r = index * job->chunk; r < smaller((index + 1) * job->chunk, job->rows); r++) {
    const float *x = job->x + r * n;
    float *y = job->out + r * n;
    v16 sum = splat(0);
    for (ptrdiff_t j = 0; j < n; j += 16) {
      v16 v = load_part(x + j, n - j, 0);
      sum = fma16(v, v, sum);
    }
    float rstd = 1.0f / __builtin_elementwise_sqrt(tree_sum(sum) / (float)n + job->number);
    if (job->out2) job->out2[r] = rstd;
    for (ptrdiff_t j = 0; j < n; j += 16)
      store_part(y + j, load_part(x + j, n - j, 0) * splat(rstd) * load_part(job->w + j, n - j, 0), n - j);
  }
}

static void kernel_rmsnorm_forward(ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, float epsilon, float *y,
                                   float *rstd) {
  layer_job job = {.rows = rows, .columns = columns, .x = x, .w = w, .number = epsilon, .out = y, .out2 = rstd, .chunk = 16};
  run_tasks((rows + 15) / 16, rows * columns, rmsnorm_forward_task, &job);
}

static void rmsnorm_backward_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  ptrdiff_t n = job->columns;
  for (ptrdiff_t r = index * job->chunk; r < smaller((index + 1) * job->chunk, job->rows); r++) {
    const float *x = job->x + r * n, *dy = job->dy + r * n;
    float *dx = job->out + r * n;
    v16 rstd = splat(job->rstd[r]), sum = splat(0);
    for (ptrdiff_t j = 0; j < n; j += 16) {
      v16 g = load_part(dy + j, n - j, 0) * load_part(job->w + j, n - j, 0);
      sum = fma16(g, load_part(x + j, n - j, 0) * rstd, sum);
    }
    v16 mean = splat(tree_sum(sum) / (float)n);
    for (ptrdiff_t j = 0; j < n; j += 16) {
      v16 g = load_part(dy + j, n - j, 0) * load_part(job->w + j, n - j, 0);
      v16 d = rstd * (g - load_part(x + j, n - j, 0) * rstd * mean);
      if (job->flag) d = load_part(dx + j, n - j, 0) + d;
      store_part(dx + j, d, n - j);
    }
  }
}

/// The gradient of the norm's weights for 32 columns, all rows ascending.
static void rmsnorm_weight_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  ptrdiff_t n = job->columns;
  for (ptrdiff_t j = index * 32; j < smaller((index + 1) * 32, n); j += 16) {
    v16 sum = load_part(job->out2 + j, n - j, 0);
    for (ptrdiff_t r = 0; r < job->rows; r++)
      sum = fma16(load_part(job->dy + r * n + j, n - j, 0), load_part(job->x + r * n + j, n - j, 0) * splat(job->rstd[r]), sum);
    store_part(job->out2 + j, sum, n - j);
  }
}

static void kernel_rmsnorm_backward(ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, const float *rstd, const float *dy,
                                    float *dx, int accumulate, float *dw) {
  layer_job job = {.rows = rows, .columns = columns, .x = x, .w = w, .rstd = rstd, .dy = dy, .out = dx, .out2 = dw,
                   .flag = accumulate, .chunk = 16};
  run_tasks((rows + 15) / 16, rows * columns, rmsnorm_backward_task, &job);
  if (dw) run_tasks((columns + 31) / 32, rows * columns, rmsnorm_weight_task, &job);
}

static void rope_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  ptrdiff_t half = job->half;
  for (ptrdiff_t r = index * job->chunk; r < smaller((index + 1) * job->chunk, job->rows); r++) {
    const float *cosine = job->cosine + job->indices[r] * half, *sine = job->sine + job->indices[r] * half;
    for (ptrdiff_t h = 0; h < job->heads; h++) {
      float *a = job->out + r * job->ldx + h * 2 * half, *b = a + half;
      for (ptrdiff_t i = 0; i < half; i += 16) {
        v16 c = load_part(cosine + i, half - i, 0), s = load_part(sine + i, half - i, 0);
        v16 u = load_part(a + i, half - i, 0), v = load_part(b + i, half - i, 0);
        if (job->flag) s = -s;
        store_part(a + i, fma16(u, c, -(v * s)), half - i);
        store_part(b + i, fma16(v, c, u * s), half - i);
      }
    }
  }
}

static void kernel_rope(ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_size, float *x, ptrdiff_t ldx, const int32_t *positions,
                        const float *cosine, const float *sine, int inverse) {
  layer_job job = {.rows = rows, .heads = heads, .half = head_size / 2, .out = x, .ldx = ldx, .indices = positions, .cosine = cosine,
                   .sine = sine, .flag = inverse, .chunk = 32};
  run_tasks((rows + 31) / 32, rows * heads * head_size, rope_task, &job);
}

static void swiglu_forward_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  ptrdiff_t n = job->columns;
  for (ptrdiff_t r = index * job->chunk; r < smaller((index + 1) * job->chunk, job->rows); r++) {
    const float *g = job->x + r * 2 * n, *u = g + n;
    for (ptrdiff_t j = 0; j < n; j += 16) {
      v16 gate = load_part(g + j, n - j, 0);
      store_part(job->out + r * n + j, gate * sigmoid16(gate) * load_part(u + j, n - j, 0), n - j);
    }
  }
}

static void kernel_swiglu_forward(ptrdiff_t rows, ptrdiff_t width, const float *gate_up, float *h) {
  layer_job job = {.rows = rows, .columns = width, .x = gate_up, .out = h, .chunk = 8};
  run_tasks((rows + 7) / 8, rows * width * 8, swiglu_forward_task, &job);
}

static void swiglu_backward_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  ptrdiff_t n = job->columns;
  for (ptrdiff_t r = index * job->chunk; r < smaller((index + 1) * job->chunk, job->rows); r++) {
    float *g = job->out + r * 2 * n, *u = g + n;
    for (ptrdiff_t j = 0; j < n; j += 16) {
      v16 gate = load_part(g + j, n - j, 0), up = load_part(u + j, n - j, 0), dh = load_part(job->dy + r * n + j, n - j, 0);
      v16 s = sigmoid16(gate), silu = gate * s;
      store_part(job->out2 + r * n + j, silu * up, n - j);
      // silu' = s·(1 + g·(1 − s))
      store_part(g + j, dh * up * (s * fma16(gate, splat(1.0f) - s, splat(1.0f))), n - j);
      store_part(u + j, dh * silu, n - j);
    }
  }
}

static void kernel_swiglu_backward(ptrdiff_t rows, ptrdiff_t width, float *gate_up, const float *dh, float *h) {
  layer_job job = {.rows = rows, .columns = width, .out = gate_up, .dy = dh, .out2 = h, .chunk = 8};
  run_tasks((rows + 7) / 8, rows * width * 8, swiglu_backward_task, &job);
}

static void column_sums_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  ptrdiff_t n = job->columns;
  for (ptrdiff_t j = index * 32; j < smaller((index + 1) * 32, n); j += 16) {
    v16 sum = load_part(job->out + j, n - j, 0);
    for (ptrdiff_t r = 0; r < job->rows; r++) {
      v16 x = load_part(job->x + r * job->ldx + j, n - j, 0);
      sum = sum + (job->flag ? __builtin_elementwise_abs(x) : x);
    }
    store_part(job->out + j, sum, n - j);
  }
}

static void kernel_column_sums(ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *sums) {
  layer_job job = {.rows = rows, .columns = columns, .x = x, .ldx = ldx, .out = sums};
  run_tasks((columns + 31) / 32, rows * columns, column_sums_task, &job);
}

static void kernel_absolute_column_sums(ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *sums) {
  layer_job job = {.rows = rows, .columns = columns, .x = x, .ldx = ldx, .out = sums, .flag = 1};
  run_tasks((columns + 31) / 32, rows * columns, column_sums_task, &job);
}

static void gather_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  size_t bytes = (size_t)job->columns * sizeof(float);
  for (ptrdiff_t r = index * job->chunk; r < smaller((index + 1) * job->chunk, job->rows); r++)
    memcpy(job->out + r * job->columns, job->x + job->indices[r] * job->columns, bytes);
}

static void kernel_gather_rows(ptrdiff_t rows, ptrdiff_t columns, const float *table, const int32_t *indices, float *out) {
  layer_job job = {.rows = rows, .columns = columns, .x = table, .indices = indices, .out = out, .chunk = 64};
  run_tasks((rows + 63) / 64, rows * columns / 4, gather_task, &job);
}

typedef struct bfloat_job {
  ptrdiff_t count, columns;
  const float *x;
  const uint16_t *halves;
  const int32_t *indices;
  float *out;
  uint16_t *out_halves;
} bfloat_job;

#define BFLOAT_CHUNK 16384

static void to_bfloat16_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const bfloat_job *job = context;
  for (ptrdiff_t i = index * BFLOAT_CHUNK; i < smaller((index + 1) * BFLOAT_CHUNK, job->count); i += 16) {
    ptrdiff_t n = job->count - i;
    h16 halves = __builtin_convertvector(__builtin_bit_cast(u16, to_bfloat16(load_part(job->x + i, n, 0))) >> 16, h16);
    memcpy(job->out_halves + i, &halves, (size_t)smaller(n, 16) * 2);
  }
}

static void kernel_to_bfloat16(ptrdiff_t count, const float *x, uint16_t *out) {
  bfloat_job job = {.count = count, .x = x, .out_halves = out};
  run_tasks((count + BFLOAT_CHUNK - 1) / BFLOAT_CHUNK, count, to_bfloat16_task, &job);
}

static void gather_bfloat_task(void *context, ptrdiff_t r, int worker) {
  (void)worker;
  const bfloat_job *job = context;
  ptrdiff_t n = job->columns;
  const uint16_t *row = job->halves + (job->indices ? job->indices[r] : r) * n;
  for (ptrdiff_t j = 0; j < smaller(n, job->count - r * n); j += 16) {
    ptrdiff_t some = smaller(n, job->count - r * n) - j;
    store_part(job->out + r * n + j, gemm_load(1, row, j, some), some);
  }
}

static void kernel_gather_bfloat_rows(ptrdiff_t rows, ptrdiff_t columns, const uint16_t *table, const int32_t *indices, float *out) {
  bfloat_job job = {.count = rows * columns, .columns = columns, .halves = table, .indices = indices, .out = out};
  run_tasks(rows, rows * columns / 4, gather_bfloat_task, &job);
}

static void kernel_from_bfloat16(ptrdiff_t count, const uint16_t *x, float *out) {
  bfloat_job job = {.count = count, .columns = BFLOAT_CHUNK, .halves = x, .out = out};
  run_tasks((count + BFLOAT_CHUNK - 1) / BFLOAT_CHUNK, count, gather_bfloat_task, &job);
}

/// 32 columns of every row in ascending order: one owner for each element of the table.
static void scatter_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  ptrdiff_t n = job->columns;
  for (ptrdiff_t r = 0; r < job->rows; r++) {
    float *to = job->out + job->indices[r] * n;
    for (ptrdiff_t j = index * 32; j < smaller((index + 1) * 32, n); j += 16)
      store_part(to + j, load_part(to + j, n - j, 0) + load_part(job->x + r * n + j, n - j, 0), n - j);
  }
}

static void kernel_scatter_add_rows(ptrdiff_t rows, ptrdiff_t columns, const float *x, const int32_t *indices, float *table) {
  layer_job job = {.rows = rows, .columns = columns, .x = x, .indices = indices, .out = table};
  run_tasks((columns + 31) / 32, rows * columns, scatter_task, &job);
}

static void add_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  for (ptrdiff_t i = index * job->chunk; i < smaller((index + 1) * job->chunk, job->columns); i += 16)
    store_part(job->out + i, load_part(job->x + i, job->columns - i, 0) + load_part(job->w + i, job->columns - i, 0), job->columns - i);
}

static void kernel_add(ptrdiff_t count, const float *a, const float *b, float *out) {
  layer_job job = {.columns = count, .x = a, .w = b, .out = out, .chunk = 8192};
  run_tasks((count + 8191) / 8192, count, add_task, &job);
}

static void scale_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  for (ptrdiff_t i = index * job->chunk; i < smaller((index + 1) * job->chunk, job->columns); i += 16)
    store_part(job->out + i, load_part(job->out + i, job->columns - i, 0) * splat(job->number), job->columns - i);
}

static void kernel_scale(ptrdiff_t count, float factor, float *x) {
  layer_job job = {.columns = count, .number = factor, .out = x, .chunk = 8192};
  run_tasks((count + 8191) / 8192, count, scale_task, &job);
}

/// Reference: Wellons 2018, "lowbias32".
RETORT_INLINE u16 mix_lanes(u16 x) {
  x = (x ^ x >> 16) * (u16)0x7feb352du;
  x = (x ^ x >> 15) * (u16)0x846ca68bu;
  return x ^ x >> 16;
}

static void dropout_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const layer_job *job = context;
  static const u16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (ptrdiff_t i = index * job->chunk; i < smaller((index + 1) * job->chunk, job->columns); i += 16) {
    ptrdiff_t n = job->columns - i;
    u16 bits = mix_lanes(((u16)(uint32_t)i + lanes) ^ (u16)job->key0);
    bits = mix_lanes(bits ^ (u16)(job->key1 + (uint32_t)((uint64_t)i >> 32)));
    v16 x = load_part(job->x + i, n, 0) * splat(job->number);
    x = bits >= (u16)job->threshold ? x : splat(0);
    store_part(job->out + i, job->w ? load_part(job->w + i, n, 0) + x : x, n);
  }
}

static void kernel_dropout_add(ptrdiff_t count, retort_dropout_mask mask, const float *base, const float *x, float *out) {
  uint64_t key = retort_random_bits(mask.seed, mask.stream, 0);
  layer_job job = {.columns = count, .x = x, .w = base, .out = out, .chunk = 8192, .number = 1.0f / (1.0f - mask.rate)};
  job.key0 = (uint32_t)key;
  job.key1 = (uint32_t)(key >> 32);
  job.threshold = (uint32_t)((double)mask.rate * 4294967296.0);
  run_tasks((count + 8191) / 8192, count * 2, dropout_task, &job);
}
