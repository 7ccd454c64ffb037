/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/imports.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"

#include <pthread.h>
#include <stdbool.h>

/* One open import; id 0: the slot is free. While is_busy, one thread has it to itself. */
typedef struct stage {
    uint64_t id;
    bool is_busy;
    tl_space *space;
    tl_table_parser *parser; /* NULL: the table is whole */
    tl_table table;          /* then */
    uint64_t next_sequence;
    size_t n_cells; /* of its table so far */
    int64_t used_ns;
} stage;

struct tl_imports {
    pthread_mutex_t lock; /* of the slots; held for moments only */
    uint64_t last_id;
    size_t max_cells; /* of all, before only the largest goes on */
    stage stages[TL_IMPORTS_MAX];
};

tl_err tl_imports_new(size_t max_cells, tl_imports **out_imports)
{
    tl_imports *imports = tl_mem_new(1, sizeof *imports);
    if (imports == NULL) {
        return tl_fail(TL_ENOMEM, "the open imports");
    }
    (void)pthread_mutex_init(&imports->lock, NULL);
    /* Ids of an earlier daemon must not name imports of this one. */
    imports->last_id = tl_clock_fresh_number();
    imports->max_cells = max_cells > 0 ? max_cells : TL_IMPORTS_MAX_CELLS;
    *out_imports = imports;
    return TL_OK;
}

/* Leaves the slot free. */
static void clear(stage *s)
{
    tl_table_parser_free(s->parser);
    tl_table_done(&s->table);
    tl_space_unref(s->space);
    *s = (stage){0};
}

void tl_imports_free(tl_imports *imports)
{
    if (imports == NULL) {
        return;
    }
    for (int i = 0; i < TL_IMPORTS_MAX; i++) {
        clear(&imports->stages[i]);
    }
    (void)pthread_mutex_destroy(&imports->lock);
    tl_mem_free(imports);
}

/* Takes an import that was left out of its slot; one without id where there is none. */
static stage take_left(tl_imports *imports, int64_t limit_ns)
{
    stage left = {.id = 0};
    (void)pthread_mutex_lock(&imports->lock);
    for (int i = 0; i < TL_IMPORTS_MAX && left.id == 0; i++) {
        stage *s = &imports->stages[i];
        if (s->id != 0 && !s->is_busy && s->used_ns < limit_ns) {
            left = *s;
            *s = (stage){0};
        }
    }
    (void)pthread_mutex_unlock(&imports->lock);
    return left;
}

void tl_imports_sweep(tl_imports *imports, int64_t now_ns)
{
    int64_t limit_ns = now_ns - TL_IMPORT_IDLE_S * TL_NS_PER_S;
    for (stage left = take_left(imports, limit_ns); left.id != 0;
         left = take_left(imports, limit_ns)) {
        clear(&left); /* a table is large: without the lock */
    }
}

/* A free slot, or NULL. Locked. */
static stage *find_room(tl_imports *imports)
{
    stage *room = NULL;
    for (int i = 0; i < TL_IMPORTS_MAX && room == NULL; i++) {
        room = imports->stages[i].id == 0 ? &imports->stages[i] : NULL;
    }
    return room;
}

tl_err tl_imports_begin(
    tl_imports *imports, tl_space *space, const char *origin, uint64_t *out_id)
{
    tl_table_parser *parser = NULL;
    TL_TRY(tl_table_parser_new(space, origin, NULL, &parser));
    (void)pthread_mutex_lock(&imports->lock);
    stage *room = find_room(imports);
    if (room != NULL) {
        *room = (stage){
            .id = ++imports->last_id,
            .space = tl_space_ref(space),
            .parser = parser,
            .used_ns = tl_clock_ns()};
        *out_id = room->id;
    }
    (void)pthread_mutex_unlock(&imports->lock);
    if (room == NULL) {
        tl_table_parser_free(parser);
        return tl_fail(TL_EBUSY, "%d imports are open already", (int)TL_IMPORTS_MAX);
    }
    return TL_OK;
}

/* Marks the import busy, so that this thread alone has it until give_back(). */
static tl_err borrow(tl_imports *imports, uint64_t id, stage **out_stage)
{
    stage *found = NULL;
    bool is_busy = false;
    (void)pthread_mutex_lock(&imports->lock);
    for (int i = 0; i < TL_IMPORTS_MAX && id != 0 && found == NULL; i++) {
        found = imports->stages[i].id == id ? &imports->stages[i] : NULL;
    }
    if (found != NULL) {
        is_busy = found->is_busy;
        found->is_busy = true;
    }
    (void)pthread_mutex_unlock(&imports->lock);
    if (found == NULL) {
        return tl_fail(TL_ENOTFOUND, "no import %llu is open", (unsigned long long)id);
    }
    if (is_busy) {
        return tl_fail(
            TL_ESTATE, "import %llu is being fed by another request", (unsigned long long)id);
    }
    *out_stage = found;
    return TL_OK;
}

static void give_back(tl_imports *imports, stage *s, bool is_over)
{
    stage over = {.id = 0};
    size_t n_cells = s->parser != NULL ? tl_table_parser_n_cells(s->parser) : s->n_cells;
    (void)pthread_mutex_lock(&imports->lock);
    s->n_cells = n_cells;
    s->is_busy = false;
    s->used_ns = tl_clock_ns();
    if (is_over) {
        over = *s;
        *s = (stage){0};
    }
    (void)pthread_mutex_unlock(&imports->lock);
    clear(&over); /* a table is large: without the lock */
}

/* The largest that still grows is not refused, so that it ends some time and makes room, while
 * there is any beside those that wait for their commit. */
static tl_err check_room(tl_imports *imports, const stage *s)
{
    size_t n_cells = 0;
    size_t n_whole = 0;
    size_t most = 0;
    (void)pthread_mutex_lock(&imports->lock);
    for (int i = 0; i < TL_IMPORTS_MAX; i++) {
        const stage *other = &imports->stages[i];
        n_cells += other->n_cells;
        n_whole += other->parser == NULL ? other->n_cells : 0;
        most = other->parser != NULL && other->n_cells > most ? other->n_cells : most;
    }
    bool may_grow =
        n_cells < imports->max_cells || (s->n_cells == most && n_whole < imports->max_cells);
    (void)pthread_mutex_unlock(&imports->lock);
    return may_grow ? TL_OK
                    : tl_fail(
                          TL_EBUSY,
                          "the imports that are open hold %zu slots and values together: this "
                          "one goes on when a larger one has ended",
                          n_cells);
}

tl_err tl_imports_feed(
    tl_imports *imports, uint64_t id, uint64_t sequence, const void *data, size_t len)
{
    stage *s = NULL;
    TL_TRY(borrow(imports, id, &s));
    tl_err err = TL_OK;
    bool is_over = false;
    if (s->parser == NULL) {
        err = tl_fail(TL_ESTATE, "import %llu has all its pieces", (unsigned long long)id);
    } else if (sequence > s->next_sequence) {
        err = tl_fail(
            TL_ESTATE, "import %llu: got piece %llu, want %llu", (unsigned long long)id,
            (unsigned long long)sequence, (unsigned long long)s->next_sequence);
    } else if (sequence == s->next_sequence && (err = check_room(imports, s)) == TL_OK) {
        err = tl_table_parser_feed(s->parser, data, len);
        is_over = err != TL_OK;
        s->next_sequence++;
    }
    give_back(imports, s, is_over);
    return err;
}

tl_err tl_imports_finish(
    tl_imports *imports, uint64_t id, tl_table *out_table, tl_space **out_space)
{
    stage *s = NULL;
    TL_TRY(borrow(imports, id, &s));
    tl_err err = TL_OK;
    if (s->parser != NULL) {
        err = tl_table_parser_finish(s->parser, out_table);
    } else {
        *out_table = s->table;
        s->table = (tl_table){0};
    }
    if (err == TL_OK) {
        *out_space = tl_space_ref(s->space);
    }
    give_back(imports, s, true);
    return err;
}

void tl_imports_put_back(tl_imports *imports, uint64_t id, tl_table *table, tl_space *space)
{
    stage whole = {
        .id = id,
        .table = *table,
        .n_cells = tl_table_n_cells(table),
        .space = tl_space_ref(space),
        .used_ns = tl_clock_ns()};
    *table = (tl_table){0};
    (void)pthread_mutex_lock(&imports->lock);
    stage *room = find_room(imports);
    if (room != NULL) {
        *room = whole;
        whole = (stage){0};
    }
    (void)pthread_mutex_unlock(&imports->lock);
    clear(&whole); /* where there was no room */
}

tl_err tl_imports_abort(tl_imports *imports, uint64_t id)
{
    stage *s = NULL;
    TL_TRY(borrow(imports, id, &s));
    give_back(imports, s, true);
    return TL_OK;
}
