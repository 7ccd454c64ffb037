/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys: the files that `tailord --keys DIR` reads. These commands work on the folder itself, on
 * the machine where it is, and ask no daemon; one that runs notices.
 */

#include "base/keyfile.h"
#include "base/mem.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEYS_DIR_MODE = 0700
};

#define CLIENT_SUFFIX ".client"
#define CLIENT_HEAD   "# A client of tailord: its public key and what it may do.\n"
#define SERVER_HEAD   "# The key pair of tailord. Secret: only its user may read it.\n"
#define KEY_HEAD                                                                       \
    "# For tailor --key FILE on the client's machine. Secret: only its user may read " \
    "it.\n"

/* Adds DIR/NAME + suffix, as a path. */
static tl_err make_path(const char *dir, const char *name, const char *suffix, tl_text *out)
{
    tl_text_clear(out);
    tl_text_addf(out, "%s/%s%s", dir, name, suffix);
    return tl_text_err(out);
}

/* Root makes keys for the user whose folder it is: the daemon must be able to read them. */
static void give_to_owner_of(const char *dir, const char *path)
{
    struct stat status;
    if (geteuid() == 0 && stat(dir, &status) == 0 && status.st_uid != 0 &&
        lchown(path, status.st_uid, status.st_gid) != 0) {
        /* A file system without owners: the daemon will say what it cannot read. */
    }
}

static tl_err write_key(
    const char *path, const char *head, const tl_key_file *key, bool is_secret)
{
    tl_text text = {0};
    tl_text_add(&text, head);
    tl_key_file_print(key, &text);
    tl_err err = tl_text_err(&text);
    if (err == TL_OK) {
        err = is_secret ? tl_file_write_secret(path, text.data, text.len)
                        : tl_file_write(path, text.data, text.len);
    }
    tl_text_done(&text);
    return err;
}

static tl_err make_pair(tl_key_file *key)
{
    return (tl_err)tailor_key_pair(key->public_key, key->secret_key);
}

/* A new folder is this user's alone, those above it as usual. */
static tl_err make_dir(const char *dir)
{
    if (tl_file_exists(dir)) {
        return tl_file_check_guard(dir, TL_FILE_TRUSTED);
    }
    TL_TRY(tl_file_make_dirs(dir));
    if (chmod(dir, KEYS_DIR_MODE) != 0) {
        return tl_fail(TL_EIO, "cannot close folder %s to others", dir);
    }
    tl_text above = {0};
    tl_err err = make_path(dir, "..", "", &above);
    if (err == TL_OK) {
        give_to_owner_of(above.data, dir);
    }
    tl_text_done(&above);
    return err;
}

/* The daemon's pair, made where there is none. */
static tl_err find_server_key(const char *dir, tl_key_file *out)
{
    tl_text path = {0};
    tl_key_file key = {0};
    tl_err err = make_path(dir, "server", ".key", &path);
    if (err == TL_OK && tl_file_exists(path.data)) {
        err = tl_key_file_read(path.data, TL_FILE_SECRET, &key);
    } else if (err == TL_OK && (err = make_pair(&key)) == TL_OK) {
        err = write_key(path.data, SERVER_HEAD, &key, true);
        give_to_owner_of(dir, path.data);
    }
    if (err == TL_OK && key.public_key[0] == '\0') {
        err = tl_fail(TL_EINVAL, "%s: want the line public", path.data);
    }
    if (err == TL_OK) {
        *out = key;
    }
    tl_text_done(&path);
    return err;
}

static tl_err check_new(const tl_args *args, const char *path)
{
    static const char *const roles[] = {"reader", "writer", "admin"};
    bool is_role = false;
    TL_TRY(tl_name_check("key", args->name));
    for (size_t i = 0; i < TL_COUNT(roles); i++) {
        is_role = is_role || strcmp(args->role, roles[i]) == 0;
    }
    if (!is_role) {
        return tl_fail(TL_EINVAL, "role: got \"%s\", want reader, writer or admin", args->role);
    }
    if (strcmp(args->name, "server") == 0) {
        return tl_fail(TL_EINVAL, "server.key is the daemon's: choose another name");
    }
    if (tl_file_exists(path)) {
        return tl_fail(
            TL_EEXISTS, "%s is there already; tailor key remove %s first", path, args->name);
    }
    return TL_OK;
}

/* Writes NAME.key, then NAME.client, which is what lets it in. */
static tl_err make_client(const tl_args *args, const char *dir, tl_text *key_path)
{
    tl_key_file server;
    tl_key_file key = {0};
    tl_key_file client = {0};
    tl_text path = {0};
    tl_err err = make_path(dir, args->name, CLIENT_SUFFIX, &path);
    if (err != TL_OK || (err = check_new(args, path.data)) != TL_OK ||
        (err = make_dir(dir)) != TL_OK || (err = find_server_key(dir, &server)) != TL_OK ||
        (err = make_pair(&key)) != TL_OK ||
        (err = make_path(dir, args->name, ".key", key_path)) != TL_OK) {
        goto done;
    }
    (void)snprintf(key.name, sizeof key.name, "%s", args->name);
    (void)snprintf(client.role, sizeof client.role, "%s", args->role);
    memcpy(client.name, key.name, sizeof client.name);
    memcpy(client.public_key, key.public_key, sizeof client.public_key);
    memcpy(key.server_key, server.public_key, sizeof key.server_key);
    if ((err = write_key(key_path->data, KEY_HEAD, &key, true)) == TL_OK) {
        err = write_key(path.data, CLIENT_HEAD, &client, false);
        give_to_owner_of(dir, path.data);
    }
done:
    memset(&key, 0, sizeof key);
    memset(&server, 0, sizeof server);
    tl_text_done(&path);
    return err;
}

/* --keys DIR everywhere; key new takes --out DIR as well. */
static const char *find_dir(const tl_cli *cli, const char *other)
{
    return cli->args->keys_dir != NULL ? cli->args->keys_dir : other;
}

static int run_new(tl_cli *cli)
{
    const char *dir = find_dir(cli, cli->args->out);
    tl_text path = {0};
    if (dir == NULL) {
        tl_cli_say(cli, "--out is missing");
        return TL_EXIT_USAGE;
    }
    tl_err err = make_client(cli->args, dir, &path);
    if (err != TL_OK) {
        tl_text_done(&path);
        return tl_cli_failed(cli, err);
    }
    tl_text text = {0};
    if (cli->args->is_json) {
        tl_json_begin(&text);
        tl_json_text(&text, "name", cli->args->name);
        tl_json_text(&text, "role", cli->args->role);
        tl_json_text(&text, "key_file", path.data);
        tl_json_end(&text);
    } else {
        tl_text_addf(&text, "%s\n", path.data);
    }
    if ((err = tl_text_err(&text)) == TL_OK) {
        (void)fputs(text.data, stdout);
        tl_cli_say(cli, "move it to the client, and leave no copy here");
    }
    tl_text_done(&text);
    tl_text_done(&path);
    return err == TL_OK ? TL_EXIT_DONE : tl_cli_failed(cli, err);
}

static void add_row(const tl_cli *cli, const tl_key_file *key, tl_text *text)
{
    if (cli->args->is_json) {
        tl_json_begin(text);
        tl_json_text(text, "name", key->name);
        tl_json_text(text, "role", key->role);
        tl_json_text(text, "public", key->public_key);
        tl_json_end(text);
    } else if (cli->args->is_table) {
        tl_text_addf(text, "%-24s  %-6s  %s\n", key->name, key->role, key->public_key);
    } else {
        tl_text_addf(text, "%s,%s,%s\n", key->name, key->role, key->public_key);
    }
}

static tl_err add_client(tl_cli *cli, const char *dir, const char *name, tl_text *text)
{
    tl_text path = {0};
    tl_key_file key;
    tl_err err = make_path(dir, name, "", &path);
    if (err == TL_OK && (err = tl_key_file_read(path.data, TL_FILE_TRUSTED, &key)) == TL_OK) {
        add_row(cli, &key, text);
    }
    tl_text_done(&path);
    return err;
}

static int run_list(tl_cli *cli)
{
    const char *dir = find_dir(cli, NULL);
    tl_file_list list = {0};
    tl_text text = {0};
    const tl_key_file head = {.name = "name", .role = "role", .public_key = "public"};
    if (!cli->args->is_json) {
        add_row(cli, &head, &text);
    }
    tl_err err = tl_file_list_init(&list, dir, CLIENT_SUFFIX);
    for (size_t i = 0; i < list.n_names && err == TL_OK; i++) {
        err = add_client(cli, dir, list.names[i], &text);
    }
    tl_text_add(&text, "");
    int status = err == TL_OK ? tl_cli_print(cli, &text) : tl_cli_failed(cli, err);
    tl_file_list_done(&list);
    tl_text_done(&text);
    return status;
}

static int run_remove(tl_cli *cli)
{
    const char *dir = find_dir(cli, NULL);
    const char *name = cli->args->arguments[0];
    tl_text path = {0};
    tl_err err = tl_name_check("key", name);
    if (err == TL_OK && (err = make_path(dir, name, CLIENT_SUFFIX, &path)) == TL_OK) {
        err = !tl_file_exists(path.data)
                  ? tl_fail(TL_ENOTFOUND, "%s: no such client", path.data)
              : unlink(path.data) != 0 ? tl_fail(TL_EIO, "cannot remove %s", path.data)
                                       : tl_file_sync_dir(dir);
    }
    /* What the client was given, where it was never taken away. */
    if (err == TL_OK && strcmp(name, "server") != 0 &&
        (err = make_path(dir, name, ".key", &path)) == TL_OK) {
        (void)unlink(path.data);
    }
    tl_text_done(&path);
    return err == TL_OK ? tl_cli_print_name(cli, "removed", name) : tl_cli_failed(cli, err);
}

#define OPTION_KEYS                                            \
    {                                                          \
        "keys", TL_KEY_KEYS, "DIR", 0, "folder of the keys", 0 \
    }

static const struct argp_option new_options[] = {
    {"name",                              TL_KEY_NAME, "NAME", 0, "what the daemon calls the client", 0},
    {"role",                             TL_KEY_ROLE, "ROLE", 0, "reader, writer or admin", 0},
    OPTION_KEYS,
    {0},
};

static const struct argp_option keys_options[] = {
    OPTION_KEYS,
    {0},
};

const tl_command tl_cmd_key_new = {
    .name = "key new",
    .summary = "A key for a client of a daemon",
    .options = new_options,
    .doc =
        "Makes a key for a client in the folder of tailord --keys (--out DIR), and the "
        "daemon's own where there is none yet; prints the file to give to the client. A "
        "reader may predict and query; a writer may also register devices and spaces, import "
        "and train; an admin may do everything. A daemon that runs notices.",
    .required = {TL_KEY_NAME, TL_KEY_ROLE},
    .is_local = true,
    .run = run_new,
};

const tl_command tl_cmd_key_list = {
    .name = "key list",
    .summary = "The clients that have a key",
    .options = keys_options,
    .doc = "Lists the clients that have a key, with their roles.",
    .required = {TL_KEY_KEYS},
    .is_local = true,
    .run = run_list,
};

const tl_command tl_cmd_key_remove = {
    .name = "key remove",
    .summary = "Takes a client's key away",
    .options = keys_options,
    .args_doc = "NAME",
    .doc = "Takes a client's key away. A daemon that runs refuses it from then on.",
    .required = {TL_KEY_KEYS},
    .min_arguments = 1,
    .max_arguments = 1,
    .is_local = true,
    .run = run_remove,
};
