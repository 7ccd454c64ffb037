/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/name.h"
#include "clients/agent/agent.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const tl_agent_command *const commands[] = {&tl_agent_probe, &tl_agent_measure};

enum {
    TITLE_BYTES = 64
};

void tl_agent_say(const tl_agent *agent, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "%s: ", agent->title);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

int tl_agent_failed(const tl_agent *agent, tl_err err)
{
    const char *detail = tl_err_detail();
    tl_agent_say(agent, "%s", detail[0] != '\0' ? detail : tl_err_message(err));
    return TL_EXIT_FAILED;
}

tl_err tl_agent_print(const char *path, const tl_text *text, bool is_appended)
{
    TL_TRY(tl_text_err(text));
    const char *name = path != NULL ? path : "standard output";
    FILE *file = path != NULL ? fopen(path, is_appended ? "ab" : "wb") : stdout;
    if (file == NULL) {
        return tl_fail(TL_EIO, "%s: %s", name, strerror(errno));
    }
    bool is_written = fwrite(text->data, 1, text->len, file) == text->len && fflush(file) == 0;
    if (path != NULL) {
        is_written = fclose(file) == 0 && is_written;
    }
    return is_written ? TL_OK : tl_fail(TL_EIO, "%s: %s", name, strerror(errno));
}

static error_t parse_top(int key, char *value, struct argp_state *state)
{
    int *first = state->input;
    (void)value;
    switch (key) {
    case ARGP_KEY_ARG:
        *first = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no command is given"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static int explain_unknown(const char *word)
{
    const char *names[TL_COUNT(commands)];
    for (size_t i = 0; i < TL_COUNT(commands); i++) {
        names[i] = commands[i]->name;
    }
    const char *nearest = tl_name_nearest(word, names, TL_COUNT(commands));
    (void)fprintf(
        stderr, "tailor-agent: unknown command \"%s\", %s\"%s\"\n", word,
        nearest != NULL ? "did you mean " : "want ",
        nearest != NULL ? nearest : "probe\" or \"measure");
    return TL_EXIT_USAGE;
}

static int run_command(const tl_agent_command *command, char **original, int argc, char **argv)
{
    char title[TITLE_BYTES];
    (void)snprintf(title, sizeof title, "tailor-agent %s", command->name);
    tl_agent agent = {.title = title, .argv = original};
    argv[0] = title;
    return command->run(&agent, argc, argv);
}

int main(int argc, char **argv)
{
    static char program[] = "tailor-agent";
    static const char doc[] = "Measures the machine that it runs on.\v"
                              "Commands:\n"
                              "  probe     Writes this machine's profile\n"
                              "  measure   Times designs here\n\n"
                              "Each answers --help.";
    static const struct argp argp = {NULL, parse_top, "COMMAND ...", doc, NULL, NULL, NULL};
    int first = 0;

    argp_program_version = "tailor-agent " TL_VERSION;
    argp_err_exit_status = TL_EXIT_USAGE;
    /* argp changes the order of argv; tl_pin() needs it as it was */
    char **words = tl_mem_new((size_t)argc + 1, sizeof *words);
    if (words == NULL) {
        (void)fprintf(stderr, "%s: %s\n", program, tl_err_message(TL_ENOMEM));
        return TL_EXIT_FAILED;
    }
    if (argc < 1) {
        tl_mem_free(words);
        return TL_EXIT_USAGE;
    }
    memcpy(words, argv, (size_t)argc * sizeof *words);
    words[0] = program;
    if (argp_parse(&argp, argc, words, ARGP_IN_ORDER, NULL, &first) != 0 || first == 0) {
        return TL_EXIT_USAGE;
    }
    int status = -1;
    for (size_t i = 0; i < TL_COUNT(commands) && status < 0; i++) {
        if (strcmp(commands[i]->name, words[first]) == 0) {
            status = run_command(commands[i], argv, argc - first, words + first);
        }
    }
    if (status < 0) {
        status = explain_unknown(words[first]);
    }
    tl_mem_free(words);
    return status;
}
