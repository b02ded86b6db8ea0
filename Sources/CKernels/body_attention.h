// Causal attention over packed or cached sequences. A task is one (sequence, key head) with all its query heads, so that it alone owns
// dk and dv. Scores and outputs go through the register tiles of body_products.h; short sequences stay in the first-level cache.

typedef struct attention_job {
  const retort_sequence *sequences;
  const retort_sequence_gradient *gradients;
  ptrdiff_t key_heads, group, size, width, worker_floats;
  float scale;
  float *scratch;
} attention_job;

/// One thread's scratch for one task. Rows of `p` and `ds` are `padded` apart.
typedef struct attention_space {
  float *keys_turned, *values_turned, *keys, *values, *queries, *dout, *p, *ds;
  ptrdiff_t padded;
} attention_space;

static attention_space attention_space_of(const attention_job *job, ptrdiff_t keys, int worker) {
  attention_space s;
  s.padded = round_up(keys, 16);
  s.keys_turned = job->scratch + worker * job->worker_floats;
  s.values_turned = s.keys_turned + s.padded * job->size;
  s.keys = s.values_turned + s.padded * job->size;
  s.values = s.keys + s.padded * job->width;
  s.queries = s.values + s.padded * job->width;
  s.dout = s.queries + RETORT_ATTENTION_BLOCK * job->width;
  s.p = s.dout + RETORT_ATTENTION_BLOCK * job->width;
  s.ds = s.p + RETORT_ATTENTION_BLOCK * s.padded;
  return s;
}

/// Panels [key panel][channel][16] of the transpose of x [keys, size].
static void turn_keys(ptrdiff_t keys, ptrdiff_t size, const float *x, ptrdiff_t ldx, float *out) {
  for (ptrdiff_t j = 0; j < keys; j += 16) pack_rows(smaller(16, keys - j), size, x + j * ldx, ldx, out + j * size);
}

static void copy_wide(const attention_job *job, ptrdiff_t rows, const float *x, ptrdiff_t ldx, float *copy) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    memcpy(copy + r * job->width, x + r * ldx, (size_t)job->size * sizeof(float));
    memset(copy + r * job->width + job->size, 0, (size_t)(job->width - job->size) * sizeof(float));
  }
}

/// Rows that can be loaded 16 channels at a time: x itself, or a zero-padded copy where the head size is no multiple of 16.
static const float *wide_rows(const attention_job *job, ptrdiff_t rows, const float *x, ptrdiff_t *ldx, float *copy) {
  if (job->size == job->width) return x;
  copy_wide(job, rows, x, *ldx, copy);
  *ldx = job->width;
  return copy;
}

/// As wide_rows, one head's keys (or values) of a sequence: side by side in the copy where some of them are another sequence's.
static const float *wide_keys(const attention_job *job, const retort_sequence *q, const float *prefix, const float *own, ptrdiff_t key_head,
                              ptrdiff_t *ldx, float *copy) {
  ptrdiff_t column = key_head * job->size;
  if (q->prefix == 0) return wide_rows(job, q->keys, own + column, ldx, copy);
  copy_wide(job, q->prefix, prefix + column, *ldx, copy);
  copy_wide(job, q->keys - q->prefix, own + column, *ldx, copy + q->prefix * job->width);
  *ldx = job->width;
  return copy;
}

/// Scores to probabilities over the first `limit` keys; zero up to `padded`.
RETORT_INLINE void softmax_row(float *x, ptrdiff_t limit, ptrdiff_t padded, float scale) {
  static const i16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const v16 lowest = splat(-__builtin_inff());
  v16 maximum = lowest, sum = splat(0);
  for (ptrdiff_t j = 0; j < limit; j += 16) {
    v16 s = load(x + j) * splat(scale);
    s = lanes < (i16)(int32_t)(limit - j) ? s : lowest;
    store(x + j, s);
    maximum = s > maximum ? s : maximum;
  }
  v16 top = splat(tree_maximum(maximum));
  for (ptrdiff_t j = 0; j < limit; j += 16) {
    v16 e = exp16(load(x + j) - top);
    store(x + j, e);
    sum = sum + e;
  }
  v16 inverse = splat(1.0f / tree_sum(sum));
  for (ptrdiff_t j = 0; j < limit; j += 16) store(x + j, load(x + j) * inverse);
  for (ptrdiff_t j = round_up(limit, 16); j < padded; j += 16) store(x + j, splat(0));
}

/// Probabilities of the query rows first..<first + rows of one head into s.p.
static void attention_probabilities(const attention_job *job, const retort_sequence *q, const attention_space *s, const float *turned,
                                    ptrdiff_t head, ptrdiff_t first, ptrdiff_t rows) {
  ptrdiff_t past = q->keys - q->queries;
  ptrdiff_t padded = round_up(past + first + rows, 16);
  for (ptrdiff_t i = 0; i < rows; i += MR) {
    ptrdiff_t count = smaller(MR, rows - i), limit = past + first + i + count;
    row_of_tiles((int)count, 1, round_up(limit, 16), job->size, q->q + (first + i) * q->ldq + head * job->size, q->ldq, turned, 16,
                 16 * job->size, s->p + i * s->padded, s->padded, START_ZERO, NULL);
    for (ptrdiff_t r = 0; r < count; r++) softmax_row(s->p + (i + r) * s->padded, past + first + i + r + 1, padded, job->scale);
  }
}

/// One query row: the heads that share the keys are the rows of the tiles, so that there are chains enough to hide their latency.
static void attention_single(const attention_job *job, const retort_sequence *q, const attention_space *s, const float *turned,
                             const float *values, ptrdiff_t ldv, ptrdiff_t key_head) {
  ptrdiff_t size = job->size, keys = q->keys, padded = round_up(keys, 16);
  for (ptrdiff_t i = 0; i < job->group; i += MR) {
    ptrdiff_t count = smaller(MR, job->group - i), head = key_head * job->group + i;
    row_of_tiles((int)count, 1, padded, size, q->q + head * size, size, turned, 16, 16 * size, s->p, s->padded, START_ZERO, NULL);
    for (ptrdiff_t r = 0; r < count; r++) softmax_row(s->p + r * s->padded, keys, padded, job->scale);
    row_of_tiles((int)count, 1, size, keys, s->p, s->padded, values, ldv, 16, q->out + head * size, size, START_ZERO, NULL);
  }
}

static void attention_forward_task(void *context, ptrdiff_t index, int worker) {
  const attention_job *job = context;
  const retort_sequence *q = job->sequences + index / job->key_heads;
  ptrdiff_t key_head = index % job->key_heads, past = q->keys - q->queries, size = job->size;
  attention_space s = attention_space_of(job, q->keys, worker);
  const float *turned = s.keys_turned;
  if (q->turned) {
    turned = q->turned + key_head * q->turned_stride;
  } else {
    ptrdiff_t ldk = q->ldk;
    const float *keys = wide_keys(job, q, q->prefix_k, q->k, key_head, &ldk, s.keys);
    turn_keys(q->keys, size, keys, ldk, s.keys_turned);
  }
  ptrdiff_t ldv = q->ldv;
  const float *values = wide_keys(job, q, q->prefix_v, q->v, key_head, &ldv, s.values);
  if (q->queries == 1) {
    attention_single(job, q, &s, turned, values, ldv, key_head);
    return;
  }
  for (ptrdiff_t head = key_head * job->group; head < (key_head + 1) * job->group; head++) {
    for (ptrdiff_t first = 0; first < q->queries; first += RETORT_ATTENTION_BLOCK) {
      ptrdiff_t rows = smaller(RETORT_ATTENTION_BLOCK, q->queries - first);
      attention_probabilities(job, q, &s, turned, head, first, rows);
      for (ptrdiff_t i = 0; i < rows; i += MR) {
        ptrdiff_t count = smaller(MR, rows - i);
        row_of_tiles((int)count, 1, size, past + first + i + count, s.p + i * s.padded, s.padded, values, ldv, 16,
                     q->out + (first + i) * q->ldo + head * size, q->ldo, START_ZERO, NULL);
      }
    }
  }
}

static void kernel_attention_forward(const retort_sequence *sequences, ptrdiff_t count, ptrdiff_t heads, ptrdiff_t key_value_heads,
                                     ptrdiff_t head_size, float scale, float *scratch, int threads) {
  attention_job job = {.sequences = sequences, .key_heads = key_value_heads, .group = heads / key_value_heads, .size = head_size,
                       .width = round_up(head_size, 16), .scale = scale, .scratch = scratch};
  ptrdiff_t longest = 0, work = 0;
  for (ptrdiff_t i = 0; i < count; i++) {
    if (sequences[i].keys > longest) longest = sequences[i].keys;
    work += (ptrdiff_t)sequences[i].keys * (sequences[i].queries + 1) * heads * head_size;
  }
  job.worker_floats = (ptrdiff_t)retort_attention_scratch(longest, head_size, 1);
  run_tasks_limited(count * key_value_heads, work, threads, attention_forward_task, &job);
}

/// s.ds = p ∘ (dp − Σ p·dp) · scale for the block's rows, dp = dout·vᵀ; also dq.
static void attention_score_gradients(const attention_job *job, const retort_sequence *q, const retort_sequence_gradient *g,
                                      const attention_space *s, const float *keys, ptrdiff_t ldk, ptrdiff_t head, ptrdiff_t first,
                                      ptrdiff_t rows) {
  ptrdiff_t size = job->size, padded = round_up(q->prefix + first + rows, 16);
  for (ptrdiff_t i = 0; i < rows; i += MR) {
    ptrdiff_t count = smaller(MR, rows - i), limit = q->prefix + first + i + count, columns = round_up(limit, 16);
    row_of_tiles((int)count, 1, columns, size, g->dout + (first + i) * q->ldo + head * size, q->ldo, s->values_turned, 16, 16 * size,
                 s->ds + i * s->padded, s->padded, START_ZERO, NULL);
    for (ptrdiff_t r = i; r < i + count; r++) {
      float *p = s->p + r * s->padded, *ds = s->ds + r * s->padded;
      v16 sum = splat(0);
      for (ptrdiff_t j = 0; j < columns; j += 16) sum = fma16(load(p + j), load(ds + j), sum);
      v16 mean = splat(tree_sum(sum));
      for (ptrdiff_t j = 0; j < columns; j += 16) store(ds + j, load(p + j) * (load(ds + j) - mean) * splat(job->scale));
      for (ptrdiff_t j = columns; j < padded; j += 16) store(ds + j, splat(0));
    }
    row_of_tiles((int)count, 1, size, limit, s->ds + i * s->padded, s->padded, keys, ldk, 16, g->dq + (first + i) * q->ldq + head * size,
                 q->ldq, START_ZERO, NULL);
  }
}

/// out[keys, size] += weightsᵀ·x for one block of query rows, whose weights begin at key `key`; key j of these takes no part before
/// query row j − ahead.
static void attention_key_gradients(const attention_job *job, const attention_space *s, const float *weights, ptrdiff_t key, ptrdiff_t keys,
                                    ptrdiff_t ahead, const float *x, ptrdiff_t ldx, float *out, ptrdiff_t ldo, ptrdiff_t rows) {
  for (ptrdiff_t j = 0; j < keys; j += MR) {
    ptrdiff_t count = smaller(MR, keys - j), skip = j > ahead ? j - ahead : 0;
    row_of_tiles((int)count, 0, job->size, rows - skip, weights + skip * s->padded + key + j, s->padded, x + skip * ldx, ldx, 16,
                 out + j * ldo, ldo, START_C, NULL);
  }
}

/// One sequence's gradients of one key head; those of its prefix's keys are added to what is there.
static void attention_backward_sequence(const attention_job *job, const retort_sequence *q, const retort_sequence_gradient *g,
                                        ptrdiff_t key_head, int worker) {
  ptrdiff_t size = job->size, column = key_head * size, prefix = q->prefix;
  attention_space s = attention_space_of(job, q->keys, worker);
  ptrdiff_t ldk = q->ldk, ldv = q->ldv;
  const float *keys = wide_keys(job, q, q->prefix_k, q->k, key_head, &ldk, s.keys);
  const float *values = wide_keys(job, q, q->prefix_v, q->v, key_head, &ldv, s.values);
  turn_keys(q->keys, size, keys, ldk, s.keys_turned);
  turn_keys(q->keys, size, values, ldv, s.values_turned);
  float *dk = g->dk + column, *dv = g->dv + column;
  for (ptrdiff_t j = 0; j < q->queries; j++) {
    memset(dk + j * q->ldk, 0, (size_t)size * sizeof(float));
    memset(dv + j * q->ldv, 0, (size_t)size * sizeof(float));
  }
  for (ptrdiff_t head = key_head * job->group; head < (key_head + 1) * job->group; head++) {
    for (ptrdiff_t first = 0; first < q->queries; first += RETORT_ATTENTION_BLOCK) {
      ptrdiff_t rows = smaller(RETORT_ATTENTION_BLOCK, q->queries - first), ldq = q->ldq, ldo = q->ldo;
      attention_probabilities(job, q, &s, s.keys_turned, head, first, rows);
      attention_score_gradients(job, q, g, &s, keys, ldk, head, first, rows);
      const float *queries = wide_rows(job, rows, q->q + first * q->ldq + head * size, &ldq, s.queries);
      const float *dout = wide_rows(job, rows, g->dout + first * q->ldo + head * size, &ldo, s.dout);
      if (prefix > 0) {
        attention_key_gradients(job, &s, s.ds, 0, prefix, prefix, queries, ldq, g->prefix_dk + column, q->ldk, rows);
        attention_key_gradients(job, &s, s.p, 0, prefix, prefix, dout, ldo, g->prefix_dv + column, q->ldv, rows);
      }
      attention_key_gradients(job, &s, s.ds, prefix, first + rows, first, queries, ldq, dk, q->ldk, rows);
      attention_key_gradients(job, &s, s.p, prefix, first + rows, first, dout, ldo, dv, q->ldv, rows);
    }
  }
}

/// A sequence, and behind it those that continue it, in their order: they add to its keys' gradients.
static void attention_backward_task(void *context, ptrdiff_t index, int worker) {
  const attention_job *job = context;
  ptrdiff_t sequence = index / job->key_heads, key_head = index % job->key_heads;
  if (job->sequences[sequence].prefix > 0) return;
  do {
    attention_backward_sequence(job, job->sequences + sequence, job->gradients + sequence, key_head, worker);
    sequence = job->gradients[sequence].next;
  } while (sequence > 0);
}

static void kernel_attention_backward(const retort_sequence *sequences, const retort_sequence_gradient *gradients, ptrdiff_t count,
                                      ptrdiff_t heads, ptrdiff_t key_value_heads, ptrdiff_t head_size, float scale, float *scratch,
                                      int threads) {
  attention_job job = {.sequences = sequences, .gradients = gradients, .key_heads = key_value_heads, .group = heads / key_value_heads,
                       .size = head_size, .width = round_up(head_size, 16), .scale = scale, .scratch = scratch};
  ptrdiff_t longest = 0, work = 0;
  for (ptrdiff_t i = 0; i < count; i++) {
    if (sequences[i].keys > longest) longest = sequences[i].keys;
    work += (ptrdiff_t)sequences[i].keys * sequences[i].keys * heads * head_size * 3;
  }
  job.worker_floats = (ptrdiff_t)retort_attention_scratch(longest, head_size, 1);
  run_tasks_limited(count * key_value_heads, work, threads, attention_backward_task, &job);
}
