// Threads, and the choice of instruction set.

#ifndef RETORT_POOL_H
#define RETORT_POOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The most threads a pool may have.
#define RETORT_MAXIMUM_THREADS 64

/// Sets the number of threads (the caller included), 1…64; returns the number now in force. The default is the number of
/// processors online, or RETORT_THREADS from the environment. Results never depend on it.
int retort_pool_set_threads(int threads);

/// The number of threads in force; `worker` below is smaller than this. Scratch "per thread" must count this many.
int retort_pool_threads(void);

/// Has the calls of the calling thread run serially in place from now on, as with one thread (1), or on the pool again (0); returns
/// which it was. Other threads' calls go on as before.
int retort_pool_alone(int alone);

/// Calls fn(context, index, worker) once for every index in 0..<count, in any order, on the pool and on the caller, and returns when all
/// are done. `worker` (0…threads−1) is fixed for the duration of one call: use it to pick scratch. Threads spin briefly for the
/// next call, then sleep. While another thread's call has the pool, and from inside fn: runs serially in place, as worker 0.
void retort_parallel_for(ptrdiff_t count, void (*fn)(void *context, ptrdiff_t index, int worker), void *context);

/// Instruction sets; every level gives the same bits.
typedef enum retort_level {
  RETORT_LEVEL_PORTABLE = 0,
  RETORT_LEVEL_AVX2 = 1,
  RETORT_LEVEL_AVX512 = 2,
  /// AVX-512 with products of bfloat16 pairs.
  RETORT_LEVEL_AVX512_BF16 = 3,
} retort_level;

/// Selects a level for the whole process if this machine has it; returns the level now in force. The default is the best one, or
/// RETORT_KERNELS=portable|avx2|avx512|avx512_bf16 from the environment; what this machine does not have is said on standard error.
retort_level retort_kernels_select(retort_level level);

/// The level in force.
retort_level retort_kernels_level(void);

/// The best level this machine has.
retort_level retort_kernels_best(void);

#ifdef __cplusplus
}
#endif
#endif
