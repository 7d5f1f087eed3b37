/* The processor's time, and medians. SPDX-License-Identifier: BSD-3-Clause
 * Before the first standard header: #define _POSIX_C_SOURCE 199309L */
#ifndef TIMING_H
#define TIMING_H

#include <stdlib.h>
#include <time.h>

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void* a, const void* b) {
    const double x = *(const double*)a, y = *(const double*)b;
    return (x > y) - (x < y);
}

/* Sorts the values. */
static double median(double* values, long count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[count / 2];
}

#endif
