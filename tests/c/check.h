/* Checks that count failures. SPDX-License-Identifier: BSD-3-Clause */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>

#include "pcs.h"

static int failures = 0;

#define CHECK(condition)                                                                                   \
    do {                                                                                                   \
        if (!(condition)) {                                                                                \
            printf("%s:%d: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, pcs_last_error(NULL)); \
            ++failures;                                                                                    \
        }                                                                                                  \
    } while (0)

/* The call fails with this code, and this thread's message for the handle holds this text. */
#define CHECK_FAILS(handle, call, code, text)                                                                       \
    do {                                                                                                            \
        CHECK((call) == (code));                                                                                    \
        if (strstr(pcs_last_error(handle), (text)) == NULL) {                                                       \
            printf("%s:%d: expected '%s'\n  last error: %s\n", __FILE__, __LINE__, (text), pcs_last_error(handle)); \
            ++failures;                                                                                             \
        }                                                                                                           \
    } while (0)

static int finish(void) {
    if (failures == 0) printf("ok\n");
    return failures != 0;
}

#endif
