// Losses, norms, optimizer.

typedef struct loss_job {
  ptrdiff_t rows, columns, ldl, ldt;
  float *logits;
  const int32_t *targets;
  const float *weights, *teacher;
  float gradient_scale, kl_weight;
  int gradient;
  retort_row_loss *losses;
} loss_job;

/// Maximum of a row and Σ exp(x − maximum).
RETORT_INLINE void row_partition(ptrdiff_t n, const float *x, float *maximum, float *sum) {
  v16 top = splat(-__builtin_inff()), total = splat(0);
  for (ptrdiff_t j = 0; j < n; j += 16) {
    v16 v = load_part(x + j, n - j, -__builtin_inff());
    top = v > top ? v : top;
  }
  *maximum = tree_maximum(top);
  for (ptrdiff_t j = 0; j < n; j += 16) total = total + exp16(load_part(x + j, n - j, -__builtin_inff()) - splat(*maximum));
  *sum = tree_sum(total);
}

/// KL(teacher ‖ student) of one row.
RETORT_INLINE float row_divergence(ptrdiff_t n, const float *z, const float *t, float t_maximum, float t_sum, float difference) {
  v16 inverse = splat(1.0f / t_sum), sum = splat(0);
  for (ptrdiff_t j = 0; j < n; j += 16) {
    v16 tv = load_part(t + j, n - j, -__builtin_inff());
    v16 gap = load_part(t + j, n - j, 0) - load_part(z + j, n - j, 0);
    sum = fma16(exp16(tv - splat(t_maximum)) * inverse, gap, sum);
  }
  return tree_sum(sum) - difference;
}

static void loss_row(const loss_job *job, ptrdiff_t r) {
  ptrdiff_t n = job->columns;
  float *z = job->logits + r * job->ldl;
  const float *t = job->teacher ? job->teacher + r * job->ldt : NULL;
  float maximum, sum, t_maximum = 0, t_sum = 1;
  row_partition(n, z, &maximum, &sum);
  double partition = (double)maximum + retort_log((double)sum);
  int32_t target = job->targets[r];
  retort_row_loss loss = {(float)(partition - (double)z[target]), 0, z[target] >= maximum};
  if (t) {
    row_partition(n, t, &t_maximum, &t_sum);
    double t_partition = (double)t_maximum + retort_log((double)t_sum);
    loss.divergence = row_divergence(n, z, t, t_maximum, t_sum, (float)(t_partition - partition));
  }
  job->losses[r] = loss;
  if (!job->gradient) return;
  float scale = job->weights[r] * job->gradient_scale, share = t ? job->kl_weight : 0;
  v16 inverse = splat(1.0f / sum), t_inverse = splat(share / t_sum), scales = splat(scale);
  float at_target = exp16(splat(z[target] - maximum))[0] * inverse[0] - (1.0f - share);
  if (t) at_target = at_target - exp16(splat(t[target] - t_maximum))[0] * t_inverse[0];
  for (ptrdiff_t j = 0; j < n; j += 16) {
    v16 p = exp16(load_part(z + j, n - j, 0) - splat(maximum)) * inverse;
    if (t) p = p - exp16(load_part(t + j, n - j, 0) - splat(t_maximum)) * t_inverse;
    store_part(z + j, p * scales, n - j);
  }
  z[target] = at_target * scale;
}

static void loss_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const loss_job *job = context;
  for (ptrdiff_t r = index * 4; r < smaller((index + 1) * 4, job->rows); r++) loss_row(job, r);
}

static void kernel_cross_entropy(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                                 const float *weights, float gradient_scale, const float *teacher, ptrdiff_t ldt, float kl_weight,
                                 int gradient, retort_row_loss *losses) {
  loss_job job = {rows, vocabulary, ldl, ldt, logits, targets, weights, teacher, gradient_scale, kl_weight, gradient, losses};
  run_tasks((rows + 3) / 4, rows * vocabulary * 8, loss_task, &job);
}

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

static void kernel_adamw(const retort_range *ranges, ptrdiff_t range_count, float *parameters, const float *gradients, float *m, float *v,
                         retort_adamw_settings s) {
  double power1 = 1, power2 = 1, square1 = s.beta1, square2 = s.beta2;
  for (int64_t step = s.step; step > 0; step >>= 1, square1 *= square1, square2 *= square2)
    if (step & 1) power1 *= square1, power2 *= square2;
  adamw_job job = {.ranges = ranges, .range_count = range_count, .p = parameters, .g = gradients, .m = m, .v = v};
  job.keep = (float)(1 - s.learning_rate * s.weight_decay);
  job.share1 = (float)(1 - s.beta1);
  job.share2 = (float)(1 - s.beta2);
  job.beta2 = (float)s.beta2;
  job.step_size = (float)(s.learning_rate / (1 - power1));
  job.root = (float)__builtin_elementwise_sqrt(1 - power2);
  job.epsilon = (float)s.epsilon;
  job.scale = (float)s.gradient_scale;
  for (ptrdiff_t i = 0; i < range_count; i++)
    if (ranges[i].start + ranges[i].count > job.end) job.end = ranges[i].start + ranges[i].count;
  run_tasks((job.end + ADAMW_CHUNK - 1) / ADAMW_CHUNK, job.end * 4, adamw_task, &job);
}
