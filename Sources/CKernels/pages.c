// Large pages for memory that is read in long streams, and memory for the system.

#if defined(__linux__)
#define _GNU_SOURCE
#include <sys/mman.h>
#endif
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "internal.h"

#define SMALL_PAGE ((uintptr_t)4096)
#define LARGE_PAGE ((uintptr_t)2 << 20)
/// Linux 6.1; an older one answers EINVAL, and headers may not have it yet.
#define COLLAPSE 25

void retort_prefer_large_pages(const void *memory, size_t size) {
#if defined(__linux__)
  if (size < LARGE_PAGE / 4) return;
  uintptr_t start = (uintptr_t)memory & ~(SMALL_PAGE - 1), end = ((uintptr_t)memory + size + SMALL_PAGE - 1) & ~(SMALL_PAGE - 1);
  madvise((void *)start, end - start, MADV_HUGEPAGE);
#else
  (void)memory, (void)size;
#endif
}

void retort_gather_large_pages(const void *memory, size_t size) {
#if defined(__linux__)
  if (size < LARGE_PAGE / 4) return;
  // One large page at a time, the ones shared with neighbours too: where one cannot be had the others still can.
  for (uintptr_t page = (uintptr_t)memory & ~(LARGE_PAGE - 1); page < (uintptr_t)memory + size; page += LARGE_PAGE)
    madvise((void *)page, LARGE_PAGE, COLLAPSE);
#else
  (void)memory, (void)size;
#endif
}

void retort_return_freed_memory(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}
