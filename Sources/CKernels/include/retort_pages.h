// Large pages for memory that is read in long streams, and memory for the system.

#ifndef RETORT_PAGES_H
#define RETORT_PAGES_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Asks the system for large pages (2 MB) for memory that is about to be written, or for a file that was mapped and not yet read, and then
/// read in long streams. With pages of 4 KB an AMD Zen 4 reads packed weights at two thirds of the speed. A wish: nothing depends on
/// whether it is granted, or on the system.
void retort_prefer_large_pages(const void *memory, size_t size);
/// Gathers memory that has been written in large pages where it is not yet.
void retort_gather_large_pages(const void *memory, size_t size);
/// Gives the system back what this process has freed and its allocator would keep for later: after much was freed for good.
void retort_return_freed_memory(void);

#ifdef __cplusplus
}
#endif
#endif
