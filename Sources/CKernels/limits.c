// The yardsticks: reading memory, and multiplying in registers.

#include "quantized.h"
#include "lanes.h"

/// Bytes of one task's share, and of one step of it.
#define READ_SHARE (1 << 16)
#define READ_STEP 512

typedef struct read_job {
  const uint8_t *memory;
  size_t size;
  uint64_t sums[RETORT_MAXIMUM_THREADS];
} read_job;

static void read_task(void *context, ptrdiff_t index, int worker) {
  typedef uint64_t line __attribute__((ext_vector_type(8), aligned(8), may_alias));
  read_job *job = context;
  size_t first = (size_t)index * READ_SHARE, end = first + READ_SHARE < job->size ? first + READ_SHARE : job->size;
  line sums[READ_STEP / 64] = {0};
  for (size_t i = first; i + READ_STEP <= end; i += READ_STEP) {
    UNROLL for (int j = 0; j < READ_STEP / 64; j++) {
      __builtin_prefetch(job->memory + i + (size_t)j * 64 + 6144);
      sums[j] += *(const line *)(job->memory + i + (size_t)j * 64);
    }
  }
  for (int j = 1; j < READ_STEP / 64; j++) sums[0] += sums[j];
  job->sums[worker] += __builtin_reduce_add(sums[0]);
}

uint64_t retort_limit_read(const uint8_t *memory, size_t size) {
  read_job job = {.memory = memory, .size = size};
  retort_parallel_for((ptrdiff_t)((size + READ_SHARE - 1) / READ_SHARE), read_task, &job);
  uint64_t sum = 0;
  for (int i = 0; i < RETORT_MAXIMUM_THREADS; i++) sum += job.sums[i];
  return sum;
}

typedef struct multiply_job {
  void (*task)(ptrdiff_t rounds, float *out);
  ptrdiff_t rounds;
  float out[RETORT_MAXIMUM_THREADS][16];
} multiply_job;

static void multiply_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  multiply_job *job = context;
  job->task(job->rounds, job->out[index]);
}

uint64_t retort_limit_multiply(retort_weight_type type, ptrdiff_t rounds) {
  int quantized = type >= RETORT_WEIGHT_Q8_0, bfloat = type == RETORT_WEIGHT_BF16;
  multiply_job job = {.task = quantized ? retort_quantized_kernels()->probe : bfloat ? retort_bfloat_probe : retort_probe, .rounds = rounds};
  ptrdiff_t threads = retort_pool_threads();
  retort_parallel_for(threads, multiply_task, &job);
  // 12 registers of 16 lanes; one product a lane, or two, or four.
  return (uint64_t)(threads * rounds) * 12 * 16 * 2 * (quantized ? 4 : bfloat ? 2 : 1);
}
