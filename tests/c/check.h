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

/* The call fails with this code, and its message holds this text. */
#define CHECK_FAILS(call, code, text)                        \
    do {                                                     \
        CHECK((call) == (code));                             \
        CHECK(strstr(pcs_last_error(NULL), (text)) != NULL); \
    } while (0)

static int finish(void) {
    if (failures == 0) printf("ok\n");
    return failures != 0;
}

#endif
