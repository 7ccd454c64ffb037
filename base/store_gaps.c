/* SPDX-License-Identifier: Apache-2.0 */
#include "base/store_gaps.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    SHOWN_KEY_BYTES = 128 /* of a key, in a text for people */
};

int tl_store_compare_keys(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t len = a_len < b_len ? a_len : b_len;
    int order = len > 0 ? memcmp(a, b, len) : 0;
    return order != 0 ? order : a_len < b_len ? -1 : a_len > b_len ? 1 : 0;
}

void tl_store_gaps_done(tl_store_gaps *gaps)
{
    tl_mem_free(gaps->gaps);
    *gaps = (tl_store_gaps){.n = 0};
}

void tl_store_gaps_note(tl_store_gaps *gaps, const char *why)
{
    if (gaps->trouble[0] == '\0') {
        (void)snprintf(gaps->trouble, sizeof gaps->trouble, "%s", why);
    }
}

static void show_key(char to[SHOWN_KEY_BYTES + 1], const char *key, size_t len)
{
    size_t n = len < SHOWN_KEY_BYTES ? len : SHOWN_KEY_BYTES;
    for (size_t i = 0; i < n; i++) {
        to[i] = tl_store_shown(key[i]);
    }
    to[n] = '\0';
}

static void write_text(tl_store_gap *gap)
{
    char lo[SHOWN_KEY_BYTES + 1];
    char hi[SHOWN_KEY_BYTES + 1];
    const char *db = tl_store_db_name(gap->db);
    show_key(lo, gap->lo, gap->lo_len);
    show_key(hi, gap->hi, gap->hi_len);
    if (gap->has_lo && gap->has_hi) {
        (void)snprintf(gap->text, sizeof gap->text, "%s between \"%s\" and \"%s\"", db, lo, hi);
    } else if (gap->has_lo) {
        (void)snprintf(gap->text, sizeof gap->text, "%s behind \"%s\"", db, lo);
    } else if (gap->has_hi) {
        (void)snprintf(gap->text, sizeof gap->text, "%s before \"%s\"", db, hi);
    } else {
        (void)snprintf(gap->text, sizeof gap->text, "all %s", db);
    }
}

bool tl_store_gaps_is_open(const tl_store_gaps *gaps, tl_db db)
{
    const tl_store_gap *last = gaps->n > 0 ? &gaps->gaps[gaps->n - 1] : NULL;
    return last != NULL && last->db == db && !last->has_hi;
}

tl_err tl_store_gaps_begin(
    tl_store_gaps *gaps, tl_db db, const void *lo, size_t lo_len, const char *why)
{
    TL_ASSERT(lo_len <= TL_STORE_MAX_KEY_BYTES);
    tl_store_gaps_note(gaps, why);
    if (tl_store_gaps_is_open(gaps, db)) {
        return TL_OK;
    }
    tl_store_gap *grown = tl_mem_resize(gaps->gaps, gaps->n + 1, sizeof *grown);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "%zu gaps of a store", gaps->n + 1);
    }
    gaps->gaps = grown;
    tl_store_gap *gap = &grown[gaps->n++];
    *gap = (tl_store_gap){.db = db, .has_lo = lo_len > 0, .lo_len = lo_len};
    if (lo_len > 0) {
        memcpy(gap->lo, lo, lo_len);
    }
    (void)snprintf(gap->why, sizeof gap->why, "%s", why);
    write_text(gap);
    return TL_OK;
}

void tl_store_gaps_end(tl_store_gaps *gaps, tl_db db, const void *hi, size_t hi_len)
{
    TL_ASSERT(hi_len > 0 && hi_len <= TL_STORE_MAX_KEY_BYTES);
    if (gaps->n >= TL_STORE_MAX_GAPS || !tl_store_gaps_is_open(gaps, db)) {
        return;
    }
    tl_store_gap *gap = &gaps->gaps[gaps->n - 1];
    gap->has_hi = true;
    gap->hi_len = hi_len;
    memcpy(gap->hi, hi, hi_len);
    write_text(gap);
}

tl_err tl_store_gaps_whole(tl_store_gaps *gaps, tl_db db, const char *why)
{
    while (gaps->n > 0 && gaps->gaps[gaps->n - 1].db == db) {
        gaps->n--;
    }
    gaps->n_entries[db] = 0;
    return tl_store_gaps_begin(gaps, db, NULL, 0, why);
}

tl_err tl_store_gaps_all(tl_store_gaps *gaps, const char *why)
{
    gaps->n = 0;
    gaps->is_all = true;
    for (int db = 0; db < TL_N_DBS; db++) {
        TL_TRY(tl_store_gaps_whole(gaps, (tl_db)db, why));
    }
    return TL_OK;
}

const tl_store_gap *tl_store_gaps_find(
    const tl_store_gaps *gaps, tl_db db, const void *key, size_t key_len)
{
    for (size_t i = 0; i < gaps->n; i++) {
        const tl_store_gap *gap = &gaps->gaps[i];
        bool is_behind =
            !gap->has_lo || tl_store_compare_keys(key, key_len, gap->lo, gap->lo_len) > 0;
        bool is_before =
            !gap->has_hi || tl_store_compare_keys(key, key_len, gap->hi, gap->hi_len) < 0;
        if (gap->db == db && is_behind && is_before) {
            return gap;
        }
    }
    return NULL;
}
