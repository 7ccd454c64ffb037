/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/name.h"
#include "base/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

#include <argp.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the parsing of what stands before the command ended. */
typedef struct top {
    tl_args *args;
    int first; /* index of the command's first word; 0: none */
} top;

enum {
    MAX_NOUNS = 32,
    TITLE_BYTES = 64,
    NAME_COLUMN = 17
};

static error_t parse_top(int key, char *value, struct argp_state *state)
{
    top *t = state->input;
    (void)value;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = t->args; return 0;
    case ARGP_KEY_ARG:
        t->first = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no command is given"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The commands whose name begins with noun (all for ""), for --help. */
static void describe_commands(const char *noun, tl_text *out)
{
    size_t len = strlen(noun);
    for (size_t i = 0; i < tl_commands_len; i++) {
        if (strncmp(tl_commands[i]->name, noun, len) == 0) {
            tl_text_addf(
                out, "  %-*s %s\n", NAME_COLUMN, tl_commands[i]->name, tl_commands[i]->summary);
        }
    }
}

/* The command named by the words, and of how many it is; NULL when there is none. */
static const tl_command *find(int n_words, char **words, int *out_used)
{
    char name[TITLE_BYTES];
    for (int used = n_words < 2 ? n_words : 2; used > 0; used--) {
        (void)snprintf(
            name, sizeof name, "%s%s%s", words[0], used == 2 ? " " : "",
            used == 2 ? words[1] : "");
        for (size_t i = 0; i < tl_commands_len; i++) {
            if (strcmp(tl_commands[i]->name, name) == 0) {
                *out_used = used;
                return tl_commands[i];
            }
        }
    }
    return NULL;
}

static bool is_noun(const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i < tl_commands_len; i++) {
        if (strncmp(tl_commands[i]->name, word, len) == 0 && tl_commands[i]->name[len] == ' ') {
            return true;
        }
    }
    return false;
}

/* `tailor measure --help` and `tailor measure frobnicate`: the verbs of a noun. */
static int explain_noun(const char *noun, const char *verb)
{
    tl_text text = {0};
    tl_text prefix = {0};
    tl_text_addf(&prefix, "%s ", noun);
    describe_commands(prefix.data, &text);
    bool is_help = verb != NULL && (strcmp(verb, "--help") == 0 || strcmp(verb, "-?") == 0);
    if (is_help) {
        (void)printf("Commands:\n%s", text.data);
    } else {
        (void)fprintf(
            stderr, "tailor %s: got %s%s%s, want one of\n%s", noun, verb != NULL ? "\"" : "",
            verb != NULL ? verb : "nothing", verb != NULL ? "\"" : "", text.data);
    }
    tl_text_done(&prefix);
    tl_text_done(&text);
    return is_help ? TL_EXIT_DONE : TL_EXIT_USAGE;
}

static int explain_unknown(char **words, int n_words)
{
    const char *names[MAX_NOUNS * 2];
    size_t n = 0;
    if (is_noun(words[0])) {
        return explain_noun(words[0], n_words > 1 ? words[1] : NULL);
    }
    char nouns[MAX_NOUNS][TITLE_BYTES];
    for (size_t i = 0; i < tl_commands_len && n < MAX_NOUNS; i++) {
        (void)snprintf(nouns[n], TITLE_BYTES, "%s", tl_commands[i]->name);
        nouns[n][strcspn(nouns[n], " ")] = '\0';
        names[n] = nouns[n];
        n++;
    }
    const char *nearest = tl_name_nearest(words[0], names, n);
    (void)fprintf(
        stderr, "tailor: unknown command \"%s\"%s%s%s; tailor --help lists them\n", words[0],
        nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "\"" : "");
    return TL_EXIT_USAGE;
}

static int run_command(const tl_command *command, tl_args *args, int argc, char **argv)
{
    char title[TITLE_BYTES];
    (void)snprintf(title, sizeof title, "tailor %s", command->name);
    argv[0] = title;
    args->command = command;
    struct argp argp = {
        .options = command->options,
        .parser = tl_args_parse,
        .args_doc = command->args_doc,
        .doc = command->doc,
        .children = tl_args_everywhere,
    };
    if (argp_parse(&argp, argc, argv, 0, NULL, args) != 0) {
        return TL_EXIT_USAGE;
    }
    tl_cli cli = {.title = title, .args = args};
    tailor_options options = {
        .endpoint = args->endpoint,
        .timeout_ms = (int)args->timeout_ms,
        .name = "tailor " TL_VERSION,
        .key_file = args->key_file,
    };
    if (command->is_local) {
        return command->run(&cli);
    }
    tailor_err err = tailor_open(&options, &cli.client);
    if (err != TAILOR_OK) {
        return tl_cli_refused(&cli, err);
    }
    int status = command->run(&cli);
    tailor_close(cli.client);
    return status;
}

int main(int argc, char **argv)
{
    static char program[] = "tailor";
    tl_text doc = {0};
    tl_args args;
    top t = {.args = &args};
    struct argp argp = {NULL, parse_top, "COMMAND ...", NULL, tl_args_everywhere, NULL, NULL};

    argp_program_version = "tailor " TL_VERSION;
    argp_err_exit_status = TL_EXIT_USAGE;
    tl_args_init(&args);
    if (argc < 1) {
        return TL_EXIT_USAGE;
    }
    argv[0] = program;
    tl_text_add(&doc, "Fits neural networks to devices.\vCommands:\n");
    describe_commands("", &doc);
    tl_text_add(&doc, "\nEach answers --help.");
    argp.doc = doc.data;
    error_t wrong = argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &t);
    tl_text_done(&doc);
    if (wrong != 0 || t.first == 0) {
        return TL_EXIT_USAGE;
    }
    int used = 0;
    const tl_command *command = find(argc - t.first, argv + t.first, &used);
    if (command == NULL) {
        return explain_unknown(argv + t.first, argc - t.first);
    }
    int skipped = t.first + used - 1;
    return run_command(command, &args, argc - skipped, argv + skipped);
}
