// Losses of rows of logits, and their gradients.

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

typedef struct mixed_job {
  ptrdiff_t rows, columns, ldl;
  float *logits;
  const int32_t *targets;
  const float *target_weights;
  float gradient_scale;
  const retort_teacher_rows *teacher;
  int gradient;
  retort_row_loss *losses;
} mixed_job;

/// The top-th largest of a row; −∞ where all are kept apart.
RETORT_INLINE float top_threshold(ptrdiff_t n, const float *t, ptrdiff_t top) {
  if (top <= 0 || top >= n) return -__builtin_inff();
  float best[RETORT_TOP_LIMIT];
  top = smaller(top, RETORT_TOP_LIMIT);
  for (ptrdiff_t i = 0; i < top; i++) best[i] = -__builtin_inff();
  for (ptrdiff_t j = 0; j < n; j++) {
    if (!(t[j] > best[top - 1])) continue;
    ptrdiff_t i = top - 1;
    for (; i > 0 && best[i - 1] < t[j]; i--) best[i] = best[i - 1];
    best[i] = t[j];
  }
  return best[top - 1];
}

/// A row against its teacher: both partitions, and the tail as a class of its own.
typedef struct teacher_row {
  const float *t;
  float threshold, partition, maximum, inverse;
  float t_partition, t_maximum, t_inverse;
  /// log(p_T / q_T), and q_T / p_T.
  float tail_gap, tail_ratio;
  int reverse;
  float divergence;
} teacher_row;

RETORT_INLINE teacher_row meet_teacher(const retort_teacher_rows *teacher, ptrdiff_t r, ptrdiff_t n, const float *z, float maximum,
                                       float sum, double partition) {
  teacher_row row = {.t = teacher->logits + r * teacher->ldt, .reverse = teacher->reverse};
  float t_sum;
  row_partition(n, row.t, &row.t_maximum, &t_sum);
  row.threshold = top_threshold(n, row.t, teacher->top);
  row.partition = (float)partition;
  row.t_partition = (float)((double)row.t_maximum + retort_log((double)t_sum));
  row.maximum = maximum, row.inverse = 1.0f / sum, row.t_inverse = 1.0f / t_sum;
  v16 apart = splat(0), p_tail = splat(0), q_tail = splat(0), none = splat(0), difference = splat(row.t_partition - row.partition);
  for (ptrdiff_t j = 0; j < n; j += 16) {
    v16 tv = load_part(row.t + j, n - j, -__builtin_inff());
    v16 p = exp16(load_part(z + j, n - j, -__builtin_inff()) - splat(maximum)) * splat(row.inverse);
    v16 q = exp16(tv - splat(row.t_maximum)) * splat(row.t_inverse);
    v16 gap = load_part(row.t + j, n - j, 0) - load_part(z + j, n - j, 0) - difference;
    i16 in = tv >= splat(row.threshold);
    apart = fma16(in ? (row.reverse ? -p : q) : none, gap, apart);
    p_tail = p_tail + (in ? none : p);
    q_tail = q_tail + (in ? none : q);
  }
  float mass = tree_sum(p_tail), t_mass = tree_sum(q_tail);
  mass = mass > 1e-30f ? mass : 1e-30f, t_mass = t_mass > 1e-30f ? t_mass : 1e-30f;
  row.tail_gap = (float)(retort_log((double)mass) - retort_log((double)t_mass));
  row.tail_ratio = t_mass / mass;
  row.divergence = tree_sum(apart);
  if (row.threshold > -__builtin_inff()) row.divergence = row.divergence + (row.reverse ? mass : -t_mass) * row.tail_gap;
  return row;
}

/// The divergence's gradient at 16 tokens whose probabilities are p.
RETORT_INLINE v16 teacher_gradient(const teacher_row *row, ptrdiff_t n, const float *z, ptrdiff_t j, v16 p) {
  v16 tv = load_part(row->t + j, n - j, 0);
  i16 in = tv >= splat(row->threshold);
  if (!row->reverse) {
    v16 q = exp16(tv - splat(row->t_maximum)) * splat(row->t_inverse);
    return p - (in ? q : p * splat(row->tail_ratio));
  }
  v16 gap = load_part(z + j, n - j, 0) - tv + splat(row->t_partition - row->partition);
  return p * ((in ? gap : splat(row->tail_gap)) - splat(row->divergence));
}

static void mixed_row(const mixed_job *job, ptrdiff_t r) {
  ptrdiff_t n = job->columns;
  float *z = job->logits + r * job->ldl, maximum, sum;
  row_partition(n, z, &maximum, &sum);
  double partition = (double)maximum + retort_log((double)sum);
  int32_t target = job->targets[r];
  retort_row_loss loss = {(float)(partition - (double)z[target]), 0, z[target] >= maximum};
  teacher_row row = {0};
  if (job->teacher) row = meet_teacher(job->teacher, r, n, z, maximum, sum, partition);
  loss.divergence = row.divergence;
  job->losses[r] = loss;
  if (!job->gradient) return;
  float weight = job->target_weights[r], scale = job->gradient_scale, at_target = 0;
  float share = job->teacher ? job->teacher->weights[r] : 0;
  for (ptrdiff_t j = 0; j < n; j += 16) {
    v16 p = exp16(load_part(z + j, n - j, 0) - splat(maximum)) * splat(1.0f / sum), g = p * splat(weight);
    if (job->teacher) g = fma16(teacher_gradient(&row, n, z, j, p), splat(share), g);
    if (target >= j && target < j + 16) at_target = (g[target - j] - weight) * scale;
    store_part(z + j, g * splat(scale), n - j);
  }
  z[target] = at_target;
}

static void mixed_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const mixed_job *job = context;
  for (ptrdiff_t r = index * 4; r < smaller((index + 1) * 4, job->rows); r++) mixed_row(job, r);
}

static void kernel_mixed_loss(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                              const float *target_weights, float gradient_scale, const retort_teacher_rows *teacher, int gradient,
                              retort_row_loss *losses) {
  mixed_job job = {rows, vocabulary, ldl, logits, targets, target_weights, gradient_scale, teacher, gradient, losses};
  run_tasks((rows + 3) / 4, rows * vocabulary * 16, mixed_task, &job);
}

typedef struct top_job {
  loss_job plain;
  const retort_top_rows *teacher;
} top_job;

/// Σ exp(x − maximum) over the tokens that are not known; summed by itself, because what is left of a sum can be nothing but rounding.
RETORT_INLINE float tail_partition(ptrdiff_t n, float *x, float maximum, ptrdiff_t count, const int32_t *tokens) {
  float known[RETORT_TOP_LIMIT];
  for (ptrdiff_t i = 0; i < count; i++) known[i] = x[tokens[i]], x[tokens[i]] = -__builtin_inff();
  v16 total = splat(0);
  for (ptrdiff_t j = 0; j < n; j += 16) total = total + exp16(load_part(x + j, n - j, -__builtin_inff()) - splat(maximum));
  for (ptrdiff_t i = 0; i < count; i++) x[tokens[i]] = known[i];
  return tree_sum(total);
}

static void top_row(const top_job *top, ptrdiff_t r) {
  const loss_job *job = &top->plain;
  const retort_top_rows *teacher = top->teacher;
  ptrdiff_t n = job->columns, start = teacher->starts[r], count = smaller(teacher->starts[r + 1] - start, RETORT_TOP_LIMIT);
  if (count <= 0) {
    loss_row(job, r);
    return;
  }
  const int32_t *tokens = teacher->tokens + start;
  const float *q = teacher->probabilities + start;
  float *z = job->logits + r * job->ldl, maximum, sum, g[RETORT_TOP_LIMIT], q_tail = teacher->tails[r], share = teacher->share;
  row_partition(n, z, &maximum, &sum);
  double partition = (double)maximum + retort_log((double)sum), divergence = 0;
  int32_t target = job->targets[r];
  float p_tail = tail_partition(n, z, maximum, count, tokens) / sum;
  p_tail = p_tail > 1e-30f ? p_tail : 1e-30f;
  for (ptrdiff_t i = 0; i < count; i++) {
    if (q[i] > 0) divergence += (double)q[i] * (retort_log((double)q[i]) - ((double)z[tokens[i]] - partition));
    g[i] = exp16(splat(z[tokens[i]] - maximum))[0] * (1.0f / sum) - share * q[i];
  }
  if (q_tail > 0) divergence += (double)q_tail * (retort_log((double)q_tail) - retort_log((double)p_tail));
  job->losses[r] = (retort_row_loss){(float)(partition - (double)z[target]), (float)divergence, z[target] >= maximum};
  if (!job->gradient) return;
  float scale = job->weights[r] * job->gradient_scale;
  v16 inverse = splat(1.0f / sum), scales = splat(scale * (1.0f - share * (q_tail / p_tail)));
  for (ptrdiff_t j = 0; j < n; j += 16)
    store_part(z + j, exp16(load_part(z + j, n - j, 0) - splat(maximum)) * inverse * scales, n - j);
  for (ptrdiff_t i = 0; i < count; i++) z[tokens[i]] = g[i] * scale;
  z[target] = z[target] - (1.0f - share) * scale;
}

static void top_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const top_job *job = context;
  for (ptrdiff_t r = index * 4; r < smaller((index + 1) * 4, job->plain.rows); r++) top_row(job, r);
}

static void kernel_top_loss(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                            const float *weights, float gradient_scale, const retort_top_rows *teacher, int gradient,
                            retort_row_loss *losses) {
  top_job job = {{rows, vocabulary, ldl, 0, logits, targets, weights, NULL, gradient_scale, 0, gradient, losses}, teacher};
  run_tasks((rows + 3) / 4, rows * vocabulary * 12, top_task, &job);
}
