// Losses, random initial values, norms, and the optimizer.

#ifndef RETORT_TRAINING_H
#define RETORT_TRAINING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What a row's loss was.
typedef struct retort_row_loss {
  /// −log p(target).
  float cross_entropy;
  /// Σ q·(log q − log p), q being the teacher's distribution; 0 without a teacher.
  float divergence;
  /// 1 if no logit exceeds the target's.
  int32_t correct;
} retort_row_loss;

/// For each row of logits [rows, vocabulary]: the losses, and, if `gradient`, the logits become (in place)
/// weights[r] · gradient_scale · (softmax(z) − (1 − kl_weight)·onehot(target) − kl_weight·softmax(teacher[r])):
/// the gradient of (1 − kl_weight)·CE + kl_weight·KL(teacher ‖ student). teacher may be NULL (kl_weight then counts as 0).
/// Reference: Hinton et al. 2015, arXiv 1503.02531, at temperature 1.
void retort_cross_entropy(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                          const float *weights, float gradient_scale, const float *teacher, ptrdiff_t ldt, float kl_weight,
                          int gradient, retort_row_loss *losses);

/// The distributions that rows are moved towards.
typedef struct retort_teacher_rows {
  /// [rows, ldt].
  const float *logits;
  ptrdiff_t ldt;
  /// How much each row's divergence counts, [rows].
  const float *weights;
  /// 0: KL(teacher ‖ student); 1: KL(student ‖ teacher).
  int reverse;
  /// 0, or 1…RETORT_TOP_LIMIT: the divergence of the tokens with the teacher's so many highest logits (all that equal the last of them too)
  /// and of one more class, the tail: all others together, its mass their sum in either distribution.
  ptrdiff_t top;
} retort_teacher_rows;

/// The most tokens that a divergence keeps apart from the tail.
#define RETORT_TOP_LIMIT 256

/// For each row of logits [rows, vocabulary]: the losses, and, if `gradient`, the logits become (in place) gradient_scale times the gradient of
/// target_weights[r]·CE + teacher->weights[r]·divergence: target_weights[r]·(p − onehot(target)) + teacher->weights[r]·g with p = softmax(z),
/// q = softmax(teacher), and sums over tokens kept apart or the tail (T): forward g = p − q, in the tail p − p·q_T/p_T; reverse
/// g = p·(log(p/q) − divergence), in the tail p·(log(p_T/q_T) − divergence). Weights may be negative. teacher may be NULL.
void retort_mixed_loss(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                       const float *target_weights, float gradient_scale, const retort_teacher_rows *teacher, int gradient,
                       retort_row_loss *losses);

/// Distributions of which only the likeliest tokens are known; all others are one class, the tail.
typedef struct retort_top_rows {
  /// Where each row's tokens begin in the lists, [rows + 1], at most RETORT_TOP_LIMIT apart; a row without any has no teacher.
  const int32_t *starts;
  /// The known tokens, each once in a row, and their probabilities q.
  const int32_t *tokens;
  const float *probabilities;
  /// The mass of each row's tail q_T, [rows]; with its probabilities 1.
  const float *tails;
  /// How much the divergence counts in rows with a teacher, against the cross-entropy.
  float share;
} retort_top_rows;

/// As retort_cross_entropy without a teacher in rows that have none; in the others the loss is (1 − share)·CE + share·KL(teacher ‖ student)
/// over the known tokens and the tail. With p = softmax(z) and p_T the mass of the student's tail, the gradient is weights[r] ·
/// gradient_scale · (p − (1 − share)·onehot(target) − share·q), in the tail p·(1 − share·q_T/p_T) in place of p − share·q.
void retort_top_loss(ptrdiff_t rows, ptrdiff_t vocabulary, float *logits, ptrdiff_t ldl, const int32_t *targets,
                     const float *weights, float gradient_scale, const retort_top_rows *teacher, int gradient,
                     retort_row_loss *losses);

/// out[r][j] = softmax(x[r])[j], and if `logarithm` its logarithm; out may be x. [rows, columns].
void retort_softmax_rows(ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t ldx, float *out, ptrdiff_t ldo, int logarithm);

/// Doubles of scratch for retort_squared_norm: one for each block of 16,384.
size_t retort_squared_norm_scratch(ptrdiff_t count);

/// Σ x²: fixed blocks of 16,384 in 16 fp32 lanes each, the blocks' sums added in double in ascending order.
double retort_squared_norm(ptrdiff_t count, const float *x, double *scratch);

/// A stretch of the flat parameter buffer with or without weight decay.
typedef struct retort_range {
  ptrdiff_t start, count;
  int32_t decays;
} retort_range;

/// Settings of one AdamW step. `step` counts from 1. Gradients are multiplied by gradient_scale (clipping) as they are read.
typedef struct retort_adamw_settings {
  double learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale;
  int64_t step;
} retort_adamw_settings;

/// One step on the given ranges (ascending, disjoint) of flat buffers: p ← p·(1 − lr·decay); m, v moving averages;
/// p ← p − lr/(1 − β1ᵗ) · m / (sqrt(v)/sqrt(1 − β2ᵗ) + ε). Reference: Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2.
void retort_adamw(const retort_range *ranges, ptrdiff_t range_count, float *parameters, const float *gradients, float *m, float *v,
                  retort_adamw_settings settings);

/// How moments are kept in less than fp32.
typedef enum retort_moment_type {
  /// bfloat16, rounded up or down at random so that the mean is kept (else a slow second moment would stand still).
  RETORT_MOMENT_BF16 = 1,
  /// One byte each, in blocks of RETORT_MOMENT_BLOCK with one fp32 scale: m = ±scale · (code / 127)², √v = scale · (code / 255)², the code
  /// rounded at random. Reference: Dettmers et al. 2021, arXiv 2110.02861, section 2.1, with another map.
  RETORT_MOMENT_BYTE = 2,
} retort_moment_type;

/// Elements that share a scale.
#define RETORT_MOMENT_BLOCK 256

/// One tensor's moments: uint16_t[count], or int8_t (second moments: uint8_t) [count] with scales[ceil(count / RETORT_MOMENT_BLOCK)].
typedef struct retort_moments {
  void *values;
  float *scales;
} retort_moments;

/// As retort_adamw for one tensor of `count` elements whose moments are kept in less than fp32; zero bytes are zero moments. The random
/// bits are a hash of the step and of `first` + index: `first` is the tensor's place among all parameters.
void retort_adamw_stored(retort_moment_type type, ptrdiff_t count, int decays, float *parameters, const float *gradients,
                         retort_moments m, retort_moments v, retort_adamw_settings settings, ptrdiff_t first);

/// out[i] = the nearest bfloat16 of x[i] (ties to even, denormals to zero), and back, exactly.
void retort_to_bfloat16(ptrdiff_t count, const float *x, uint16_t *out);
void retort_from_bfloat16(ptrdiff_t count, const uint16_t *x, float *out);

/// out[i] = deviation · N(0, 1) for element i of stream `stream`: Box–Muller over a counter-based hash of (seed, stream, i), in double.
void retort_fill_normal(ptrdiff_t count, uint64_t seed, uint64_t stream, double deviation, float *out);

/// A 64-bit hash of (seed, stream, counter): the project's counter-based random numbers (SplitMix64 finalizers).
uint64_t retort_random_bits(uint64_t seed, uint64_t stream, uint64_t counter);

/// Natural logarithm (x > 0), exponential, cosine and sine in double by our own polynomials: same bits everywhere, about 1e-15 relative.
double retort_log(double x);
double retort_exp(double x);
void retort_sincos(double x, double *sine, double *cosine);

#ifdef __cplusplus
}
#endif
#endif
