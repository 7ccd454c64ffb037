/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The canonical text of a cell: node after node as a sorted sum of terms, where
 * what is cut off vanishes and a passed-on input is merged into the sum. Cells
 * that compute the same function by these rules have the same text.
 */

#include "base/mem.h"
#include "spaces/impl.h"

#include <stdlib.h>
#include <string.h>

/* A node as the sorted sum of its terms; a term is the text of an operator on a sum. */
typedef struct sum {
    char **terms;
    int n_terms;
} sum;

static int by_text(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

static void print_sum(tl_text *text, const sum *s)
{
    for (int i = 0; i < s->n_terms; i++) {
        tl_text_add(text, i > 0 ? " + " : "");
        tl_text_add(text, s->terms[i]);
    }
}

/* Appends the term (owned from now on); false when memory runs out. */
static bool add_term(sum *s, char *term)
{
    char **terms =
        term != NULL ? tl_mem_resize(s->terms, (size_t)s->n_terms + 1, sizeof *terms) : NULL;
    if (terms == NULL) {
        tl_mem_free(term);
        return false;
    }
    s->terms = terms;
    terms[s->n_terms++] = term;
    return true;
}

/* What an edge adds to the node it leads to: nothing, its source's terms, or one term. */
static bool add_edge(
    const tl_space *space, const tl_choice *design, int edge, const sum *from, sum *to)
{
    const tl_cell *cell = &space->cell;
    tl_edge_op op = cell->options[design[cell->edge_slot[edge]]].op;
    if (op == TL_EDGE_NONE || from->n_terms == 0) {
        return true;
    }
    if (op == TL_EDGE_SKIP) {
        for (int i = 0; i < from->n_terms; i++) {
            if (!add_term(to, tl_mem_strdup(from->terms[i]))) {
                return false;
            }
        }
        return true;
    }
    tl_text text = {0};
    int bits = tl_cell_edge_bits(space, design, edge);
    tl_text_add(&text, space->cell_options[design[cell->edge_slot[edge]]].name);
    if (bits > 0) {
        tl_text_addf(&text, ":%d", bits);
    }
    tl_text_add(&text, "(");
    print_sum(&text, from);
    tl_text_add(&text, ")");
    char *term = tl_text_steal(&text);
    tl_text_done(&text);
    return add_term(to, term);
}

static bool sum_node(const tl_space *space, const tl_choice *design, int node, sum *nodes)
{
    const tl_cell *cell = &space->cell;
    for (int i = 0; i < cell->n_edges; i++) {
        if (cell->to[i] == node &&
            !add_edge(space, design, i, &nodes[cell->from[i]], &nodes[node])) {
            return false;
        }
    }
    if (nodes[node].n_terms > 1) {
        qsort(nodes[node].terms, (size_t)nodes[node].n_terms, sizeof(char *), by_text);
    }
    return true;
}

void tl_cell_canonical(const tl_space *space, const tl_choice *design, tl_text *text)
{
    int n = space->cell.n_nodes;
    sum nodes[TL_CELL_MAX_NODES] = {{0}};
    bool is_complete = add_term(&nodes[0], tl_mem_strdup("x"));
    for (int v = 1; v < n && is_complete; v++) {
        is_complete = sum_node(space, design, v, nodes);
    }
    if (!is_complete) {
        text->is_broken = true;
    } else if (nodes[n - 1].n_terms == 0) {
        tl_text_add(text, "0");
    } else {
        print_sum(text, &nodes[n - 1]);
    }
    for (int v = 0; v < n; v++) {
        for (int i = 0; i < nodes[v].n_terms; i++) {
            tl_mem_free(nodes[v].terms[i]);
        }
        tl_mem_free(nodes[v].terms);
    }
}
