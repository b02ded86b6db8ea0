// Softmax, norms, optimizer.

typedef struct softmax_job {
  ptrdiff_t rows, columns, ldx, ldo;
  const float *x;
  float *out;
  int logarithm;
} softmax_job;

static void softmax_task(void *context, ptrdiff_t r, int worker) {
  (void)worker;
  const softmax_job *job = context;
  ptrdiff_t n = job->columns;
  const float *x = job->x + r * job->ldx;
  float maximum, sum;
  row_partition(n, x, &maximum, &sum);
  float partition = (float)retort_log((double)sum), inverse = 1.0f / sum;
  for (ptrdiff_t j = 0; j < n; j += 16) {
    v16 v = load_part(x + j, n - j, 0) - splat(maximum);
    store_part(job->out + r * job->ldo + j, job->logarithm ? v - splat(partition) : exp16(v) * splat(inverse), n - j);
  }
}

static void kernel_softmax_rows(ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *out, ptrdiff_t ldo,
                                int logarithm) {
  softmax_job job = {rows, columns, ldx, ldo, x, out, logarithm};
  run_tasks(rows, rows * columns * 8, softmax_task, &job);
}

typedef struct norm_job {
  ptrdiff_t count;
  const float *x;
  double *partial;
} norm_job;

static void norm_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const norm_job *job = context;
  ptrdiff_t end = smaller((index + 1) * RETORT_NORM_BLOCK, job->count);
  v16 sum = splat(0);
  for (ptrdiff_t i = index * RETORT_NORM_BLOCK; i < end; i += 16) {
    v16 x = load_part(job->x + i, end - i, 0);
    sum = fma16(x, x, sum);
  }
  job->partial[index] = (double)tree_sum(sum);
}

static void kernel_squared_norm_blocks(ptrdiff_t count, const float *x, double *scratch) {
  norm_job job = {count, x, scratch};
  run_tasks((count + RETORT_NORM_BLOCK - 1) / RETORT_NORM_BLOCK, count, norm_task, &job);
}

typedef struct adamw_job {
  const retort_range *ranges;
  ptrdiff_t range_count, end;
  float *p;
  const float *g;
  float *m, *v;
  float keep, share1, beta2, share2, step_size, root, epsilon, scale;
} adamw_job;

#define ADAMW_CHUNK 16384

static void adamw_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const adamw_job *job = context;
  ptrdiff_t low = index * ADAMW_CHUNK, high = low + ADAMW_CHUNK;
  const v16 b1 = splat(job->share1), b2 = splat(job->share2);
  for (ptrdiff_t k = 0; k < job->range_count; k++) {
    const retort_range *range = job->ranges + k;
    ptrdiff_t i = range->start > low ? range->start : low, end = smaller(range->start + range->count, high);
    v16 keep = splat(range->decays ? job->keep : 1.0f);
    for (; i < end; i += 16) {
      ptrdiff_t n = end - i;
      v16 g = load_part(job->g + i, n, 0) * splat(job->scale);
      v16 m = load_part(job->m + i, n, 0), v = load_part(job->v + i, n, 0);
      m = fma16(b1, g - m, m);
      v = fma16(b2 * g, g, v * splat(job->beta2));
      v16 denominator = __builtin_elementwise_sqrt(v) / splat(job->root) + splat(job->epsilon);
      v16 p = load_part(job->p + i, n, 0) * keep;
      p = p - splat(job->step_size) * (m / denominator);
      store_part(job->m + i, m, n);
      store_part(job->v + i, v, n);
      store_part(job->p + i, p, n);
    }
  }
}

/// What every element's update has in common.
static adamw_job adamw_constants(retort_adamw_settings s) {
  double power1 = 1, power2 = 1, square1 = s.beta1, square2 = s.beta2;
  for (int64_t step = s.step; step > 0; step >>= 1, square1 *= square1, square2 *= square2)
    if (step & 1) power1 *= square1, power2 *= square2;
  adamw_job job = {.keep = (float)(1 - s.learning_rate * s.weight_decay)};
  job.share1 = (float)(1 - s.beta1);
  job.share2 = (float)(1 - s.beta2);
  job.beta2 = (float)s.beta2;
  job.step_size = (float)(s.learning_rate / (1 - power1));
  job.root = (float)__builtin_elementwise_sqrt(1 - power2);
  job.epsilon = (float)s.epsilon;
  job.scale = (float)s.gradient_scale;
  return job;
}

static void kernel_adamw(const retort_range *ranges, ptrdiff_t range_count, float *parameters, const float *gradients, float *m, float *v,
                         retort_adamw_settings s) {
  adamw_job job = adamw_constants(s);
  job.ranges = ranges;
  job.range_count = range_count;
  job.p = parameters;
  job.g = gradients;
  job.m = m;
  job.v = v;
  for (ptrdiff_t i = 0; i < range_count; i++)
    if (ranges[i].start + ranges[i].count > job.end) job.end = ranges[i].start + ranges[i].count;
  run_tasks((job.end + ADAMW_CHUNK - 1) / ADAMW_CHUNK, job.end * 4, adamw_task, &job);
}

typedef struct stored_adamw_job {
  retort_moment_type type;
  ptrdiff_t count, first;
  float *p;
  const float *g;
  retort_moments m, v;
  adamw_job settings;
  float keep;
  uint32_t key0, key1;
} stored_adamw_job;

/// The first and second moments of one block as floats.
RETORT_INLINE void load_moments(const int is_bfloat, const stored_adamw_job *job, ptrdiff_t i, ptrdiff_t n, v16 *m, v16 *v) {
  if (is_bfloat) {
    *m = gemm_load(1, job->m.values, i, n);
    *v = gemm_load(1, job->v.values, i, n);
    return;
  }
  b16 codes_m = (b16)0, codes_v = (b16)0;
  memcpy(&codes_m, (const int8_t *)job->m.values + i, (size_t)smaller(n, 16));
  memcpy(&codes_v, (const int8_t *)job->v.values + i, (size_t)smaller(n, 16));
  v16 a = __builtin_convertvector(__builtin_convertvector(codes_m, i16), v16) * splat(1.0f / 127.0f);
  v16 b = __builtin_convertvector(__builtin_convertvector(codes_v, i16) & 255, v16) * splat(1.0f / 255.0f);
  v16 root = b * b * splat(job->v.scales[i / RETORT_MOMENT_BLOCK]);
  *m = a * __builtin_elementwise_abs(a) * splat(job->m.scales[i / RETORT_MOMENT_BLOCK]);
  *v = root * root;
}

/// Random bits of elements first + i…: the low 16 round the first moment, the high 16 the second.
RETORT_INLINE u16 moment_noise(const stored_adamw_job *job, ptrdiff_t i) {
  static const u16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  uint64_t at = (uint64_t)(job->first + i);
  u16 low = (u16)(uint32_t)at + lanes;
  u16 high = (u16)(uint32_t)(at >> 32) + (low < (u16)(uint32_t)at ? (u16)1 : (u16)0);
  return mix_lanes(mix_lanes(low ^ (u16)job->key0) ^ ((u16)job->key1 + high));
}

/// Rounds to bfloat16, up with the probability that keeps the mean.
RETORT_INLINE void store_bfloat_moment(uint16_t *out, v16 x, u16 noise, ptrdiff_t n) {
  h16 halves = __builtin_convertvector((__builtin_bit_cast(u16, x) + noise) >> 16, h16);
  if (n >= 16) *(h16_unaligned *)out = halves; else memcpy(out, &halves, (size_t)n * 2);
}

/// Codes c of 16 magnitudes, worth scale · (c / unit)², rounded up with the probability that keeps the mean.
RETORT_INLINE i16 moment_codes(v16 magnitude, float inverse, float unit, u16 noise) {
  v16 y = magnitude * splat(inverse) * splat(unit * unit);
  i16 low = __builtin_convertvector(__builtin_elementwise_sqrt(y), i16);
  v16 code = __builtin_convertvector(low, v16);
  // Between c² and (c + 1)²; the root's own rounding may leave y a little below c².
  v16 rest = fma16(-code, code, y) / fma16(code, splat(2.0f), splat(1.0f));
  low = __builtin_convertvector(noise, v16) * splat(0x1p-16f) < rest ? low + 1 : low;
  return low > (i16)(int32_t)unit ? (i16)(int32_t)unit : low;
}

static void store_byte_moments(const stored_adamw_job *job, ptrdiff_t at, ptrdiff_t n, const float *m, const float *v) {
  v16 top_m = splat(0), top_v = splat(0);
  for (ptrdiff_t i = 0; i < n; i += 16) {
    v16 a = __builtin_elementwise_abs(load_part(m + i, n - i, 0)), b = load_part(v + i, n - i, 0);
    top_m = a > top_m ? a : top_m;
    top_v = b > top_v ? b : top_v;
  }
  float scale_m = tree_maximum(top_m), scale_v = __builtin_elementwise_sqrt(tree_maximum(top_v));
  float inverse_m = scale_m > 0 ? 1.0f / scale_m : 0, inverse_v = scale_v > 0 ? 1.0f / scale_v : 0;
  job->m.scales[at / RETORT_MOMENT_BLOCK] = scale_m;
  job->v.scales[at / RETORT_MOMENT_BLOCK] = scale_v;
  for (ptrdiff_t i = 0; i < n; i += 16) {
    v16 x = load_part(m + i, n - i, 0), root = __builtin_elementwise_sqrt(load_part(v + i, n - i, 0));
    u16 noise = moment_noise(job, at + i);
    i16 a = moment_codes(__builtin_elementwise_abs(x), inverse_m, 127, noise & 0xffff);
    i16 b = moment_codes(root, inverse_v, 255, noise >> 16);
    // Not below 2: so the least first moment (scale / 127²) is at most one whole step, were the scales the same.
    b = root > splat(0) && b < 2 ? (i16)2 : b;
    b16 codes_m = __builtin_convertvector(x < splat(0) ? -a : a, b16), codes_v = __builtin_convertvector(b, b16);
    memcpy((int8_t *)job->m.values + at + i, &codes_m, (size_t)smaller(n - i, 16));
    memcpy((int8_t *)job->v.values + at + i, &codes_v, (size_t)smaller(n - i, 16));
  }
}

/// One block of up to RETORT_MOMENT_BLOCK elements.
RETORT_INLINE void stored_adamw_block(const int is_bfloat, const stored_adamw_job *job, ptrdiff_t at, ptrdiff_t count) {
  float ms[RETORT_MOMENT_BLOCK], vs[RETORT_MOMENT_BLOCK];
  const adamw_job *s = &job->settings;
  for (ptrdiff_t i = 0; i < count; i += 16) {
    ptrdiff_t n = count - i;
    v16 g = load_part(job->g + at + i, n, 0) * splat(s->scale), m, v;
    load_moments(is_bfloat, job, at + i, n, &m, &v);
    m = fma16(splat(s->share1), g - m, m);
    v = fma16(splat(s->share2) * g, g, v * splat(s->beta2));
    v16 denominator = __builtin_elementwise_sqrt(v) / splat(s->root) + splat(s->epsilon);
    v16 p = load_part(job->p + at + i, n, 0) * splat(job->keep);
    store_part(job->p + at + i, p - splat(s->step_size) * (m / denominator), n);
    if (is_bfloat) {
      u16 noise = moment_noise(job, at + i);
      store_bfloat_moment((uint16_t *)job->m.values + at + i, m, noise & 0xffff, n);
      store_bfloat_moment((uint16_t *)job->v.values + at + i, v, noise >> 16, n);
    } else {
      store(ms + i, m);
      store(vs + i, v);
    }
  }
  if (!is_bfloat) store_byte_moments(job, at, count, ms, vs);
}

static void stored_adamw_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const stored_adamw_job *job = context;
  for (ptrdiff_t at = index * ADAMW_CHUNK; at < smaller((index + 1) * ADAMW_CHUNK, job->count); at += RETORT_MOMENT_BLOCK) {
    ptrdiff_t count = smaller(RETORT_MOMENT_BLOCK, job->count - at);
    if (job->type == RETORT_MOMENT_BF16) stored_adamw_block(1, job, at, count); else stored_adamw_block(0, job, at, count);
  }
}

static void kernel_adamw_stored(retort_moment_type type, ptrdiff_t count, int decays, float *parameters, const float *gradients,
                                retort_moments m, retort_moments v, retort_adamw_settings s, ptrdiff_t first) {
  uint64_t key = retort_random_bits(0x6d6f6d656e7473, (uint64_t)s.step, 0);
  stored_adamw_job job = {.type = type, .count = count, .first = first, .p = parameters, .g = gradients, .m = m, .v = v,
                          .settings = adamw_constants(s), .key0 = (uint32_t)key, .key1 = (uint32_t)(key >> 32)};
  job.keep = decays ? job.settings.keep : 1.0f;
  run_tasks((count + ADAMW_CHUNK - 1) / ADAMW_CHUNK, count * 4, stored_adamw_task, &job);
}
