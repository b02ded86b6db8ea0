// The thread pool: workers spin briefly for the next call, then sleep. Each thread of a call gets a share of neighbouring indices, and who
// is done takes from the ends of the others' shares. A share is one 64-bit word with the number of its call, and whoever makes it smaller
// owns an index, so a late worker can never touch a finished call.

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// Spins before a worker sleeps: some 50 µs.
#define SPINS 4000
/// The most indices of one call.
#define INDEX_LIMIT 0xfffff

typedef void (*task_function)(void *, ptrdiff_t, int);

static pthread_mutex_t callers = PTHREAD_MUTEX_INITIALIZER;  // held by the call that has the workers; guards their number too
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static _Atomic int sleepers;
static _Atomic int stopping;
/// What the workers read of a call, in one cache line.
static struct {
  _Alignas(64) _Atomic uint64_t ticket;  // number << 8 | threads
  task_function task;
  void *context;
} call;
static _Alignas(64) _Atomic ptrdiff_t unfinished;
/// Number of the call << 40 | first index << 20 | end. Alone in its cache line: only a thief ever touches another thread's.
static struct { _Alignas(64) _Atomic uint64_t range; } shares[RETORT_MAXIMUM_THREADS];
static pthread_t workers[RETORT_MAXIMUM_THREADS];
static int worker_count;            // besides the caller
static _Atomic int thread_count;    // 0: not yet started
static _Thread_local int current_worker = -1;  // ≥ 0 inside a task
static _Thread_local int is_alone;             // this thread's calls leave the workers alone

uint64_t retort_enter_numerics(void) {
#if defined(__x86_64__)
  unsigned saved = _mm_getcsr();
  // Round to nearest, all exceptions masked, FTZ (bit 15) and DAZ (bit 6).
  _mm_setcsr(0x1f80u | 0x8040u);
  return saved;
#elif defined(__aarch64__)
  uint64_t saved;
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
  uint64_t wanted = 1ull << 24;
  __asm__ volatile("msr fpcr, %0" ::"r"(wanted));
  return saved;
#else
  return 0;
#endif
}

void retort_leave_numerics(uint64_t saved) {
#if defined(__x86_64__)
  _mm_setcsr((unsigned)saved);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(saved));
#else
  (void)saved;
#endif
}

static inline void relax(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Takes one index of a share, its owner the first and others the last; -1 if none is left, or the call is over.
static ptrdiff_t take(int owner, int worker, uint64_t number) {
  uint64_t seen = atomic_load_explicit(&shares[owner].range, memory_order_acquire), left;
  do {
    left = (seen & INDEX_LIMIT) - (seen >> 20 & INDEX_LIMIT);
    if (seen >> 40 != number || left == 0) return -1;
    left = owner == worker ? seen + (1 << 20) : seen - 1;
  } while (!atomic_compare_exchange_weak_explicit(&shares[owner].range, &seen, left, memory_order_acq_rel, memory_order_acquire));
  return (ptrdiff_t)(owner == worker ? seen >> 20 & INDEX_LIMIT : (seen & INDEX_LIMIT) - 1);
}

/// Runs what is left of a call: the worker's own share, then the others'.
static void run(uint64_t seen, int worker) {
  int threads = (int)(seen & 255);
  if (worker >= threads) return;
  ptrdiff_t done = 0;
  for (int i = 0; i < threads; i++) {
    int owner = (worker + i) % threads;
    for (ptrdiff_t index; (index = take(owner, worker, seen >> 8)) >= 0; done++) call.task(call.context, index, worker);
  }
  if (done) atomic_fetch_sub_explicit(&unfinished, done, memory_order_release);
}

static void *work(void *argument) {
  int worker = (int)(intptr_t)argument, spins = 0;
  retort_enter_numerics();
  current_worker = worker;
  uint64_t last = 0;
  while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
    uint64_t seen = atomic_load_explicit(&call.ticket, memory_order_acquire);
    if (seen != last) {
      run(seen, worker);
      last = seen;
      spins = 0;
    } else if (++spins < SPINS) {
      relax();
    } else {
      pthread_mutex_lock(&sleep_lock);
      atomic_fetch_add(&sleepers, 1);
      while (atomic_load(&call.ticket) == last && !atomic_load(&stopping)) pthread_cond_wait(&wake, &sleep_lock);
      atomic_fetch_sub(&sleepers, 1);
      pthread_mutex_unlock(&sleep_lock);
      spins = 0;
    }
  }
  return NULL;
}

static void stop_workers(void) {
  atomic_store(&stopping, 1);
  pthread_mutex_lock(&sleep_lock);
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&sleep_lock);
  for (int i = 0; i < worker_count; i++) pthread_join(workers[i], NULL);
  worker_count = 0;
  atomic_store(&stopping, 0);
}

/// Call with `callers` held.
static void start_workers(int threads) {
  while (worker_count < threads - 1) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    int failed = pthread_create(&workers[worker_count], &attributes, work, (void *)(intptr_t)(worker_count + 1));
    pthread_attr_destroy(&attributes);
    if (failed) break;
    worker_count++;
  }
  atomic_store(&thread_count, worker_count + 1);
}

static int default_threads(void) {
  const char *text = getenv("RETORT_THREADS");
  long wanted = text ? strtol(text, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
  if (wanted < 1) wanted = 1;
  return wanted > RETORT_MAXIMUM_THREADS ? RETORT_MAXIMUM_THREADS : (int)wanted;
}

int retort_pool_set_threads(int threads) {
  if (threads < 1) threads = 1;
  if (threads > RETORT_MAXIMUM_THREADS) threads = RETORT_MAXIMUM_THREADS;
  if (current_worker >= 0) return retort_pool_threads();
  pthread_mutex_lock(&callers);
  if (threads - 1 < worker_count) stop_workers();
  start_workers(threads);
  int count = worker_count + 1;
  pthread_mutex_unlock(&callers);
  return count;
}

int retort_pool_threads(void) {
  int threads = atomic_load_explicit(&thread_count, memory_order_acquire);
  if (threads > 0) return threads;
  pthread_mutex_lock(&callers);
  if (atomic_load(&thread_count) == 0) start_workers(default_threads());
  pthread_mutex_unlock(&callers);
  return atomic_load(&thread_count);
}

int retort_pool_alone(int alone) {
  int before = is_alone;
  is_alone = alone != 0;
  return before;
}

void retort_parallel_for(ptrdiff_t count, void (*fn)(void *, ptrdiff_t, int), void *context) {
  retort_parallel_for_limited(count, RETORT_MAXIMUM_THREADS, fn, context);
}

void retort_parallel_for_limited(ptrdiff_t count, int limit, void (*fn)(void *, ptrdiff_t, int), void *context) {
  if (count <= 0) return;
  int threads = retort_pool_threads();
  // A call that finds the pool at work does not wait for it: the system shares the processors between the callers, so that a trainer's
  // long calls do not hold up a server's short ones.
  int is_serial = is_alone || current_worker >= 0 || count == 1 || threads == 1 || limit <= 1 || count > INDEX_LIMIT;
  if (is_serial || pthread_mutex_trylock(&callers) != 0) {
    uint64_t saved = retort_enter_numerics();
    for (ptrdiff_t i = 0; i < count; i++) fn(context, i, 0);
    retort_leave_numerics(saved);
    return;
  }
  uint64_t saved = retort_enter_numerics();
  current_worker = 0;
  call.task = fn;
  call.context = context;
  if (limit < threads) threads = limit;
  if (count < threads) threads = (int)count;
  atomic_store_explicit(&unfinished, count, memory_order_relaxed);
  uint64_t number = ((atomic_load_explicit(&call.ticket, memory_order_relaxed) >> 8) + 1) & 0xffffff;
  for (ptrdiff_t i = 0; i < threads; i++) {
    uint64_t range = (uint64_t)(count * i / threads) << 20 | (uint64_t)(count * (i + 1) / threads);
    atomic_store_explicit(&shares[i].range, number << 40 | range, memory_order_release);
  }
  atomic_store(&call.ticket, number << 8 | (uint64_t)threads);
  if (atomic_load(&sleepers) > 0) {
    pthread_mutex_lock(&sleep_lock);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&sleep_lock);
  }
  run(number << 8 | (uint64_t)threads, 0);
  for (int spins = 0; atomic_load_explicit(&unfinished, memory_order_acquire) > 0; spins++) {
    if (spins < SPINS) relax(); else usleep(0);
  }
  current_worker = -1;
  retort_leave_numerics(saved);
  pthread_mutex_unlock(&callers);
}
