// Scalar work that has no levels: double-precision functions, random numbers, tables.

#include "internal.h"

#pragma STDC FP_CONTRACT OFF

/// Rounds to the nearest integer (ties to even) for |x| < 2^51.
RETORT_INLINE double nearest(double x) { return (x + 6755399441055744.0) - 6755399441055744.0; }

double retort_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  int exponent = (int)(bits >> 52 & 2047) - 1023;
  bits = (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull;
  double m;
  memcpy(&m, &bits, 8);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  // log m = 2·artanh(s), |s| ≤ 0.172
  double s = (m - 1) / (m + 1), z = s * s, sum = 0;
  for (int i = 23; i >= 3; i -= 2) sum = (sum + 1.0 / i) * z;
  double e = exponent;
  return e * 6.93147180369123816490e-01 + (e * 1.90821492927058770002e-10 + (2 * s + 2 * s * sum));
}

double retort_exp(double x) {
  if (x > 709) x = 709;
  if (x < -708) return 0;
  double n = nearest(x * 1.4426950408889634074);
  double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  double sum = 1;
  for (int i = 14; i >= 1; i--) sum = 1 + r * sum / i;
  uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
  double scale;
  memcpy(&scale, &bits, 8);
  return sum * scale;
}

void retort_sincos(double x, double *sine, double *cosine) {
  // Cody–Waite: π/2 in three parts whose products with n are exact for |n| < 2^20.
  double n = nearest(x * 6.36619772367581382433e-01);
  double r = ((x - n * 1.57079632673412561417e+00) - n * 6.07710050630396597660e-11) - n * 2.02226624879595063154e-21;
  double z = r * r, s = 1, c = 1;
  for (int i = 19; i >= 3; i -= 2) s = 1 - z * s / (double)(i * (i - 1));
  for (int i = 20; i >= 2; i -= 2) c = 1 - z * c / (double)(i * (i - 1));
  s *= r;
  switch ((int64_t)n & 3) {
    case 0: *sine = s; *cosine = c; break;
    case 1: *sine = c; *cosine = -s; break;
    case 2: *sine = -s; *cosine = -c; break;
    default: *sine = -c; *cosine = s; break;
  }
}

static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

uint64_t retort_random_bits(uint64_t seed, uint64_t stream, uint64_t counter) {
  uint64_t key = mix(mix(seed + 0x9e3779b97f4a7c15ull) ^ (stream + 1) * 0xd1342543de82ef95ull);
  return mix(key + (counter + 1) * 0x9e3779b97f4a7c15ull);
}

void retort_turn_keys(ptrdiff_t first, ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_size, const float *k, ptrdiff_t ldk, float *turned,
                      ptrdiff_t turned_stride) {
  for (ptrdiff_t h = 0; h < heads; h++) {
    for (ptrdiff_t r = first; r < first + rows; r++) {
      float *out = turned + h * turned_stride + r / 16 * 16 * head_size + r % 16;
      const float *in = k + (r - first) * ldk + h * head_size;
      for (ptrdiff_t c = 0; c < head_size; c++) out[c * 16] = in[c];
    }
  }
}

typedef struct normal_job {
  uint64_t seed, stream;
  ptrdiff_t count;
  double deviation;
  float *out;
} normal_job;

static void normal_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const normal_job *job = context;
  ptrdiff_t end = smaller(job->count, (index + 1) * 4096);
  for (ptrdiff_t i = index * 4096; i < end; i += 2) {
    uint64_t a = retort_random_bits(job->seed, job->stream, (uint64_t)i), b = retort_random_bits(job->seed, job->stream, (uint64_t)i + 1);
    double u = ((double)(a >> 11) + 1) * 0x1p-53, angle = (double)(b >> 11) * 0x1p-53 * 6.283185307179586477;
    double radius = job->deviation * __builtin_elementwise_sqrt(-2 * retort_log(u)), sine, cosine;
    retort_sincos(angle, &sine, &cosine);
    job->out[i] = (float)(radius * cosine);
    if (i + 1 < end) job->out[i + 1] = (float)(radius * sine);
  }
}

void retort_fill_normal(ptrdiff_t count, uint64_t seed, uint64_t stream, double deviation, float *out) {
  normal_job job = {seed, stream, count, deviation, out};
  retort_parallel_for((count + 4095) / 4096, normal_task, &job);
}

void retort_rope_table(ptrdiff_t first, ptrdiff_t positions, ptrdiff_t head_size, double theta, const double *divisors,
                       float *cosine, float *sine) {
  ptrdiff_t half = head_size / 2;
  double logarithm = retort_log(theta);
  for (ptrdiff_t i = 0; i < half; i++) {
    double frequency = retort_exp(-2.0 * (double)i / (double)head_size * logarithm);
    if (divisors) frequency /= divisors[i];
    for (ptrdiff_t p = 0; p < positions; p++) {
      double s, c;
      retort_sincos((double)(first + p) * frequency, &s, &c);
      cosine[p * half + i] = (float)c;
      sine[p * half + i] = (float)s;
    }
  }
}
