/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/c/rules.h"

#include "base/attr.h"
#include "base/units.h"

#include <string.h>

enum {
    FIRST_MS = 8,
    MAX_MS = 1000,
    MAX_DOUBLINGS = 7
};

/*
 * A training takes hours: whoever lost one decides whether to begin again. After a commit whose
 * answer was lost the import is gone from the daemon, whatever became of it.
 */
const tl_call_rule tl_call_rules[] = {
    {"backup.begin",    TL_REPEAT_FREELY },
    {"backup.end",      TL_REPEAT_REMOVAL},
    {"backup.read",     TL_REPEAT_FREELY },
    {"design.run",      TL_REPEAT_FREELY },
    {"device.add",      TL_REPEAT_FREELY },
    {"device.list",     TL_REPEAT_FREELY },
    {"device.remove",   TL_REPEAT_REMOVAL},
    {"device.show",     TL_REPEAT_FREELY },
    {"evaluate.run",    TL_REPEAT_FREELY },
    {"fleet.run",       TL_REPEAT_FREELY },
    {"job.cancel",      TL_REPEAT_FREELY },
    {"job.list",        TL_REPEAT_FREELY },
    {"job.show",        TL_REPEAT_FREELY },
    {"job.start",       TL_REPEAT_FREELY },
    {"measure.abort",   TL_REPEAT_FREELY },
    {"measure.begin",   TL_REPEAT_FREELY },
    {"measure.commit",  TL_REPEAT_NEVER  },
    {"measure.export",  TL_REPEAT_FREELY },
    {"measure.feed",    TL_REPEAT_FREELY },
    {"measure.suggest", TL_REPEAT_FREELY },
    {"model.list",      TL_REPEAT_FREELY },
    {"model.show",      TL_REPEAT_FREELY },
    {"pareto.run",      TL_REPEAT_FREELY },
    {"predict.run",     TL_REPEAT_FREELY },
    {"proxy.run",       TL_REPEAT_FREELY },
    {"space.add",       TL_REPEAT_FREELY },
    {"space.list",      TL_REPEAT_FREELY },
    {"space.lower",     TL_REPEAT_FREELY },
    {"space.remove",    TL_REPEAT_REMOVAL},
    {"space.show",      TL_REPEAT_FREELY },
    {"status.get",      TL_REPEAT_FREELY },
    {"train.run",       TL_REPEAT_NEVER  },
};

const size_t tl_call_rules_len = TL_COUNT(tl_call_rules);

tl_repeat tl_repeat_of(const char *method)
{
    for (size_t i = 0; i < tl_call_rules_len; i++) {
        if (strcmp(tl_call_rules[i].method, method) == 0) {
            return tl_call_rules[i].repeat;
        }
    }
    return TL_REPEAT_FREELY;
}

/* xorshift64*: enough to keep clients apart. */
static uint64_t draw(uint64_t *random)
{
    uint64_t x = *random != 0 ? *random : 1;
    x ^= x >> 12U;
    x ^= x << 25U;
    x ^= x >> 27U;
    *random = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

int64_t tl_backoff_ns(unsigned n, uint64_t *random)
{
    int64_t most_ms = (int64_t)FIRST_MS << (n < MAX_DOUBLINGS ? n : MAX_DOUBLINGS);
    most_ms = most_ms < MAX_MS ? most_ms : MAX_MS;
    uint64_t most_ns = (uint64_t)most_ms * (uint64_t)TL_NS_PER_MS;
    return 1 + (int64_t)(draw(random) % most_ns);
}
