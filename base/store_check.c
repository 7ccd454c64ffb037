/* SPDX-License-Identifier: Apache-2.0 */
#include "base/store_check.h"

#include "base/checksum.h"
#include "base/mem.h"
#include "base/store.h"

#include <errno.h>
#include <fcntl.h>
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
    DB_KIND_MASK = 0xff, /* above it LMDB keeps how the file was opened */
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
        char c = bytes[i] == '\0' ? ' ' : bytes[i];
        tl_text_addf(out, "%c", c >= ' ' && c <= '~' ? c : '?');
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
} checker;

/* One tree on its way. */
typedef struct walk {
    checker *c;
    const char *db; /* name; "": LMDB's own */
    const db_record *record;
    db_record found;
    char last_key[MAX_KEY_BYTES]; /* the next one is greater, or may equal a separator */
    size_t last_len;
    bool has_last, is_separator;
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
    return tl_fail(
        TL_EDAMAGED,
        "%s is damaged: page %llu: %s; restore a backup of the data folder (tailor restore)",
        c->path, (unsigned long long)page, what);
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
            return tl_fail(TL_EIO, "cannot read %s: %s", c->path, strerror(errno));
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

/* Pages [first, first + n) are part of one thing only. */
static tl_err take(const checker *c, uint64_t first, uint64_t n)
{
    if (first < N_METAS || first > c->last_page || n > c->last_page - first + 1) {
        return damaged(c, first, "something points to it, and there is no such page");
    }
    for (uint64_t page = first; page < first + n; page++) {
        uint8_t bit = (uint8_t)(1U << (page % 8));
        if ((c->is_taken[page / 8] & bit) != 0) {
            return damaged(c, page, "two things claim it");
        }
        c->is_taken[page / 8] |= bit;
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
        TL_TRY(take(w->c, free_page, 1));
        above = free_page;
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
    TL_TRY(take(c, first, 1));
    TL_TRY(read_at(c, first * c->page_bytes, &head, sizeof head));
    memcpy(&n_pages, &head.lower, sizeof n_pages);
    /* A shorter value may have taken the place of a longer one, and all of its pages. */
    if (head.number != first || head.flags != PAGE_OVERFLOW || n_pages < wanted) {
        return damaged(c, first, "it is not the long value that it should be");
    }
    TL_TRY(n_pages > 1 ? take(c, first + 1, n_pages - 1) : TL_OK);
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

static const char *const known_names[] = {
#define DB_NAME(id, name) (name),
    TL_DB_LIST(DB_NAME)
#undef DB_NAME
};

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
    for (size_t i = 0; i < TL_COUNT(known_names); i++) {
        if (strcmp(named->name, known_names[i]) == 0) {
            return TL_OK;
        }
    }
    return damaged(w->c, page, "a database of a name that this version does not know");
}

/* ---- trees ----------------------------------------------------------------------------- */

static int compare_keys(const walk *w, const uint8_t *a, size_t a_len)
{
    if (w->is_free_list) {
        uint64_t x = u64_at(a);
        uint64_t y = u64_at((const uint8_t *)w->last_key);
        return x < y ? -1 : x > y ? 1 : 0;
    }
    size_t len = a_len < w->last_len ? a_len : w->last_len;
    int order = len > 0 ? memcmp(a, w->last_key, len) : 0;
    return order != 0 ? order : a_len < w->last_len ? -1 : a_len > w->last_len ? 1 : 0;
}

static tl_err check_order(walk *w, const node *n, bool is_separator, uint64_t page)
{
    size_t len = n->head.key_len;
    if (len == 0 || len > MAX_KEY_BYTES || (w->is_free_list && len != sizeof(uint64_t))) {
        return damaged(w->c, page, "a key of a wrong length");
    }
    if (w->has_last) {
        int order = compare_keys(w, n->key, len);
        if (order < 0 || (order == 0 && !w->is_separator)) {
            return damaged(w->c, page, "keys out of order");
        }
    }
    memcpy(w->last_key, n->key, len);
    w->last_len = len;
    w->has_last = true;
    w->is_separator = is_separator;
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

static tl_err check_leaf_node(walk *w, const node *n, uint64_t page)
{
    TL_TRY(check_order(w, n, false, page));
    w->found.n_entries++;
    if (w->is_main) {
        return add_named(w, n, page);
    }
    if ((n->head.flags & ~NODE_BIG) != 0) {
        return damaged(w->c, page, "an entry of an unknown kind");
    }
    return n->head.flags == NODE_BIG ? check_big(w, n, page) : check_value(w, n, n->data, page);
}

static tl_err walk_page(walk *w, uint64_t number, int depth);

/* The key of the first child is that of the page itself, and is not written. */
static tl_err check_branch_node(walk *w, const node *n, int i, uint64_t page, int depth)
{
    uint64_t child =
        (uint64_t)n->head.low | (uint64_t)n->head.high << 16 | (uint64_t)n->head.flags << 32;
    if (i > 0) {
        TL_TRY(check_order(w, n, true, page));
    }
    return walk_page(w, child, depth + 1);
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

static tl_err walk_page(walk *w, uint64_t number, int depth)
{
    const checker *c = w->c;
    uint8_t *page = c->pages + (size_t)(depth - 1) * c->page_bytes;
    page_head head;
    size_t bytes = 0;
    bool is_leaf = depth == w->record->depth;
    TL_TRY(take(c, number, 1));
    TL_TRY(read_at(c, number * c->page_bytes, page, c->page_bytes));
    TL_TRY(check_page_head(w, page, number, depth));
    memcpy(&head, page, sizeof head);
    w->found.n_leaf += is_leaf ? 1 : 0;
    w->found.n_branch += is_leaf ? 0 : 1;
    int n_nodes = (head.lower - (int)sizeof head) / 2;
    for (int i = 0; i < n_nodes; i++) {
        node n = {.value_len = 0};
        TL_TRY(find_node(c, page, i, is_leaf, &n, &bytes));
        TL_TRY(
            is_leaf ? check_leaf_node(w, &n, number)
                    : check_branch_node(w, &n, i, number, depth));
    }
    return bytes == c->page_bytes - head.upper
               ? TL_OK
               : damaged(c, number, "its entries do not fill it as they should");
}

static tl_err walk_tree(walk *w)
{
    const db_record *r = w->record;
    uint16_t flags = w->is_free_list ? DB_INTEGER_KEYS : 0;
    if ((r->flags & DB_KIND_MASK) != flags || r->depth > MAX_DEPTH ||
        (r->root == no_page) != (r->depth == 0)) {
        return damaged(w->c, r->root, "the root of a tree that is none");
    }
    if (r->root != no_page) {
        TL_TRY(walk_page(w, r->root, 1));
    }
    if (w->found.n_branch != r->n_branch || w->found.n_leaf != r->n_leaf ||
        w->found.n_overflow != r->n_overflow || w->found.n_entries != r->n_entries) {
        return damaged(w->c, r->root, "the tree below does not hold what was counted");
    }
    return TL_OK;
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
        walk w = {.c = c, .db = "", .record = db, .last_len = strlen(key)};
        memcpy(w.last_key, key, w.last_len);
        page_head head;
        size_t bytes = 0;
        bool is_leaf = depth == db->depth;
        if (number > c->last_page) {
            return damaged(c, number, "something points to it, and there is no such page");
        }
        TL_TRY(read_at(c, number * c->page_bytes, c->pages, c->page_bytes));
        TL_TRY(check_page_head(&w, c->pages, number, depth));
        memcpy(&head, c->pages, sizeof head);
        for (int i = 0; i < (head.lower - (int)sizeof head) / 2; i++) {
            node n = {.value_len = 0};
            TL_TRY(find_node(c, c->pages, i, is_leaf, &n, &bytes));
            int order = i == 0 && !is_leaf ? -1 : compare_keys(&w, n.key, n.head.key_len);
            if (is_leaf && order == 0) {
                *out_is_there = true;
            } else if (!is_leaf && order <= 0) {
                number = (uint64_t)n.head.low | (uint64_t)n.head.high << 16 |
                         (uint64_t)n.head.flags << 32;
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

/* The main tree, the databases that it lists, and what is free. */
static tl_err walk_all(checker *c, const meta_record *meta, named_db *named)
{
    walk main = {.c = c, .db = "", .record = &meta->main, .is_main = true, .named = named};
    TL_TRY(walk_tree(&main));
    read_ahead(c, &main);
    const named_db *about = find_named(&main, TL_STORE_FORMAT_DB);
    if (about != NULL) {
        TL_TRY(look_up(c, &about->record, TL_STORE_FORMAT_KEY, &c->report->has_heads));
        if (!c->report->has_heads && about->record.n_entries > 0) {
            return damaged(c, about->record.root, "it should say how values are kept");
        }
    }
    for (size_t i = 0; i < main.n_named; i++) {
        walk w = {
            .c = c,
            .db = named[i].name,
            .record = &named[i].record,
            .has_heads = c->report->has_heads};
        TL_TRY(walk_tree(&w));
        c->report->n_entries += w.found.n_entries;
    }
    walk free_list = {.c = c, .db = "", .record = &meta->free, .is_free_list = true};
    return walk_tree(&free_list);
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

tl_err tl_store_check(const char *path, bool is_thorough, tl_store_report *out_report)
{
    tl_store_report report = {0};
    checker c = {.path = path, .is_thorough = is_thorough, .report = &report};
    c.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (c.fd < 0) {
        return tl_fail(
            errno == ENOENT ? TL_ENOTFOUND : TL_EIO, "cannot open %s: %s", path,
            strerror(errno));
    }
    tl_err err = check_open(&c);
    (void)close(c.fd);
    if (err != TL_OK) {
        tl_text_done(&report.damaged);
        return err;
    }
    *out_report = report;
    return TL_OK;
}
