// One line a kernel: a hash of what it computes from fixed numbers, for comparing processors, and whether the plain reference agrees bit
// for bit (where it is defined to). Sizes are odd on purpose. Built and run by `check` beside it.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

enum { M = 37, N = 70, K = 2085, WIDTH = 96, QUANT_K = 512, KEYS = 33, HEADS = 4, KEY_HEADS = 2, SIZE = 20, COLUMNS = 1003 };

static int failures;

static float *numbers(size_t count, uint64_t stream, float scale) {
  float *x = malloc(count * sizeof(float));
  for (size_t i = 0; i < count; i++) x[i] = ((float)(retort_random_bits(1, stream, i) >> 40) * 0x1p-23f - 1.0f) * scale;
  return x;
}

/// `reference`: what must be the same, or NULL.
static void report(const char *name, const void *data, const void *reference, size_t bytes) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const uint8_t *)data)[i]) * 1099511628211u;
  int equal = reference == NULL || memcmp(data, reference, bytes) == 0;
  failures += !equal;
  printf("%-24s %016llx%s\n", name, (unsigned long long)hash, equal ? "" : "  DIFFERS from the reference");
}

static void products(void) {
  float *a = numbers((size_t)M * K, 1, 1), *b = numbers((size_t)N * K, 2, 1), *c = malloc(sizeof(float) * M * N), *r = malloc(sizeof(float) * M * N);
  float *scratch = malloc(sizeof(float) * retort_gemm_scratch(M, N, K));
  static const char *names[2][3] = {{"gemm_nn", "gemm_nt", "gemm_tn"}, {"bfloat_gemm_nn", "bfloat_gemm_nt", "bfloat_gemm_tn"}};
  for (int bfloat = 0; bfloat < 2; bfloat++) {
    for (int layout = 0; layout < 3; layout++) {
      ptrdiff_t lda = layout == RETORT_TN ? M : K, ldb = layout == RETORT_NT ? K : N;
      if (bfloat) {
        retort_bfloat_gemm(layout, M, N, K, a, lda, b, 0, ldb, c, N, b, 0, scratch);
        retort_reference_bfloat_gemm(layout, M, N, K, a, lda, b, 0, ldb, r, N, b, 0);
      } else {
        retort_gemm(layout, M, N, K, a, lda, b, ldb, c, N, b, 0, scratch);
        retort_reference_gemm(layout, M, N, K, a, lda, b, ldb, r, N, b, 0);
      }
      report(names[bfloat][layout], c, r, sizeof(float) * M * N);
    }
  }
}

static void linear(void) {
  static const char *names[] = {"linear_f32", "linear_f16", "linear_bf16", "linear_q8_0", "linear_q4_0", "linear_q4_k", "linear_q6_k"};
  static const int scales[][3] = {{2, 3, 4}, {0, 1, 2}, {0, 1, 2}, {0, 1, 34}, {0, 1, 18}, {0, 1, 144}, {208, 209, 210}};
  float *x = numbers((size_t)M * QUANT_K, 3, 5), *y = malloc(sizeof(float) * M * N), *r = malloc(sizeof(float) * M * N);
  for (retort_weight_type type = RETORT_WEIGHT_F32; type <= RETORT_WEIGHT_Q6_K; type++) {
    size_t size = N * retort_weight_row_size(type, QUANT_K);
    uint8_t *w = malloc(size), *packed = aligned_alloc(64, (retort_linear_packed_size(type, N, QUANT_K) + 63) / 64 * 64);
    for (size_t i = 0; i < size; i++) w[i] = (uint8_t)retort_random_bits(2, (uint64_t)type, i);
    // Scales (or whole numbers) of a moderate size.
    for (size_t i = 0; i < size; i += (size_t)scales[type][2]) {
      if (type == RETORT_WEIGHT_F32) w[i + 3] = 0x3d; else w[i + (size_t)scales[type][1]] = type == RETORT_WEIGHT_BF16 ? 0x3d : 0x24;
      if (type == RETORT_WEIGHT_Q4_K) w[i + 3] = 0x24;
    }
    uint8_t *scratch = malloc(retort_linear_scratch(type, M, N, QUANT_K) + 64);
    retort_linear_pack(type, N, QUANT_K, w, packed);
    retort_linear(type, M, N, QUANT_K, x, QUANT_K, packed, y, N, NULL, scratch);
    retort_reference_linear(type, M, N, QUANT_K, x, QUANT_K, w, r, N, NULL);
    report(names[type], y, r, sizeof(float) * M * N);
  }
}

static void layers(void) {
  float *x = numbers((size_t)M * WIDTH, 4, 2), *w = numbers(WIDTH, 5, 1), *y = malloc(sizeof(float) * M * WIDTH), *r = malloc(sizeof(float) * M * WIDTH);
  float rstd[M], plain[M];
  retort_rmsnorm_forward(M, WIDTH, x, w, 1e-6f, y, rstd);
  retort_reference_rmsnorm_forward(M, WIDTH, x, w, 1e-6f, r, plain);
  report("rmsnorm_forward", y, r, sizeof(float) * M * WIDTH);
  float *dw = calloc(WIDTH, sizeof(float)), *dwr = calloc(WIDTH, sizeof(float));
  retort_rmsnorm_backward(M, WIDTH, x, w, rstd, y, y, 0, dw);
  retort_reference_rmsnorm_backward(M, WIDTH, x, w, plain, r, r, 0, dwr);
  report("rmsnorm_backward", dw, dwr, sizeof(float) * WIDTH);
  float *gates = numbers((size_t)M * 2 * WIDTH, 6, 4);
  retort_swiglu_forward(M, WIDTH, gates, y);
  report("swiglu_forward", y, NULL, sizeof(float) * M * WIDTH);
  retort_swiglu_backward(M, WIDTH, gates, x, y);
  report("swiglu_backward", gates, NULL, sizeof(float) * M * 2 * WIDTH);
}

static void attention(void) {
  ptrdiff_t row = (HEADS + 2 * KEY_HEADS) * SIZE;
  float *qkv = numbers((size_t)(KEYS * row), 7, 1), *out = calloc(KEYS * HEADS * SIZE, sizeof(float)), *d = calloc((size_t)(KEYS * row), sizeof(float));
  float cosine[KEYS * SIZE / 2], sine[KEYS * SIZE / 2];
  int32_t positions[KEYS];
  for (int i = 0; i < KEYS; i++) positions[i] = i;
  retort_rope_table(0, KEYS, SIZE, 1e4, NULL, cosine, sine);
  retort_rope(KEYS, HEADS + KEY_HEADS, SIZE, qkv, row, positions, cosine, sine, 0);
  report("rope", qkv, NULL, sizeof(float) * (size_t)(KEYS * row));
  retort_sequence s = {.q = qkv, .k = qkv + HEADS * SIZE, .v = qkv + (HEADS + KEY_HEADS) * SIZE, .out = out, .ldq = row, .ldk = row,
                       .ldv = row, .ldo = HEADS * SIZE, .queries = KEYS, .keys = KEYS};
  retort_sequence_gradient g = {.dout = out, .dq = d, .dk = d + HEADS * SIZE, .dv = d + (HEADS + KEY_HEADS) * SIZE};
  int threads = retort_pool_threads();
  float *scratch = calloc(retort_attention_scratch(KEYS, SIZE, threads), sizeof(float));
  retort_attention_forward(&s, 1, HEADS, KEY_HEADS, SIZE, 0.25f, scratch, threads);
  report("attention_forward", out, NULL, sizeof(float) * KEYS * HEADS * SIZE);
  retort_attention_backward(&s, &g, 1, HEADS, KEY_HEADS, SIZE, 0.25f, scratch, threads);
  report("attention_backward", d, NULL, sizeof(float) * (size_t)(KEYS * row));
}

static void training(void) {
  float *logits = numbers((size_t)M * COLUMNS, 8, 6), *weights = numbers(M, 9, 1);
  int32_t targets[M];
  for (int i = 0; i < M; i++) targets[i] = i * 27;
  retort_row_loss losses[M];
  retort_cross_entropy(M, COLUMNS, logits, COLUMNS, targets, weights, 0.5f, NULL, 0, 0, 1, losses);
  report("cross_entropy", logits, NULL, sizeof(float) * M * COLUMNS);
  int32_t starts[M + 1], known[2 * M];
  float probabilities[2 * M], tails[M];
  for (int i = 0; i <= M; i++) starts[i] = 2 * (i - i / 3);
  for (int i = 0; i < 2 * M; i++) known[i] = (i * 13 + 5 * (i & 1)) % COLUMNS, probabilities[i] = i & 1 ? 0.125f : 0.5f;
  for (int i = 0; i < M; i++) tails[i] = 0.375f;
  retort_top_rows teacher = {starts, known, probabilities, tails, 0.5f};
  float *z = numbers((size_t)M * COLUMNS, 11, 6);
  retort_top_loss(M, COLUMNS, z, COLUMNS, targets, weights, 0.5f, &teacher, 1, losses);
  report("top_loss", z, NULL, sizeof(float) * M * COLUMNS);
  enum { COUNT = M * COLUMNS };
  float *p = numbers(COUNT, 10, 1), *q = numbers(COUNT, 10, 1), *m = calloc(COUNT, 4), *v = calloc(COUNT, 4), *mr = calloc(COUNT, 4), *vr = calloc(COUNT, 4);
  retort_range range = {.start = 0, .count = COUNT, .decays = 1};
  retort_adamw_settings settings = {1e-3, 0.9, 0.99, 1e-8, 0.1, 0.7, 3};
  retort_adamw(&range, 1, p, logits, m, v, settings);
  retort_reference_adamw(&range, 1, q, logits, mr, vr, settings);
  report("adamw", p, q, sizeof(float) * COUNT);
  size_t scales = (COUNT + RETORT_MOMENT_BLOCK - 1) / RETORT_MOMENT_BLOCK;
  for (retort_moment_type type = RETORT_MOMENT_BF16; type <= RETORT_MOMENT_BYTE; type++) {
    retort_moments first = {calloc(COUNT, 2), calloc(scales, 4)}, second = {calloc(COUNT, 2), calloc(scales, 4)};
    for (int step = 0; step < 2; step++) retort_adamw_stored(type, COUNT, 1, p, logits, first, second, settings, 5);
    report(type == RETORT_MOMENT_BF16 ? "adamw_bf16" : "adamw_int8", p, NULL, sizeof(float) * COUNT);
  }
}

int main(void) {
  retort_pool_set_threads(3);
  products();
  linear();
  layers();
  attention();
  training();
  return failures > 0;
}
