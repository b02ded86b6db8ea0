// Plain scalar versions, one loop nest each. See retort_reference.h for which are equal bit for bit and which to rounding.

#include "quantized.h"

#pragma STDC FP_CONTRACT OFF

/// The lanes-and-tree sum of the definition, over terms given by index.
#define LANE_SUM(result, count, term)                                        \
  do {                                                                       \
    float lanes[16] = {0};                                                   \
    for (ptrdiff_t i = 0; i < (count); i++) lanes[i % 16] = (term);          \
    for (int width = 8; width >= 1; width /= 2)                              \
      for (int l = 0; l < width; l++) lanes[l] = lanes[l] + lanes[l + width]; \
    result = lanes[0];                                                       \
  } while (0)

static float fma_scalar(float a, float b, float c) { return __builtin_elementwise_fma(a, b, c); }

void retort_reference_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b,
                           ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias, int accumulate) {
  uint64_t saved = retort_enter_numerics();
  for (ptrdiff_t i = 0; i < m; i++) {
    for (ptrdiff_t j = 0; j < n; j++) {
      float sum = accumulate ? c[i * ldc + j] : bias ? bias[j] : 0;
      for (ptrdiff_t p = 0; p < k; p++)
        sum = fma_scalar(layout == RETORT_TN ? a[p * lda + i] : a[i * lda + p], layout == RETORT_NT ? b[j * ldb + p] : b[p * ldb + j], sum);
      c[i * ldc + j] = sum;
    }
  }
  retort_leave_numerics(saved);
}

/// To the nearest bfloat16, ties to even, denormals to zero, as fp32.
static float reference_to_bfloat16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000) == 0) {
    bits &= 0x80000000;
  } else if ((bits & 0x7fffffff) > 0x7f800000) {
    bits = (bits | 0x00400000) & 0xffff0000;
  } else {
    uint32_t rest = bits & 0xffff, odd = bits >> 16 & 1;
    bits = (bits & 0xffff0000) + (rest > 0x8000 || (rest == 0x8000 && odd) ? 0x10000 : 0);
  }
  memcpy(&x, &bits, 4);
  return x;
}

static float reference_from_bfloat16(uint16_t x) {
  uint32_t bits = (uint32_t)x << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

void retort_reference_bfloat_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda,
                                  const void *b, int b_is_bfloat, ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias,
                                  int accumulate) {
  uint64_t saved = retort_enter_numerics();
  for (ptrdiff_t i = 0; i < m; i++) {
    for (ptrdiff_t j = 0; j < n; j++) {
      float sum = accumulate ? c[i * ldc + j] : bias ? bias[j] : 0;
      for (ptrdiff_t pair = 0; pair < k; pair += 2) {
        for (ptrdiff_t p = pair + 1; p >= pair; p--) {
          float x = 0, y = 0;
          if (p < k) {
            ptrdiff_t at = layout == RETORT_NT ? j * ldb + p : p * ldb + j;
            x = reference_to_bfloat16(layout == RETORT_TN ? a[p * lda + i] : a[i * lda + p]);
            y = b_is_bfloat ? reference_from_bfloat16(((const uint16_t *)b)[at]) : reference_to_bfloat16(((const float *)b)[at]);
          }
          sum = fma_scalar(x, y, sum);
        }
      }
      c[i * ldc + j] = sum;
    }
  }
  retort_leave_numerics(saved);
}

/// Rounds one block of activations; returns the scale.
static float reference_round(const float *x, int32_t q[32]) {
  float largest = 0;
  for (int i = 0; i < 32; i++) largest = __builtin_elementwise_abs(x[i]) > largest ? __builtin_elementwise_abs(x[i]) : largest;
  float scale = largest / 127.0f, inverse = scale >= 0x1p-126f ? 1.0f / scale : 0.0f;
  for (int i = 0; i < 32; i++) q[i] = (int32_t)((x[i] * inverse + 12582912.0f) - 12582912.0f);
  return scale;
}

/// One output with block-quantized weights.
static float reference_block_chain(retort_weight_type type, ptrdiff_t k, const float *x, const uint8_t *row, float y) {
  int parts = quantized_parts(type);
  for (ptrdiff_t index = 0; index < k / 32; index++) {
    retort_block block = retort_block_of(type, row, index);
    int32_t q[32], sum = 0;
    float scale = reference_round(x + index * 32, q);
    for (int part = 0; part < parts; part++) {
      int32_t dot = 0;
      for (int i = part * 16; i < (part + 1) * 32 / parts; i++) dot += (block.q[i] - quantized_offset(type)) * q[i], sum += q[i];
      y = fma_scalar((float)dot, block.scale[part] * scale, y);
    }
    if (quantized_has_minima(type)) y = fma_scalar(block.minimum, -(scale * (float)sum), y);
  }
  return y;
}

void retort_reference_linear(retort_weight_type type, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *x, ptrdiff_t ldx,
                             const uint8_t *weights, float *y, ptrdiff_t ldy, const float *bias) {
  uint64_t saved = retort_enter_numerics();
  for (ptrdiff_t j = 0; j < n; j++) {
    const uint8_t *row = weights + (size_t)j * retort_weight_row_size(type, k);
    for (ptrdiff_t i = 0; i < m; i++) {
      float start = bias ? bias[j] : 0, *to = y + i * ldy + j;
      if (type >= RETORT_WEIGHT_Q8_0) {
        *to = reference_block_chain(type, k, x + i * ldx, row, start);
        continue;
      }
      float w[k > 0 ? k : 1];
      retort_weight_rows(type, k, row, (const int32_t[]){0}, 1, w);
      *to = start;
      for (ptrdiff_t c = 0; c < k; c++) *to = fma_scalar(x[i * ldx + c], w[c], *to);
    }
  }
  retort_leave_numerics(saved);
}

void retort_reference_rmsnorm_forward(ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, float epsilon, float *y,
                                      float *rstd) {
  uint64_t saved = retort_enter_numerics();
  for (ptrdiff_t r = 0; r < rows; r++) {
    float sum;
    LANE_SUM(sum, columns, fma_scalar(x[r * columns + i], x[r * columns + i], lanes[i % 16]));
    float inverse = 1.0f / __builtin_elementwise_sqrt(sum / (float)columns + epsilon);
    if (rstd) rstd[r] = inverse;
    for (ptrdiff_t j = 0; j < columns; j++) y[r * columns + j] = x[r * columns + j] * inverse * w[j];
  }
  retort_leave_numerics(saved);
}

void retort_reference_rmsnorm_backward(ptrdiff_t rows, ptrdiff_t columns, const float *x, const float *w, const float *rstd,
                                       const float *dy, float *dx, int accumulate, float *dw) {
  uint64_t saved = retort_enter_numerics();
  for (ptrdiff_t r = 0; r < rows; r++) {
    const float *xr = x + r * columns, *dyr = dy + r * columns;
    float sum;
    LANE_SUM(sum, columns, fma_scalar(dyr[i] * w[i], xr[i] * rstd[r], lanes[i % 16]));
    float mean = sum / (float)columns;
    for (ptrdiff_t j = 0; j < columns; j++) {
      float d = rstd[r] * (dyr[j] * w[j] - xr[j] * rstd[r] * mean);
      dx[r * columns + j] = accumulate ? dx[r * columns + j] + d : d;
      dw[j] = fma_scalar(dyr[j], xr[j] * rstd[r], dw[j]);
    }
  }
  retort_leave_numerics(saved);
}

void retort_reference_rope(ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_size, float *x, ptrdiff_t ldx, const int32_t *positions,
                           const float *cosine, const float *sine, int inverse) {
  uint64_t saved = retort_enter_numerics();
  ptrdiff_t half = head_size / 2;
  for (ptrdiff_t r = 0; r < rows; r++) {
    for (ptrdiff_t h = 0; h < heads; h++) {
      for (ptrdiff_t i = 0; i < half; i++) {
        float *a = x + r * ldx + h * head_size + i, *b = a + half, u = *a, v = *b;
        float c = cosine[positions[r] * half + i], s = sine[positions[r] * half + i];
        if (inverse) s = -s;
        *a = fma_scalar(u, c, -(v * s));
        *b = fma_scalar(v, c, u * s);
      }
    }
  }
  retort_leave_numerics(saved);
}

/// Row j of a sequence's keys or values, or of their gradients.
static float *reference_key(const retort_sequence *q, const float *prefix, const float *own, ptrdiff_t ld, ptrdiff_t j) {
  return (float *)(j < q->prefix ? prefix + j * ld : own + (j - q->prefix) * ld);
}

/// Probabilities of query row i of one head over its keys, in double.
static void reference_probabilities(const retort_sequence *q, ptrdiff_t head, ptrdiff_t key_head, ptrdiff_t size, float scale, ptrdiff_t i,
                                    double *p) {
  ptrdiff_t limit = q->keys - q->queries + i + 1;
  double maximum = -1e300, sum = 0;
  for (ptrdiff_t j = 0; j < limit; j++) {
    const float *k = reference_key(q, q->prefix_k, q->k, q->ldk, j) + key_head * size;
    double s = 0;
    for (ptrdiff_t d = 0; d < size; d++) s += (double)q->q[i * q->ldq + head * size + d] * (double)k[d];
    p[j] = s * (double)scale;
    if (p[j] > maximum) maximum = p[j];
  }
  for (ptrdiff_t j = 0; j < limit; j++) sum += p[j] = retort_exp(p[j] - maximum);
  for (ptrdiff_t j = 0; j < limit; j++) p[j] /= sum;
}

void retort_reference_attention_forward(const retort_sequence *sequences, ptrdiff_t count, ptrdiff_t heads, ptrdiff_t key_value_heads,
                                        ptrdiff_t head_size, float scale) {
  for (ptrdiff_t n = 0; n < count; n++) {
    const retort_sequence *q = sequences + n;
    double p[q->keys > 0 ? q->keys : 1];
    for (ptrdiff_t head = 0; head < heads; head++) {
      ptrdiff_t key_head = head / (heads / key_value_heads);
      for (ptrdiff_t i = 0; i < q->queries; i++) {
        reference_probabilities(q, head, key_head, head_size, scale, i, p);
        for (ptrdiff_t d = 0; d < head_size; d++) {
          double sum = 0;
          for (ptrdiff_t j = 0; j <= q->keys - q->queries + i; j++)
            sum += p[j] * (double)reference_key(q, q->prefix_v, q->v, q->ldv, j)[key_head * head_size + d];
          q->out[i * q->ldo + head * head_size + d] = (float)sum;
        }
      }
    }
  }
}

/// Adds one query row's share to the gradients of its head.
static void reference_row_backward(const retort_sequence *q, const retort_sequence_gradient *g, ptrdiff_t head, ptrdiff_t key_head,
                                   ptrdiff_t size, float scale, ptrdiff_t i, double *p, double *dp) {
  const float *dout = g->dout + i * q->ldo + head * size;
  float *dq = g->dq + i * q->ldq + head * size;
  double mean = 0;
  reference_probabilities(q, head, key_head, size, scale, i, p);
  for (ptrdiff_t j = 0; j <= q->prefix + i; j++) {
    const float *v = reference_key(q, q->prefix_v, q->v, q->ldv, j) + key_head * size;
    dp[j] = 0;
    for (ptrdiff_t d = 0; d < size; d++) dp[j] += (double)dout[d] * (double)v[d];
    mean += p[j] * dp[j];
  }
  for (ptrdiff_t d = 0; d < size; d++) {
    ptrdiff_t column = key_head * size + d;
    double sum = 0;
    for (ptrdiff_t j = 0; j <= q->prefix + i; j++) {
      double ds = p[j] * (dp[j] - mean) * (double)scale;
      sum += ds * (double)reference_key(q, q->prefix_k, q->k, q->ldk, j)[column];
      reference_key(q, g->prefix_dk, g->dk, q->ldk, j)[column] += (float)(ds * (double)q->q[i * q->ldq + head * size + d]);
      reference_key(q, g->prefix_dv, g->dv, q->ldv, j)[column] += (float)(p[j] * (double)dout[d]);
    }
    dq[d] = (float)sum;
  }
}

void retort_reference_attention_backward(const retort_sequence *sequences, const retort_sequence_gradient *gradients, ptrdiff_t count,
                                         ptrdiff_t heads, ptrdiff_t key_value_heads, ptrdiff_t head_size, float scale) {
  for (ptrdiff_t n = 0; n < count; n++) {
    const retort_sequence *q = sequences + n;
    double p[q->keys > 0 ? q->keys : 1], dp[q->keys > 0 ? q->keys : 1];
    for (ptrdiff_t j = 0; j < q->queries; j++) {
      memset(gradients[n].dk + j * q->ldk, 0, (size_t)(key_value_heads * head_size) * sizeof(float));
      memset(gradients[n].dv + j * q->ldv, 0, (size_t)(key_value_heads * head_size) * sizeof(float));
    }
    for (ptrdiff_t head = 0; head < heads; head++)
      for (ptrdiff_t i = 0; i < q->queries; i++)
        reference_row_backward(q, gradients + n, head, head / (heads / key_value_heads), head_size, scale, i, p, dp);
  }
}

void retort_reference_swiglu_forward(ptrdiff_t rows, ptrdiff_t width, const float *gate_up, float *h) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    for (ptrdiff_t j = 0; j < width; j++) {
      double g = (double)gate_up[r * 2 * width + j], u = (double)gate_up[r * 2 * width + width + j];
      h[r * width + j] = (float)(g / (1 + retort_exp(-g)) * u);
    }
  }
}

void retort_reference_swiglu_backward(ptrdiff_t rows, ptrdiff_t width, float *gate_up, const float *dh, float *h) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    for (ptrdiff_t j = 0; j < width; j++) {
      float *gate = gate_up + r * 2 * width + j, *up = gate + width;
      double g = (double)*gate, u = (double)*up, s = 1 / (1 + retort_exp(-g)), d = (double)dh[r * width + j];
      h[r * width + j] = (float)(g * s * u);
      *gate = (float)(d * u * s * (1 + g * (1 - s)));
      *up = (float)(d * g * s);
    }
  }
}

/// log Σ exp of a row, in double.
static double reference_partition(ptrdiff_t n, const float *x) {
  double maximum = -1e300, sum = 0;
  for (ptrdiff_t j = 0; j < n; j++) maximum = (double)x[j] > maximum ? (double)x[j] : maximum;
  for (ptrdiff_t j = 0; j < n; j++) sum += retort_exp((double)x[j] - maximum);
  return maximum + retort_log(sum);
}

void retort_reference_cross_entropy(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                                    const float *weights, float gradient_scale, const float *teacher, ptrdiff_t ldt, float kl_weight,
                                    int gradient, retort_row_loss *losses) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    float *z = logits + r * ldl;
    const float *t = teacher ? teacher + r * ldt : NULL;
    double partition = reference_partition(vocabulary, z), t_partition = t ? reference_partition(vocabulary, t) : 0;
    double divergence = 0, scale = (double)weights[r] * (double)gradient_scale, share = t ? (double)kl_weight : 0;
    int32_t correct = 1;
    float at_target = z[targets[r]];
    for (ptrdiff_t j = 0; j < vocabulary; j++) {
      if (z[j] > at_target) correct = 0;
      double p = retort_exp((double)z[j] - partition), q = t ? retort_exp((double)t[j] - t_partition) : 0;
      if (t) divergence += q * (((double)t[j] - t_partition) - ((double)z[j] - partition));
      if (gradient) z[j] = (float)(scale * (p - (j == targets[r] ? 1 - share : 0) - share * q));
    }
    losses[r] = (retort_row_loss){(float)(partition - (double)at_target), (float)divergence, correct};
  }
}

/// Whether fewer than `top` logits are higher than this one.
static int reference_is_apart(ptrdiff_t n, const float *t, ptrdiff_t j, ptrdiff_t top) {
  ptrdiff_t higher = 0;
  for (ptrdiff_t i = 0; i < n; i++) higher += t[i] > t[j];
  return top <= 0 || top >= n || higher < top;
}

void retort_reference_mixed_loss(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                                 const float *target_weights, float gradient_scale, const retort_teacher_rows *teacher, int gradient,
                                 retort_row_loss *losses) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    float *z = logits + r * ldl;
    const float *t = teacher ? teacher->logits + r * teacher->ldt : NULL;
    double partition = reference_partition(vocabulary, z), t_partition = t ? reference_partition(vocabulary, t) : 0;
    double divergence = 0, p_tail = 0, q_tail = 0, at_target = (double)z[targets[r]];
    int32_t correct = 1;
    for (ptrdiff_t j = 0; j < vocabulary; j++) {
      if ((double)z[j] > at_target) correct = 0;
      if (!t) continue;
      double lp = (double)z[j] - partition, lq = (double)t[j] - t_partition;
      if (reference_is_apart(vocabulary, t, j, teacher->top)) {
        divergence += teacher->reverse ? retort_exp(lp) * (lp - lq) : retort_exp(lq) * (lq - lp);
      } else {
        p_tail += retort_exp(lp), q_tail += retort_exp(lq);
      }
    }
    double gap = p_tail > 0 && q_tail > 0 ? retort_log(p_tail) - retort_log(q_tail) : 0;
    if (t) divergence += teacher->reverse ? p_tail * gap : -q_tail * gap;
    losses[r] = (retort_row_loss){(float)(partition - at_target), (float)divergence, correct};
    for (ptrdiff_t j = 0; gradient && j < vocabulary; j++) {
      double lp = (double)z[j] - partition, p = retort_exp(lp), g = 0;
      if (t) {
        double lq = (double)t[j] - t_partition;
        int apart = reference_is_apart(vocabulary, t, j, teacher->top);
        g = teacher->reverse ? p * ((apart ? lp - lq : gap) - divergence) : p - (apart ? retort_exp(lq) : p * q_tail / p_tail);
        g *= (double)teacher->weights[r];
      }
      z[j] = (float)((double)gradient_scale * (g + (double)target_weights[r] * (p - (j == targets[r] ? 1 : 0))));
    }
  }
}

/// The place of a token among a row's known ones, or -1.
static ptrdiff_t reference_known(const retort_top_rows *teacher, ptrdiff_t r, ptrdiff_t j) {
  for (ptrdiff_t i = teacher->starts[r]; i < teacher->starts[r + 1]; i++)
    if (teacher->tokens[i] == j) return i;
  return -1;
}

void retort_reference_top_loss(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                               const float *weights, float gradient_scale, const retort_top_rows *teacher, int gradient,
                               retort_row_loss *losses) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    float *z = logits + r * ldl;
    int taught = teacher->starts[r + 1] > teacher->starts[r];
    double partition = reference_partition(vocabulary, z), at_target = (double)z[targets[r]], divergence = 0, p_tail = 0;
    double share = taught ? (double)teacher->share : 0, q_tail = taught ? (double)teacher->tails[r] : 0;
    int32_t correct = 1;
    for (ptrdiff_t j = 0; j < vocabulary; j++) {
      ptrdiff_t known = taught ? reference_known(teacher, r, j) : -1;
      double q = known < 0 ? 0 : (double)teacher->probabilities[known];
      if ((double)z[j] > at_target) correct = 0;
      if (known < 0) p_tail += retort_exp((double)z[j] - partition);
      if (q > 0) divergence += q * (retort_log(q) - ((double)z[j] - partition));
    }
    p_tail = p_tail > 1e-30 ? p_tail : 1e-30;
    if (q_tail > 0) divergence += q_tail * (retort_log(q_tail) - retort_log(p_tail));
    losses[r] = (retort_row_loss){(float)(partition - at_target), (float)divergence, correct};
    for (ptrdiff_t j = 0; gradient && j < vocabulary; j++) {
      ptrdiff_t known = taught ? reference_known(teacher, r, j) : -1;
      double p = retort_exp((double)z[j] - partition), hit = j == targets[r] ? 1 - share : 0;
      double g = known < 0 ? p * (1 - share * q_tail / p_tail) : p - share * (double)teacher->probabilities[known];
      z[j] = (float)((double)weights[r] * (double)gradient_scale * (g - hit));
    }
  }
}

double retort_reference_squared_norm(ptrdiff_t count, const float *x) {
  uint64_t saved = retort_enter_numerics();
  double total = 0;
  for (ptrdiff_t first = 0; first < count; first += RETORT_NORM_BLOCK) {
    float sum;
    LANE_SUM(sum, smaller(RETORT_NORM_BLOCK, count - first), fma_scalar(x[first + i], x[first + i], lanes[i % 16]));
    total += (double)sum;
  }
  retort_leave_numerics(saved);
  return total;
}

void retort_reference_adamw(const retort_range *ranges, ptrdiff_t range_count, float *parameters, const float *gradients, float *m,
                            float *v, retort_adamw_settings s) {
  uint64_t saved = retort_enter_numerics();
  double power1 = 1, power2 = 1, square1 = s.beta1, square2 = s.beta2;
  for (int64_t step = s.step; step > 0; step >>= 1, square1 *= square1, square2 *= square2)
    if (step & 1) power1 *= square1, power2 *= square2;
  float step_size = (float)(s.learning_rate / (1 - power1)), root = (float)__builtin_elementwise_sqrt(1 - power2);
  for (ptrdiff_t k = 0; k < range_count; k++) {
    float keep = ranges[k].decays ? (float)(1 - s.learning_rate * s.weight_decay) : 1;
    for (ptrdiff_t i = ranges[k].start; i < ranges[k].start + ranges[k].count; i++) {
      float g = gradients[i] * (float)s.gradient_scale;
      m[i] = fma_scalar((float)(1 - s.beta1), g - m[i], m[i]);
      v[i] = fma_scalar((float)(1 - s.beta2) * g, g, v[i] * (float)s.beta2);
      parameters[i] = parameters[i] * keep - step_size * (m[i] / (__builtin_elementwise_sqrt(v[i]) / root + (float)s.epsilon));
    }
  }
  retort_leave_numerics(saved);
}
