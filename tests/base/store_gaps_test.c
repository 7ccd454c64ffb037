/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"
#include "tests/support/torture.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/store.h"
#include "base/store_check.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A store with damaged pages, opened for what is sound: every entry is read as it was written, or
 * is refused; none is absent, none is another, and nothing crashes.
 */

enum {
    PATH_BYTES = 600,
    MAX_BYTES = 64 << 20,
    PAGE_BYTES = 4096,
    N_KEYS = 2000, /* of each of two databases, whose trees have three levels */
    KEY_BYTES = 200,
    LONG_BYTES = 9000,
    N_TRIALS = 100
};

static const tl_db filled[] = {TL_DB_DEVICES, TL_DB_MEASUREMENTS};

typedef struct fixture {
    const char *dir;
    char path[PATH_BYTES];
    char *whole;
    size_t len;
} fixture;

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 33;
}

static size_t make_key(char key[KEY_BYTES + 1], int i)
{
    return (size_t)snprintf(key, KEY_BYTES + 1, "%05d-%0*d", i, KEY_BYTES - 6, i * 7);
}

static size_t make_value(char value[LONG_BYTES], tl_db db, int i, int version)
{
    size_t len = db == TL_DB_MEASUREMENTS && i % 50 == 7 ? LONG_BYTES : (size_t)(20 + i % 50);
    memset(value, 'a' + (i + version) % 26, len);
    return len;
}

/* Written three times, so that former states lie in free pages. */
static fixture new_fixture(void)
{
    fixture f = {.dir = tl_test_new_dir()};
    char key[KEY_BYTES + 1];
    static char value[LONG_BYTES];
    tl_store *store = NULL;
    assert_ok(tl_store_open(f.dir, 64, &store));
    for (int version = 2; version >= 0; version--) {
        tl_store_txn *txn = NULL;
        assert_ok(tl_store_begin(store, &txn));
        for (int i = 0; i < N_KEYS; i++) {
            for (size_t d = 0; d < TL_COUNT(filled); d++) {
                size_t key_len = make_key(key, i * 31 % N_KEYS);
                size_t len = make_value(value, filled[d], i * 31 % N_KEYS, version);
                assert_ok(tl_store_put(txn, filled[d], key, key_len, value, len));
            }
        }
        assert_ok(tl_store_commit(&txn));
    }
    tl_store_close(store);
    (void)snprintf(f.path, sizeof f.path, "%s/store.mdb", f.dir);
    assert_ok(tl_file_read(f.path, MAX_BYTES, &f.whole, &f.len));
    return f;
}

/* Not made durable, unlike by tl_file_write(), which would take most of the time here. */
static void put_file(const fixture *f, size_t len)
{
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(f->whole, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* What a walk over a database shows. */
typedef struct seen {
    tl_db db;
    bool is_there[N_KEYS];
    int n_damaged, n_gaps, last;
} seen;

static tl_err look(void *context, const tl_store_entry *entry)
{
    seen *s = context;
    static char value[LONG_BYTES];
    if (entry->is_damaged) {
        assert_true(entry->lost == NULL || strlen(entry->lost) > 0);
        s->n_gaps += entry->lost != NULL ? 1 : 0;
        s->n_damaged += entry->lost == NULL ? 1 : 0;
        return TL_OK;
    }
    int i = 0;
    assert_int_equal(sscanf(entry->key, "%5d", &i), 1);
    assert_in_range(i, 0, N_KEYS - 1);
    assert_true(i > s->last);
    s->last = i;
    s->is_there[i] = true;
    assert_int_equal(entry->value_len, make_value(value, s->db, i, 0));
    assert_memory_equal(entry->value, value, entry->value_len);
    return TL_OK;
}

/* Looks for every key, and at all of them in a row: both agree. */
static int check_database(tl_store *store, tl_db db)
{
    static seen s;
    char key[KEY_BYTES + 1];
    int n_read = 0;
    const tl_store_range all = {.with_damaged = true};
    s = (seen){.db = db, .last = -1};
    assert_ok(tl_store_iterate_range(store, db, &all, look, &s));
    for (int i = 0; i < N_KEYS; i++) {
        void *value = NULL;
        size_t len = 0;
        size_t key_len = make_key(key, i);
        tl_err err = tl_store_get(store, db, key, key_len, &value, &len);
        if (err == TL_OK) {
            static char wanted[LONG_BYTES];
            assert_int_equal(len, make_value(wanted, db, i, 0));
            assert_memory_equal(value, wanted, len);
            assert_false(tl_store_is_lost(store, db, key, key_len));
            tl_mem_free(value);
            n_read++;
        } else if (err == TL_ENOTFOUND) { /* the key itself was hit, and is named so */
            assert_true(strlen(tl_store_damage(store)) > 0);
        } else {
            assert_err(TL_EDAMAGED, err);
        }
        assert_int_equal(err == TL_OK, s.is_there[i]);
    }
    assert_true(n_read == N_KEYS || s.n_gaps > 0 || s.n_damaged > 0);
    return N_KEYS - n_read;
}

static tl_err count(void *context, const tl_store_entry *entry)
{
    *(int *)context += entry->is_damaged ? 0 : 1;
    return TL_OK;
}

/* Parts of it are what all of it has there. */
static void check_ranges(tl_store *store, tl_db db, const seen *s, uint64_t *seed)
{
    for (int round = 0; round < 5; round++) {
        char prefix[8];
        char after[KEY_BYTES + 1];
        int n_wanted = 0;
        int n = 0;
        int part = (int)(next(seed) % (N_KEYS / 100));
        int behind = (int)(next(seed) % N_KEYS);
        (void)snprintf(prefix, sizeof prefix, "%03d", part);
        const tl_store_range range = {
            .prefix = prefix,
            .prefix_len = round % 2 == 0 ? 3 : 0,
            .after = after,
            .after_len = make_key(after, behind),
            .with_damaged = true};
        for (int i = behind + 1; i < N_KEYS; i++) {
            n_wanted += s->is_there[i] && (range.prefix_len == 0 || i / 100 == part) ? 1 : 0;
        }
        assert_ok(tl_store_iterate_range(store, db, &range, count, &n));
        assert_int_equal(n, n_wanted);
    }
}

static void check_snapshot(tl_store *store, int n_wanted)
{
    tl_store_snapshot *snapshot = NULL;
    tl_store_entry entry;
    tl_db db;
    bool is_end = false;
    int n = 0;
    assert_ok(tl_store_snapshot_open(store, &snapshot));
    for (;;) {
        assert_ok(tl_store_snapshot_next(snapshot, &db, &entry, &is_end));
        if (is_end) {
            break;
        }
        n += entry.is_damaged ? 0 : 1;
    }
    tl_store_snapshot_close(snapshot);
    assert_int_equal(n, n_wanted);
}

/* How many entries cannot be read; -1: it is refused as a file of another LMDB. */
static int check_store(const fixture *f, uint64_t *seed)
{
    tl_store *store = NULL;
    tl_store_txn *txn = NULL;
    tl_store_report report = {0};
    int n_lost = 0;
    tl_err strict = tl_store_check(f->path, false, &report);
    tl_text_done(&report.damaged);
    tl_err err = tl_store_open_what_is_sound(f->dir, 64, &store);
    if (err == TL_EVERSION) {
        return -1;
    }
    assert_ok(err);
    assert_int_equal(strict == TL_OK, tl_store_trouble(store)[0] == '\0');
    for (size_t d = 0; d < TL_COUNT(filled); d++) {
        static seen s;
        const tl_store_range all = {.with_damaged = true};
        n_lost += check_database(store, filled[d]);
        s = (seen){.db = filled[d], .last = -1};
        assert_ok(tl_store_iterate_range(store, filled[d], &all, look, &s));
        check_ranges(store, filled[d], &s, seed);
    }
    check_snapshot(store, 2 * N_KEYS - n_lost);
    if (strict != TL_OK) {
        assert_err(TL_EDAMAGED, tl_store_begin(store, &txn));
        assert_detail("restore a backup");
    }
    tl_store_close(store);
    return n_lost;
}

static void flipped_bytes_cost_what_stood_there_and_no_more(void **state)
{
    (void)state;
    fixture f = new_fixture();
    uint64_t seed = tl_test_seed();
    long long n_lost = 0;
    int n_hurt = 0;
    int n_total = 0;
    for (int t = 0; t < N_TRIALS; t++) {
        size_t at[3];
        char was[3];
        int n_flips = 1 + t % 3;
        for (int i = 0; i < n_flips; i++) {
            /* Three of four in what begins a page, or points to its entries. */
            at[i] = (next(&seed) << 20 ^ next(&seed)) % f.len;
            at[i] = t % 4 == 0 ? at[i] : at[i] / PAGE_BYTES * PAGE_BYTES + at[i] % 64;
            was[i] = f.whole[at[i]];
            f.whole[at[i]] = (char)(was[i] ^ (char)(1 + next(&seed) % 255));
        }
        put_file(&f, f.len);
        int n = check_store(&f, &seed);
        n_hurt += n > 0 ? 1 : 0;
        n_total += n == 2 * N_KEYS ? 1 : 0;
        n_lost += n > 0 && n < 2 * N_KEYS ? n : 0;
        for (int i = n_flips; i-- > 0;) {
            f.whole[at[i]] = was[i];
        }
    }
    print_message(
        "%d of %d stores lost something, %d of them all, the others %.1f entries\n", n_hurt,
        (int)N_TRIALS, n_total, n_hurt > n_total ? (double)n_lost / (n_hurt - n_total) : 0.0);
    assert_true(n_hurt > N_TRIALS / 10);
    tl_mem_free(f.whole);
}

/* A page of a tree, of which those that branch are few and concern much. */
static size_t pick_page(const fixture *f, bool is_branch, uint64_t *seed)
{
    for (;;) {
        size_t page = 2 + next(seed) % (f->len / PAGE_BYTES - 2);
        uint16_t flags = 0;
        memcpy(&flags, f->whole + page * PAGE_BYTES + 10, sizeof flags);
        if (flags == (is_branch ? 1 : 2)) {
            return page * PAGE_BYTES;
        }
    }
}

static void pages_that_are_gone_cost_what_stood_in_them_and_no_more(void **state)
{
    (void)state;
    fixture f = new_fixture();
    uint64_t seed = tl_test_seed();
    char was[PAGE_BYTES];
    int n_hurt = 0;
    for (int t = 0; t < N_TRIALS / 2; t++) {
        size_t at = pick_page(&f, t % 2 == 0, &seed);
        size_t from = pick_page(&f, t % 2 == 0, &seed);
        memcpy(was, f.whole + at, PAGE_BYTES);
        if (t % 3 == 0) {
            memset(f.whole + at, 0, PAGE_BYTES);
        } else if (t % 3 == 1) { /* another page came to stand there, as its own */
            memcpy(f.whole + at, f.whole + from, PAGE_BYTES);
            memcpy(f.whole + at, was, sizeof(uint64_t));
        } else { /* its end was not written, or a pointer leads elsewhere */
            size_t n = next(&seed) % PAGE_BYTES;
            memcpy(f.whole + at + n, f.whole + from + n, PAGE_BYTES - n);
        }
        put_file(&f, f.len);
        n_hurt += check_store(&f, &seed) > 0 ? 1 : 0;
        memcpy(f.whole + at, was, PAGE_BYTES);
    }
    print_message("%d of %d stores lost something\n", n_hurt, (int)N_TRIALS / 2);
    assert_true(n_hurt > N_TRIALS / 20);
    tl_mem_free(f.whole);
}

/* Entry i of a page: the head of the node, behind which the key stands. */
static char *node_of(const fixture *f, size_t page, int i)
{
    uint16_t at = 0;
    memcpy(&at, f->whole + page + 16 + (size_t)i * sizeof at, sizeof at);
    return f->whole + page + at;
}

static int n_nodes(const fixture *f, size_t page)
{
    uint16_t lower = 0;
    memcpy(&lower, f->whole + page + 12, sizeof lower);
    return (lower - 16) / 2;
}

/* Another page that begins with the same key: a former state, or of the other database. */
static size_t find_twin(const fixture *f, size_t page)
{
    for (size_t at = PAGE_BYTES * 2; at + PAGE_BYTES <= f->len; at += PAGE_BYTES) {
        uint16_t flags[2];
        memcpy(&flags[0], f->whole + at + 10, sizeof flags[0]);
        memcpy(&flags[1], f->whole + page + 10, sizeof flags[1]);
        if (at != page && flags[0] == flags[1] && flags[0] <= 2 &&
            memcmp(node_of(f, at, 0) + 8, node_of(f, page, 0) + 8, KEY_BYTES) == 0) {
            return at;
        }
    }
    return 0;
}

static void branches_that_lead_astray_are_not_followed(void **state)
{
    (void)state;
    fixture f = new_fixture();
    uint64_t seed = tl_test_seed();
    int n_hurt = 0;
    int n_twins = 0;
    for (int t = 0; t < N_TRIALS; t++) {
        char was[PAGE_BYTES];
        size_t page = pick_page(&f, true, &seed);
        int i = 1 + (int)(next(&seed) % (uint64_t)(n_nodes(&f, page) - 1));
        char *node = node_of(&f, page, i);
        memcpy(was, f.whole + page, PAGE_BYTES);
        if (t % 2 == 0) { /* the key that parts two children */
            node[8 + next(&seed) % 5] ^= (char)(1 + next(&seed) % 7);
        } else { /* the child */
            uint32_t number = 0;
            memcpy(&number, node, sizeof number);
            size_t twin = find_twin(&f, (size_t)number * PAGE_BYTES);
            n_twins += twin > 0 ? 1 : 0;
            number = twin > 0 ? (uint32_t)(twin / PAGE_BYTES) : number + 1;
            memcpy(node, &number, sizeof number);
        }
        put_file(&f, f.len);
        n_hurt += check_store(&f, &seed) > 0 ? 1 : 0;
        memcpy(f.whole + page, was, PAGE_BYTES);
    }
    print_message(
        "%d of %d stores lost something; %d led to a twin\n", n_hurt, (int)N_TRIALS, n_twins);
    assert_true(n_hurt > N_TRIALS / 4);
    assert_true(n_twins > N_TRIALS / 10);
    tl_mem_free(f.whole);
}

/* Flips bits of what LMDB keeps as the kind of a database's tree, in every copy of it. */
static void flip_kind(fixture *f, tl_db db, uint16_t bits)
{
    const char *name = tl_store_db_name(db);
    size_t name_len = strlen(name);
    for (size_t at = 0; at + PAGE_BYTES < f->len; at++) {
        if (memcmp(f->whole + at, name, name_len) == 0) {
            uint16_t kind = 0;
            char *place = f->whole + at + name_len + sizeof(uint32_t);
            memcpy(&kind, place, sizeof kind);
            kind ^= bits;
            memcpy(place, &kind, sizeof kind);
        }
    }
}

/* LMDB opens such a tree, and reads nothing of it later. */
static void a_tree_that_is_said_to_be_of_another_kind_is_lost_alone(void **state)
{
    (void)state;
    fixture f = new_fixture();
    uint64_t seed = tl_test_seed();
    for (int bit = 0; bit < 16; bit++) {
        flip_kind(&f, TL_DB_DEVICES, (uint16_t)(1U << bit));
        put_file(&f, f.len);
        assert_int_equal(check_store(&f, &seed), N_KEYS);
        flip_kind(&f, TL_DB_DEVICES, (uint16_t)(1U << bit));
    }
    put_file(&f, f.len);
    assert_int_equal(check_store(&f, &seed), 0);
    tl_mem_free(f.whole);
}

static void a_file_that_was_cut_off_serves_its_beginning(void **state)
{
    (void)state;
    fixture f = new_fixture();
    uint64_t seed = tl_test_seed();
    int n_some = 0;
    for (size_t cut = 0; cut < f.len; cut += f.len / 40 + 1000) {
        put_file(&f, cut);
        int n = check_store(&f, &seed);
        n_some += n > 0 && n < 2 * N_KEYS ? 1 : 0;
    }
    assert_true(n_some > 0);
    assert_int_equal(unlink(f.path), 0);
    assert_int_equal(check_store(&f, &seed), 2 * N_KEYS);
    tl_mem_free(f.whole);
}

/* Finds the page where the entry of a key begins, that of the last state. */
static size_t find_leaf(const fixture *f, const tl_db db, int i)
{
    char key[KEY_BYTES + 1];
    static char value[LONG_BYTES];
    size_t key_len = make_key(key, i);
    size_t len = make_value(value, db, i, 0);
    tl_store_head head = tl_store_head_of(tl_store_db_name(db), key, key_len, value, len);
    for (size_t at = 0; at + key_len + sizeof head < f->len; at += 2) {
        if (memcmp(f->whole + at, key, key_len) == 0 &&
            memcmp(f->whole + at + key_len, &head, sizeof head) == 0) {
            return at / PAGE_BYTES * PAGE_BYTES;
        }
    }
    fail_msg("no entry of key %d", i);
    return 0;
}

static void a_damaged_page_is_named_and_its_neighbours_are_read(void **state)
{
    (void)state;
    fixture f = new_fixture();
    char key[KEY_BYTES + 1];
    char page[64];
    void *value = NULL;
    size_t len = 0;
    int n = 0;
    tl_store *store = NULL;
    tl_store_txn *txn = NULL;
    tl_store_stat stat;
    size_t at = find_leaf(&f, TL_DB_DEVICES, 1000);
    f.whole[at + 12] ^= 1;
    put_file(&f, f.len);
    (void)snprintf(page, sizeof page, "page %zu: ", at / PAGE_BYTES);
    assert_err(TL_EDAMAGED, tl_store_open(f.dir, 64, &store));
    assert_ok(tl_store_open_what_is_sound(f.dir, 64, &store));
    assert_non_null(strstr(tl_store_trouble(store), page));
    assert_memory_equal(tl_store_lost(store), "devices between \"00", 19);
    assert_non_null(strstr(tl_store_lost(store), page));
    size_t key_len = make_key(key, 1000);
    assert_err(TL_EDAMAGED, tl_store_get(store, TL_DB_DEVICES, key, key_len, &value, &len));
    assert_detail(page);
    assert_true(tl_store_is_lost(store, TL_DB_DEVICES, key, key_len));
    assert_ok(tl_store_get(store, TL_DB_MEASUREMENTS, key, key_len, &value, &len));
    tl_mem_free(value);
    assert_err(TL_ENOTFOUND, tl_store_get(store, TL_DB_DEVICES, "none", 4, &value, &len));
    assert_err(TL_EDAMAGED, tl_store_iterate(store, TL_DB_DEVICES, NULL, 0, count, &n));
    assert_detail(page);
    assert_in_range(n, 900, 1000);
    assert_ok(tl_store_stat_get(store, &stat));
    assert_in_range(stat.n_entries[TL_DB_DEVICES], N_KEYS - 30, N_KEYS - 1);
    assert_int_equal(stat.n_entries[TL_DB_MEASUREMENTS], N_KEYS);
    assert_int_equal(stat.n_entries[TL_DB_META], 0);
    assert_err(TL_EDAMAGED, tl_store_begin(store, &txn));
    tl_store_close(store);
    tl_mem_free(f.whole);
}

static void very_many_gaps_become_one_at_the_end(void **state)
{
    (void)state;
    fixture f = new_fixture();
    uint64_t seed = tl_test_seed();
    tl_store *store = NULL;
    for (int i = 3; i < N_KEYS; i += 40) {
        for (size_t d = 0; d < TL_COUNT(filled); d++) {
            f.whole[find_leaf(&f, filled[d], i + (i % 50 == 7 ? 1 : 0)) + 12] = 77;
        }
    }
    put_file(&f, f.len);
    int n_lost = check_store(&f, &seed);
    assert_in_range(n_lost, 500, 2 * N_KEYS - 500);
    assert_ok(tl_store_open_what_is_sound(f.dir, 64, &store));
    int n_lines = 0;
    for (const char *c = tl_store_lost(store); *c != '\0'; c++) {
        n_lines += *c == '\n' ? 1 : 0;
    }
    assert_in_range(n_lines, TL_STORE_MAX_GAPS, TL_STORE_MAX_GAPS + TL_N_DBS);
    assert_non_null(strstr(tl_store_lost(store), "measurements behind "));
    tl_store_close(store);
    tl_mem_free(f.whole);
}

static void damage_to_the_list_of_free_pages_stops_writers_alone(void **state)
{
    (void)state;
    fixture f = new_fixture();
    uint64_t seed = tl_test_seed();
    uint64_t txns[2];
    uint64_t root = 0;
    for (int i = 0; i < 2; i++) { /* of the two meta pages, the newer one counts */
        memcpy(&txns[i], f.whole + i * PAGE_BYTES + 16 + 128, sizeof txns[i]);
    }
    size_t meta = txns[1] > txns[0] ? PAGE_BYTES : 0;
    memcpy(&root, f.whole + meta + 16 + 24 + 40, sizeof root);
    assert_in_range(root, 2, f.len / PAGE_BYTES - 1);
    f.whole[root * PAGE_BYTES + 10] ^= 1;
    put_file(&f, f.len);
    assert_int_equal(check_store(&f, &seed), 0);
    tl_mem_free(f.whole);
}

/* As root may write everything, only other users see this. */
static void what_may_not_be_written_is_read(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        skip();
    }
    fixture f = new_fixture();
    uint64_t seed = tl_test_seed();
    tl_store *store = NULL;
    tl_store *other = NULL;
    tl_store_txn *txn = NULL;
    assert_int_equal(chmod(f.dir, 0500), 0);
    assert_ok(tl_store_open_what_is_sound(f.dir, 64, &store));
    assert_err(TL_ESTATE, tl_store_open_what_is_sound(f.dir, 64, &other));
    assert_err(TL_EIO, tl_store_begin(store, &txn));
    assert_detail("cannot be written");
    for (size_t d = 0; d < TL_COUNT(filled); d++) {
        assert_int_equal(check_database(store, filled[d]), 0);
    }
    tl_store_close(store);
    assert_int_equal(chmod(f.dir, 0700), 0);
    assert_int_equal(check_store(&f, &seed), 0);
    tl_mem_free(f.whole);
}

/* tests/base/former/store.mdb was written before there were checksums: to read it is to write. */
static void a_store_without_checksums_is_refused_where_it_is_damaged(void **state)
{
    (void)state;
    char former[PATH_BYTES];
    tl_store *store = NULL;
    uint64_t root = 0;
    fixture f = {.dir = tl_test_new_dir()};
    (void)snprintf(f.path, sizeof f.path, "%s/store.mdb", f.dir);
    (void)snprintf(
        former, sizeof former, "%s/tests/base/former/store.mdb", tl_test_source_dir());
    assert_ok(tl_file_read(former, MAX_BYTES, &f.whole, &f.len));
    for (size_t at = 0; at < 2 * PAGE_BYTES; at += PAGE_BYTES) { /* the list of free pages */
        memcpy(&root, f.whole + at + 16 + 24 + 40, sizeof root);
        if (root != UINT64_MAX) {
            f.whole[root * PAGE_BYTES + 10] ^= 1;
        }
    }
    put_file(&f, f.len);
    assert_err(TL_EVERSION, tl_store_open_what_is_sound(f.dir, 64, &store));
    assert_detail("written by an older version");
    tl_mem_free(f.whole);
}

static tl_err open_and_close(void *context)
{
    const fixture *f = context;
    tl_store *store = NULL;
    TL_TRY(tl_store_open_what_is_sound(f->dir, 64, &store));
    tl_store_close(store);
    return TL_OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    fixture f = new_fixture();
    size_t at = find_leaf(&f, TL_DB_DEVICES, 1000);
    f.whole[at + 12] ^= 1;
    put_file(&f, f.len);
    tl_mem_free(f.whole);
    assert_true(tl_test_torture("open what is sound", open_and_close, &f) > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flipped_bytes_cost_what_stood_there_and_no_more),
        TEST(pages_that_are_gone_cost_what_stood_in_them_and_no_more),
        TEST(branches_that_lead_astray_are_not_followed),
        TEST(a_tree_that_is_said_to_be_of_another_kind_is_lost_alone),
        TEST(a_file_that_was_cut_off_serves_its_beginning),
        TEST(a_damaged_page_is_named_and_its_neighbours_are_read),
        TEST(very_many_gaps_become_one_at_the_end),
        TEST(damage_to_the_list_of_free_pages_stops_writers_alone),
        TEST(what_may_not_be_written_is_read),
        TEST(a_store_without_checksums_is_refused_where_it_is_damaged),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("base/store_gaps", tests, NULL, NULL);
}
