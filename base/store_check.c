/* SPDX-License-Identifier: Apache-2.0 */
#include "base/store_check.h"

#include "base/checksum.h"
#include "base/mem.h"
#include "base/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- LMDB's format 1, as mdb.c of 0.9 writes it on a 64-bit machine ---------------------- */

enum {
    MAGIC = (int)0xBEEFC0DE,
    FORMAT = 1,
    MIN_PAGE_BYTES = 512,
    MAX_PAGE_BYTES = 65536,
    MAX_KEY_BYTES = 511,
    MAX_DEPTH = 32,
    MAX_NAMED_DBS = 64,
    READ_AHEAD_BYTES = 128 * 1024, /* Linux takes no more of one advice */
    MAX_NAME_BYTES = 64,
    PAGE_BRANCH = 1,
    PAGE_LEAF = 2,
    PAGE_OVERFLOW = 4,
    PAGE_META = 8,
    NODE_BIG = 1, /* the value has pages of its own: the node holds the number of the first */
    NODE_DB = 2,  /* the value is a db_record */
    DB_INTEGER_KEYS = 8,
    FREE_LIST_KIND = 0xff, /* above it LMDB keeps there how the file was opened */
    N_METAS = 2
};

static const uint64_t no_page = UINT64_MAX;

typedef struct page_head {
    uint64_t number;
    uint16_t pad, flags;
    uint16_t lower, upper; /* of an overflow page: the number of pages, as one u32 */
} page_head;

typedef struct node_head {
    uint16_t low, high, flags, key_len;
} node_head;

typedef struct db_record {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t n_branch, n_leaf, n_overflow, n_entries, root;
} db_record;

typedef struct meta_record {
    uint32_t magic, format;
    uint64_t address, map_bytes;
    db_record free, main;
    uint64_t last_page, txn;
} meta_record;

_Static_assert(sizeof(page_head) == 16 && sizeof(node_head) == 8, "as LMDB has them");
_Static_assert(sizeof(db_record) == 48 && sizeof(meta_record) == 136, "as LMDB has them");

/* ---- heads of values ------------------------------------------------------------------------ */

uint64_t tl_store_key_sum(const char *db, const void *key, size_t key_len)
{
    TL_DEBUG_ASSERT(db != NULL);
    return tl_checksum(key, key_len, tl_checksum(db, strlen(db), 0));
}

tl_store_head tl_store_head_of(
    const char *db, const void *key, size_t key_len, const void *value, size_t value_len)
{
    uint64_t key_sum = tl_store_key_sum(db, key, key_len);
    return (tl_store_head){key_sum, tl_checksum(value, value_len, key_sum)};
}

void tl_store_name_entry(tl_text *out, const char *db, const void *key, size_t key_len)
{
    const char *bytes = key;
    tl_text_addf(out, "%s \"", db);
    for (size_t i = 0; i < key_len; i++) {
        tl_text_addf(out, "%c", tl_store_shown(bytes[i]));
    }
    tl_text_add(out, "\"");
}

/* ---- reading pages ------------------------------------------------------------------------- */

typedef struct checker {
    const char *path;
    int fd;
    bool is_thorough;
    size_t page_bytes;
    uint64_t last_page;
    uint8_t *is_taken; /* a bit for each page that is part of something */
    uint8_t *pages;    /* [MAX_DEPTH, page_bytes], one for each level */
    tl_store_report *report;
    tl_store_gaps *gaps; /* NULL: the first damage ends the check */
    char *why;           /* [TL_STORE_GAP_TEXT_BYTES] the last damage, without the file */
} checker;

/* Keys that a page may hold: from lo on, and before hi; NULL: any. Borrowed of the pages above. */
typedef struct bounds {
    const uint8_t *lo, *hi;
    size_t lo_len, hi_len;
} bounds;

/* One tree on its way. */
typedef struct walk {
    checker *c;
    const char *db; /* name; "": LMDB's own */
    const db_record *record;
    db_record found;
    tl_db id; /* of a database */
    tl_store_gaps
        *gaps; /* where damaged pages are noted and passed over; NULL: they end the walk */
    char last_key[MAX_KEY_BYTES]; /* the last that is sound; for gaps only */
    size_t last_len;
    bool is_free_list, is_main, has_heads;
    struct named_db *named; /* of the main tree: what it lists */
    size_t n_named;
} walk;

typedef struct named_db {
    char name[MAX_NAME_BYTES];
    db_record record;
} named_db;

static tl_err damaged(const checker *c, uint64_t page, const char *what)
{
    (void)snprintf(
        c->why, TL_STORE_GAP_TEXT_BYTES, "page %llu: %s", (unsigned long long)page, what);
    return tl_fail(
        TL_EDAMAGED, "%s is damaged: %s; restore a backup of the data folder (tailor restore)",
        c->path, c->why);
}

static tl_err read_at(const checker *c, uint64_t offset, void *out, size_t len)
{
    char *to = out;
    while (len > 0) {
        ssize_t n = pread(c->fd, to, len, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int status = errno;
            (void)damaged(c, offset / c->page_bytes, strerror(status));
            return tl_fail(TL_EIO, "cannot read %s: %s", c->path, strerror(status));
        }
        if (n == 0) {
            return damaged(c, offset / c->page_bytes, "the file ends before it");
        }
        to += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return TL_OK;
}

static tl_err check_numbers(const checker *c, uint64_t first, uint64_t n)
{
    return first < N_METAS || first > c->last_page || n > c->last_page - first + 1
               ? damaged(c, first, "something points to it, and there is no such page")
               : TL_OK;
}

/* Pages [first, first + n) are part of one thing only. */
static tl_err take(const checker *c, uint64_t first, uint64_t n)
{
    TL_TRY(check_numbers(c, first, n));
    for (uint64_t page = first; page < first + n; page++) {
        if ((c->is_taken[page / 8] & 1U << (page % 8)) != 0) {
            return damaged(c, page, "two things claim it");
        }
    }
    for (uint64_t page = first; page < first + n; page++) {
        c->is_taken[page / 8] |= (uint8_t)(1U << (page % 8));
    }
    c->report->n_pages += n;
    return TL_OK;
}

/* ---- values ------------------------------------------------------------------------------ */

typedef struct node {
    node_head head;
    const uint8_t *key;
    const uint8_t *data; /* in the page: the value, or the number of its first page */
    size_t value_len;
} node;

static uint64_t u64_at(const uint8_t *at)
{
    uint64_t x = 0;
    memcpy(&x, at, sizeof x);
    return x;
}

static tl_err report_damaged(const walk *w, const node *n)
{
    tl_store_report *report = w->c->report;
    if (report->n_damaged++ < TL_STORE_MAX_NAMED) {
        tl_store_name_entry(&report->damaged, w->db, n->key, n->head.key_len);
        tl_text_add(&report->damaged, "\n");
    }
    return tl_text_err(&report->damaged);
}

/* value holds all of it, or only its head where it is long and the check is not thorough. */
static tl_err check_head(const walk *w, const node *n, const uint8_t *value, bool is_whole)
{
    tl_store_head head;
    bool is_right = false;
    if (n->value_len >= sizeof head) {
        memcpy(&head, value, sizeof head);
        if (is_whole) {
            tl_store_head wanted = tl_store_head_of(
                w->db, n->key, n->head.key_len, value + sizeof head,
                n->value_len - sizeof head);
            is_right = head.key_sum == wanted.key_sum && head.value_sum == wanted.value_sum;
        } else {
            is_right = head.key_sum == tl_store_key_sum(w->db, n->key, n->head.key_len);
        }
    }
    return is_right ? TL_OK : report_damaged(w, n);
}

/* LMDB's list of free pages: a count, then numbers that descend. */
static tl_err check_free_list(const walk *w, const node *n, const uint8_t *list, uint64_t page)
{
    size_t n_room = n->value_len / sizeof(uint64_t);
    if (n_room == 0 || n->value_len % sizeof(uint64_t) != 0 || u64_at(list) > n_room - 1) {
        return damaged(w->c, page, "a list of free pages that is none");
    }
    uint64_t above = no_page;
    for (uint64_t i = 1; i <= u64_at(list); i++) {
        uint64_t free_page = u64_at(list + i * sizeof(uint64_t));
        if (free_page >= above) {
            return damaged(w->c, page, "a list of free pages out of order");
        }
        above = free_page;
    }
    for (uint64_t i = 1; i <= u64_at(list); i++) {
        TL_TRY(take(w->c, u64_at(list + i * sizeof(uint64_t)), 1));
    }
    return TL_OK;
}

static tl_err check_value(const walk *w, const node *n, const uint8_t *value, uint64_t page)
{
    bool is_format = strcmp(w->db, TL_STORE_FORMAT_DB) == 0 &&
                     n->head.key_len == strlen(TL_STORE_FORMAT_KEY) &&
                     memcmp(n->key, TL_STORE_FORMAT_KEY, n->head.key_len) == 0;
    if (w->is_free_list) {
        return check_free_list(w, n, value, page);
    }
    return w->has_heads && !is_format ? check_head(w, n, value, true) : TL_OK;
}

/* A value with pages of its own, of which the first begins with a page_head. */
static tl_err check_big(walk *w, const node *n, uint64_t page)
{
    const checker *c = w->c;
    page_head head;
    uint32_t n_pages = 0;
    uint64_t first = u64_at(n->data);
    uint64_t wanted = (sizeof head - 1 + n->value_len) / c->page_bytes + 1;
    TL_TRY(check_numbers(c, first, 1));
    TL_TRY(read_at(c, first * c->page_bytes, &head, sizeof head));
    memcpy(&n_pages, &head.lower, sizeof n_pages);
    /* A shorter value may have taken the place of a longer one, and all of its pages. */
    if (head.number != first || head.flags != PAGE_OVERFLOW || n_pages < wanted) {
        return damaged(c, first, "it is not the long value that it should be");
    }
    TL_TRY(take(c, first, n_pages));
    w->found.n_overflow += n_pages;
    uint64_t at = first * c->page_bytes + sizeof head;
    if (!w->is_free_list && !(w->has_heads && c->is_thorough)) {
        /* Its last byte is there: reading the map up to it cannot end the process. */
        uint8_t start[sizeof(tl_store_head)] = {0};
        TL_TRY(read_at(c, at + n->value_len - 1, start, 1));
        size_t len = n->value_len < sizeof start ? n->value_len : sizeof start;
        TL_TRY(read_at(c, at, start, len));
        return w->has_heads ? check_head(w, n, start, false) : TL_OK;
    }
    uint8_t *value = tl_mem_new(n->value_len, 1);
    if (value == NULL) {
        return tl_fail(TL_ENOMEM, "a value of %zu bytes", n->value_len);
    }
    tl_err err = read_at(c, at, value, n->value_len);
    if (err == TL_OK) {
        err = check_value(w, n, value, page);
    }
    tl_mem_free(value);
    return err;
}

/* TL_N_DBS: none of ours. */
static int find_id(const char *name)
{
    int id = 0;
    while (id < TL_N_DBS && strcmp(name, tl_store_db_name((tl_db)id)) != 0) {
        id++;
    }
    return id;
}

/* What the main tree lists: the databases. */
static tl_err add_named(walk *w, const node *n, uint64_t page)
{
    if (n->value_len != sizeof(db_record) || n->head.flags != NODE_DB ||
        n->head.key_len >= MAX_NAME_BYTES || w->n_named == MAX_NAMED_DBS) {
        return damaged(w->c, page, "a database that is none");
    }
    named_db *named = &w->named[w->n_named];
    *named = (named_db){.name = {0}};
    memcpy(named->name, n->key, n->head.key_len);
    memcpy(&named->record, n->data, sizeof named->record);
    w->n_named++;
    return find_id(named->name) < TL_N_DBS
               ? TL_OK
               : damaged(w->c, page, "a database of a name that this version does not know");
}

/* ---- trees ----------------------------------------------------------------------------- */

static int compare_keys(
    const walk *w, const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    if (w->is_free_list) {
        uint64_t x = u64_at(a);
        uint64_t y = u64_at(b);
        return x < y ? -1 : x > y ? 1 : 0;
    }
    return tl_store_compare_keys(a, a_len, b, b_len);
}

/* The keys of a page ascend, within its bounds; above becomes the last of them. */
static tl_err check_order(
    const walk *w, const node *n, const bounds *within, bounds *above, uint64_t page)
{
    size_t len = n->head.key_len;
    if (len == 0 || len > MAX_KEY_BYTES || (w->is_free_list && len != sizeof(uint64_t))) {
        return damaged(w->c, page, "a key of a wrong length");
    }
    bool is_before =
        within->lo != NULL && compare_keys(w, n->key, len, within->lo, within->lo_len) < 0;
    bool is_behind =
        within->hi != NULL && compare_keys(w, n->key, len, within->hi, within->hi_len) >= 0;
    bool is_low =
        above->lo != NULL && compare_keys(w, n->key, len, above->lo, above->lo_len) <= 0;
    if (is_before || is_behind || is_low) {
        return damaged(w->c, page, "keys out of order");
    }
    *above = (bounds){.lo = n->key, .lo_len = len};
    return TL_OK;
}

/* Where node i of a page lies; *bytes grows by the room that it takes. */
static tl_err find_node(
    const checker *c, const uint8_t *page, int i, bool is_leaf, node *out_node, size_t *bytes)
{
    page_head head;
    uint16_t at = 0;
    node n = {.value_len = 0};
    memcpy(&head, page, sizeof head);
    memcpy(&at, page + sizeof head + (size_t)i * sizeof at, sizeof at);
    if (at < head.upper || at + sizeof n.head > c->page_bytes || at % 2 != 0) {
        return damaged(c, head.number, "an entry beyond it");
    }
    memcpy(&n.head, page + at, sizeof n.head);
    size_t len = sizeof n.head + n.head.key_len;
    if (is_leaf) {
        n.value_len = (size_t)n.head.low | (size_t)n.head.high << 16;
        len += (n.head.flags & NODE_BIG) != 0 ? sizeof(uint64_t) : n.value_len;
    }
    len += len % 2;
    if (at + len > c->page_bytes) {
        return damaged(c, head.number, "an entry that is too long for it");
    }
    n.key = page + at + sizeof n.head;
    n.data = n.key + n.head.key_len;
    *out_node = n;
    *bytes += len;
    return TL_OK;
}

static tl_err check_page_head(const walk *w, const uint8_t *page, uint64_t number, int depth)
{
    page_head head;
    memcpy(&head, page, sizeof head);
    bool is_leaf = depth == w->record->depth;
    int n = (head.lower - (int)sizeof head) / 2;
    if (head.number != number || head.flags != (is_leaf ? PAGE_LEAF : PAGE_BRANCH)) {
        return damaged(w->c, number, "it is not the page that it should be");
    }
    if (head.lower < sizeof head || head.lower % 2 != 0 || head.lower > head.upper ||
        head.upper > w->c->page_bytes || n < (is_leaf ? 1 : 2)) {
        return damaged(w->c, number, "its bounds are not possible");
    }
    return TL_OK;
}

static int count_nodes(const uint8_t *page)
{
    page_head head;
    memcpy(&head, page, sizeof head);
    return (head.lower - (int)sizeof head) / 2;
}

/* All that a page says by itself. The first key of a branch is its own, and is not written. */
static tl_err check_nodes(
    const walk *w, const uint8_t *page, uint64_t number, bool is_leaf, const bounds *within)
{
    page_head head;
    size_t bytes = 0;
    bounds above = {.lo = NULL};
    memcpy(&head, page, sizeof head);
    for (int i = 0; i < count_nodes(page); i++) {
        node n = {.value_len = 0};
        TL_TRY(find_node(w->c, page, i, is_leaf, &n, &bytes));
        if (is_leaf || i > 0) {
            TL_TRY(check_order(w, &n, within, &above, number));
        }
        if (is_leaf && !w->is_main && (n.head.flags & ~NODE_BIG) != 0) {
            return damaged(w->c, number, "an entry of an unknown kind");
        }
    }
    return bytes == w->c->page_bytes - head.upper
               ? TL_OK
               : damaged(w->c, number, "its entries do not fill it as they should");
}

/* Reads a page and makes it part of the tree. Nothing below it is looked at. */
static tl_err load_page(
    const walk *w, uint64_t number, int depth, const bounds *within, uint8_t *page)
{
    const checker *c = w->c;
    TL_TRY(check_numbers(c, number, 1));
    TL_TRY(read_at(c, number * c->page_bytes, page, c->page_bytes));
    TL_TRY(check_page_head(w, page, number, depth));
    TL_TRY(check_nodes(w, page, number, depth == w->record->depth, within));
    return take(c, number, 1);
}

/* Damage becomes a gap behind the last sound key, where gaps are wanted. */
static tl_err pass_over(const walk *w, tl_err err)
{
    if (w->gaps == NULL || (err != TL_EDAMAGED && err != TL_EIO)) {
        return err;
    }
    return tl_store_gaps_begin(w->gaps, w->id, w->last_key, w->last_len, w->c->why);
}

static void note_sound(walk *w, const node *n)
{
    if (w->gaps == NULL) {
        return;
    }
    tl_store_gaps_end(w->gaps, w->id, n->key, n->head.key_len);
    if (!tl_store_gaps_is_open(w->gaps, w->id)) {
        memcpy(w->last_key, n->key, n->head.key_len);
        w->last_len = n->head.key_len;
        w->gaps->n_entries[w->id]++;
    }
}

static tl_err check_leaf_node(walk *w, const node *n, uint64_t page)
{
    w->found.n_entries++;
    if (w->is_main) {
        return add_named(w, n, page);
    }
    tl_err err =
        n->head.flags == NODE_BIG ? check_big(w, n, page) : check_value(w, n, n->data, page);
    if (err != TL_OK) {
        return pass_over(w, err);
    }
    note_sound(w, n);
    return TL_OK;
}

static uint64_t child_of(const node *n)
{
    return (uint64_t)n->head.low | (uint64_t)n->head.high << 16 | (uint64_t)n->head.flags << 32;
}

static tl_err walk_page(walk *w, uint64_t number, int depth, const bounds *within);

/* The keys of a child lie between its own in the branch and that of the next child. */
static tl_err walk_children(walk *w, const uint8_t *page, int depth, const bounds *within)
{
    int n_children = count_nodes(page);
    size_t bytes = 0;
    node n = {.value_len = 0};
    TL_TRY(find_node(w->c, page, 0, false, &n, &bytes));
    for (int i = 0; i < n_children; i++) {
        bounds child = *within;
        uint64_t number = child_of(&n);
        if (i > 0) {
            child.lo = n.key;
            child.lo_len = n.head.key_len;
        }
        if (i + 1 < n_children) {
            TL_TRY(find_node(w->c, page, i + 1, false, &n, &bytes));
            child.hi = n.key;
            child.hi_len = n.head.key_len;
        }
        TL_TRY(walk_page(w, number, depth + 1, &child));
    }
    return TL_OK;
}

static tl_err walk_page(walk *w, uint64_t number, int depth, const bounds *within)
{
    const checker *c = w->c;
    uint8_t *page = c->pages + (size_t)(depth - 1) * c->page_bytes;
    size_t bytes = 0;
    bool is_leaf = depth == w->record->depth;
    tl_err err = load_page(w, number, depth, within, page);
    if (err != TL_OK) {
        return pass_over(w, err);
    }
    w->found.n_leaf += is_leaf ? 1 : 0;
    w->found.n_branch += is_leaf ? 0 : 1;
    if (!is_leaf) {
        return walk_children(w, page, depth, within);
    }
    for (int i = 0; i < count_nodes(page); i++) {
        node n = {.value_len = 0};
        TL_TRY(find_node(c, page, i, true, &n, &bytes));
        TL_TRY(check_leaf_node(w, &n, number));
    }
    return TL_OK;
}

static bool has_gap(const walk *w)
{
    return w->gaps != NULL && w->gaps->n > 0 && w->gaps->gaps[w->gaps->n - 1].db == w->id;
}

static tl_err walk_tree(walk *w)
{
    const db_record *r = w->record;
    const bounds all = {.lo = NULL};
    bool is_kind =
        w->is_free_list ? (r->flags & FREE_LIST_KIND) == DB_INTEGER_KEYS : r->flags == 0;
    if (!is_kind || r->depth > MAX_DEPTH || (r->root == no_page) != (r->depth == 0)) {
        return damaged(w->c, r->root, "the root of a tree that is none");
    }
    if (r->root != no_page) {
        TL_TRY(walk_page(w, r->root, 1, &all));
    }
    if (!has_gap(w) &&
        (w->found.n_branch != r->n_branch || w->found.n_leaf != r->n_leaf ||
         w->found.n_overflow != r->n_overflow || w->found.n_entries != r->n_entries)) {
        return damaged(w->c, r->root, "the tree below does not hold what was counted");
    }
    return TL_OK;
}

/* Of which nothing can be told in parts, all is lost. */
static tl_err walk_database(walk *w)
{
    tl_err err = walk_tree(w);
    if (w->gaps == NULL || (err != TL_EDAMAGED && err != TL_EIO)) {
        return err;
    }
    return tl_store_gaps_whole(w->gaps, w->id, w->c->why);
}

/* ---- the file -------------------------------------------------------------------------- */

/* Reads the meta page that counts: the newer of the two, which differ by one commit. */
static tl_err read_metas(checker *c, meta_record *out_meta)
{
    meta_record metas[N_METAS];
    for (uint64_t i = 0; i < N_METAS; i++) {
        page_head head;
        TL_TRY(read_at(c, i * c->page_bytes, &head, sizeof head));
        TL_TRY(read_at(c, i * c->page_bytes + sizeof head, &metas[i], sizeof metas[i]));
        if ((head.flags & PAGE_META) == 0 || metas[i].magic != (uint32_t)MAGIC) {
            return damaged(c, i, "it is not where a store begins");
        }
        if (metas[i].format != FORMAT) {
            return tl_fail(
                TL_EVERSION, "%s is of another LMDB: format %u, want %d", c->path,
                metas[i].format, (int)FORMAT);
        }
        c->page_bytes = i == 0 ? metas[i].free.pad : c->page_bytes;
        if (c->page_bytes < MIN_PAGE_BYTES || c->page_bytes > MAX_PAGE_BYTES ||
            (c->page_bytes & (c->page_bytes - 1)) != 0 || metas[i].free.pad != c->page_bytes) {
            return damaged(c, i, "its page size is not possible");
        }
    }
    uint64_t apart =
        metas[0].txn > metas[1].txn ? metas[0].txn - metas[1].txn : metas[1].txn - metas[0].txn;
    if (apart > 1 || (apart == 0 && metas[0].txn != 0)) {
        return damaged(c, 0, "the last commits do not follow each other");
    }
    *out_meta = metas[metas[1].txn > metas[0].txn ? 1 : 0];
    c->last_page = out_meta->last_page;
    return TL_OK;
}

static const named_db *find_named(const walk *main, const char *name)
{
    for (size_t i = 0; i < main->n_named; i++) {
        if (strcmp(main->named[i].name, name) == 0) {
            return &main->named[i];
        }
    }
    return NULL;
}

/* Whether the tree has this key. Believes nothing but what it has checked. */
static tl_err look_up(checker *c, const db_record *db, const char *key, bool *out_is_there)
{
    uint64_t number = db->root;
    *out_is_there = false;
    for (int depth = 1; db->root != no_page && depth <= MAX_DEPTH; depth++) {
        walk w = {.c = c, .db = "", .record = db};
        size_t bytes = 0;
        bool is_leaf = depth == db->depth;
        TL_TRY(check_numbers(c, number, 1));
        TL_TRY(read_at(c, number * c->page_bytes, c->pages, c->page_bytes));
        TL_TRY(check_page_head(&w, c->pages, number, depth));
        for (int i = 0; i < count_nodes(c->pages); i++) {
            node n = {.value_len = 0};
            TL_TRY(find_node(c, c->pages, i, is_leaf, &n, &bytes));
            int order = i == 0 && !is_leaf
                            ? -1
                            : tl_store_compare_keys(n.key, n.head.key_len, key, strlen(key));
            if (is_leaf && order == 0) {
                *out_is_there = true;
            } else if (!is_leaf && order <= 0) {
                number = child_of(&n);
            }
        }
        if (is_leaf) {
            return TL_OK;
        }
    }
    return TL_OK;
}

/*
 * The pages of a tree lie in no order. Where trees are most of the file, as with very many
 * small values, and it fits half of the memory, it is read from front to back first.
 */
static void read_ahead(const checker *c, const walk *main)
{
    uint64_t n = 0;
    long page_bytes = sysconf(_SC_PAGESIZE);
    long n_pages = sysconf(_SC_PHYS_PAGES);
    for (size_t i = 0; i < main->n_named; i++) {
        n += main->named[i].record.n_branch + main->named[i].record.n_leaf;
    }
    if (n > c->last_page / 2 && page_bytes > 0 && n_pages > 0 &&
        c->last_page < (uint64_t)n_pages / 2 * (uint64_t)page_bytes / c->page_bytes) {
        off_t end = (off_t)(c->last_page * c->page_bytes);
        for (off_t at = 0; at < end; at += READ_AHEAD_BYTES) {
            (void)posix_fadvise(c->fd, at, READ_AHEAD_BYTES, POSIX_FADV_WILLNEED);
        }
    }
}

/* Where that cannot be told, values have heads, and each that has none will be found damaged. */
static tl_err find_format(checker *c, const walk *main)
{
    const named_db *about = find_named(main, TL_STORE_FORMAT_DB);
    if (about == NULL) {
        return TL_OK;
    }
    tl_err err = look_up(c, &about->record, TL_STORE_FORMAT_KEY, &c->report->has_heads);
    if (err == TL_OK && !c->report->has_heads && about->record.n_entries > 0) {
        err = damaged(c, about->record.root, "it should say how values are kept");
    }
    if (c->gaps == NULL || (err != TL_EDAMAGED && err != TL_EIO)) {
        return err;
    }
    c->report->has_heads = true;
    tl_store_gaps_note(c->gaps, c->why);
    return TL_OK;
}

/*
 * What is free comes first: an entry that leads into it, where former states of the trees are, is
 * what is wrong then. Damage to the list itself concerns who wants to write.
 */
static tl_err walk_free_list(checker *c, const meta_record *meta)
{
    walk free_list = {.c = c, .db = "", .record = &meta->free, .is_free_list = true};
    tl_err err = walk_tree(&free_list);
    if (c->gaps == NULL || (err != TL_EDAMAGED && err != TL_EIO)) {
        return err;
    }
    tl_store_gaps_note(c->gaps, c->why);
    return TL_OK;
}

/* What is free, the main tree, and the databases that it lists. */
static tl_err walk_all(checker *c, const meta_record *meta, named_db *named)
{
    walk main = {.c = c, .db = "", .record = &meta->main, .is_main = true, .named = named};
    TL_TRY(walk_free_list(c, meta));
    TL_TRY(walk_tree(&main));
    read_ahead(c, &main);
    TL_TRY(find_format(c, &main));
    for (size_t i = 0; i < main.n_named; i++) {
        walk w = {
            .c = c,
            .db = named[i].name,
            .id = (tl_db)find_id(named[i].name),
            .record = &named[i].record,
            .gaps = c->gaps,
            .has_heads = c->report->has_heads};
        TL_TRY(walk_database(&w));
        c->report->n_entries += w.found.n_entries;
    }
    return TL_OK;
}

static tl_err check_open(checker *c)
{
    meta_record meta;
    named_db *named = NULL;
    struct stat file;
    if (fstat(c->fd, &file) != 0) {
        return tl_fail(TL_EIO, "cannot read %s: %s", c->path, strerror(errno));
    }
    if (file.st_size == 0) {
        return tl_fail(TL_ENOTFOUND, "%s is empty", c->path);
    }
    c->page_bytes = MIN_PAGE_BYTES; /* until the first page says it */
    TL_TRY(read_metas(c, &meta));
    uint64_t file_pages = (uint64_t)file.st_size / c->page_bytes;
    /* Free pages at the end may never have been written, but not so many. */
    if (meta.last_page < N_METAS - 1 || meta.last_page > 2 * file_pages + MAX_PAGE_BYTES) {
        return damaged(c, meta.last_page, "the file ends long before what should be the last");
    }
    tl_err err = TL_ENOMEM;
    c->is_taken = tl_mem_new(meta.last_page / 8 + 1, 1);
    c->pages = tl_mem_new(MAX_DEPTH, c->page_bytes);
    named = tl_mem_new(MAX_NAMED_DBS, sizeof *named);
    if (c->is_taken == NULL || c->pages == NULL || named == NULL) {
        err = tl_fail(TL_ENOMEM, "a check of %s", c->path);
    } else {
        err = walk_all(c, &meta, named);
    }
    tl_mem_free(named);
    tl_mem_free(c->pages);
    tl_mem_free(c->is_taken);
    return err;
}

static tl_err check(
    const char *path, bool is_thorough, tl_store_gaps *gaps, tl_store_report *out_report)
{
    char why[TL_STORE_GAP_TEXT_BYTES] = "";
    tl_store_report report = {0};
    checker c = {
        .path = path, .is_thorough = is_thorough, .report = &report, .gaps = gaps, .why = why};
    c.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (c.fd < 0) {
        return tl_fail(
            errno == ENOENT ? TL_ENOTFOUND : TL_EIO, "cannot open %s: %s", path,
            strerror(errno));
    }
    tl_err err = check_open(&c);
    (void)close(c.fd);
    if (gaps != NULL && (err == TL_EDAMAGED || err == TL_EIO)) {
        err = tl_store_gaps_all(gaps, why[0] != '\0' ? why : tl_err_detail());
    }
    if (err != TL_OK) {
        tl_text_done(&report.damaged);
        return err;
    }
    *out_report = report;
    return TL_OK;
}

tl_err tl_store_check(const char *path, bool is_thorough, tl_store_report *out_report)
{
    return check(path, is_thorough, NULL, out_report);
}

tl_err tl_store_find_gaps(const char *path, tl_store_report *out_report, tl_store_gaps *gaps)
{
    return check(path, false, gaps, out_report);
}
