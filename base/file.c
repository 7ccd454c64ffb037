/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/mem.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FIRST_READ_BYTES = 64 * 1024,
    REASON_BYTES = 128,
    DIR_MODE = 0755,
    FILE_MODE = 0644
};

/* Records "cannot WHAT PATH: REASON" for the present errno. */
static tl_err fail_errno(const char *what, const char *path)
{
    int number = errno;
    char reason[REASON_BYTES];
    if (strerror_r(number, reason, sizeof reason) != 0) {
        (void)snprintf(reason, sizeof reason, "error %d", number);
    }
    bool is_short = number == ENOMEM || number == EMFILE || number == ENFILE;
    tl_err err = number == ENOENT ? TL_ENOTFOUND : is_short ? TL_ENOMEM : TL_EIO;
    return tl_fail(err, "cannot %s %s: %s", what, path, reason);
}

static ssize_t read_some(int fd, char *data, size_t len)
{
    ssize_t n = 0;
    do {
        n = read(fd, data, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* One byte more than the bound is asked for, to tell a full file from a longer one. */
static tl_err read_all(
    int fd, const char *path, size_t max_bytes, char **out_data, size_t *out_len)
{
    size_t capacity = max_bytes < FIRST_READ_BYTES ? max_bytes + 1 : FIRST_READ_BYTES;
    size_t len = 0;
    tl_err err = TL_OK;
    char *data = tl_mem_new(capacity + 1, 1);
    while (data != NULL) {
        ssize_t n = read_some(fd, data + len, capacity - len);
        if (n <= 0) {
            err = n < 0 ? fail_errno("read", path) : TL_OK;
            break;
        }
        len += (size_t)n;
        if (len > max_bytes) {
            err = tl_fail(TL_ELIMIT, "%s: got more than %zu bytes", path, max_bytes);
            break;
        }
        if (len == capacity) {
            capacity = capacity > max_bytes / 2 ? max_bytes + 1 : capacity * 2;
            char *longer = tl_mem_resize(data, capacity + 1, 1);
            if (longer == NULL) {
                tl_mem_free(data);
            }
            data = longer;
        }
    }
    if (data == NULL) {
        return tl_fail(TL_ENOMEM, "%s: %zu bytes", path, capacity);
    }
    if (err != TL_OK) {
        tl_mem_free(data);
        return err;
    }
    data[len] = '\0';
    *out_data = data;
    *out_len = len;
    return TL_OK;
}

tl_err tl_file_read(const char *path, size_t max_bytes, char **out_data, size_t *out_len)
{
    TL_ASSERT(max_bytes < SIZE_MAX / 4);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("open", path);
    }
    tl_err err = read_all(fd, path, max_bytes, out_data, out_len);
    (void)close(fd);
    return err;
}

static tl_err check_status(const char *path, const struct stat *status, tl_file_guard guard)
{
    if (status->st_uid != geteuid() && status->st_uid != 0 && geteuid() != 0) {
        return tl_fail(TL_EDENIED, "%s: belongs to another user", path);
    }
    if ((status->st_mode & (mode_t)guard) != 0) {
        bool is_secret = guard == TL_FILE_SECRET;
        return tl_fail(
            TL_EDENIED, "%s: others may %s it; chmod %s %s", path,
            is_secret ? "read or write" : "write", is_secret ? "go-rwx" : "go-w", path);
    }
    return TL_OK;
}

tl_err tl_file_check_guard(const char *path, tl_file_guard guard)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return fail_errno("open", path);
    }
    return check_status(path, &status, guard);
}

tl_err tl_file_read_guarded(
    const char *path, tl_file_guard guard, size_t max_bytes, char **out_data, size_t *out_len)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("open", path);
    }
    /* Of the open file, so that it is not another one that is read. */
    tl_err err =
        fstat(fd, &status) == 0 ? check_status(path, &status, guard) : fail_errno("read", path);
    if (err == TL_OK) {
        err = read_all(fd, path, max_bytes, out_data, out_len);
    }
    (void)close(fd);
    return err;
}

static tl_err write_all(int fd, const char *path, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno("write", path);
        }
        data += n;
        len -= (size_t)n;
    }
    return TL_OK;
}

/* The folder of path: "." where it names none. */
static tl_err sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return tl_file_sync_dir(".");
    }
    char *dir =
        slash == path ? tl_mem_strdup("/") : tl_mem_strndup(path, (size_t)(slash - path));
    if (dir == NULL) {
        return tl_fail(TL_ENOMEM, "a path");
    }
    tl_err err = tl_file_sync_dir(dir);
    tl_mem_free(dir);
    return err;
}

/* mkstemp makes private files; these are meant to be read by whom the umask allows. */
static void give_usual_mode(int fd)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(fd, FILE_MODE & ~mask);
}

struct tl_file_writer {
    char *path;   /* that it gets in the end */
    tl_text name; /* that it has until then */
    int fd;
};

/* What cleaning up after a kill goes by: the 6 characters of mkstemp() follow. */
static const char unfinished[] = ".unfinished.";

enum {
    MKSTEMP_CHARS = 6
};

static tl_err start_writer(tl_file_writer *writer, const char *path, bool is_secret)
{
    writer->path = tl_mem_strdup(path);
    tl_text_addf(&writer->name, "%s%sXXXXXX", path, unfinished);
    if (writer->path == NULL || tl_text_err(&writer->name) != TL_OK) {
        return tl_fail(TL_ENOMEM, "a path");
    }
    writer->fd = mkstemp(writer->name.data);
    if (writer->fd < 0) {
        return fail_errno("write beside", path);
    }
    if (!is_secret) {
        give_usual_mode(writer->fd);
    }
    return TL_OK;
}

tl_err tl_file_writer_open(const char *path, bool is_secret, tl_file_writer **out_writer)
{
    tl_file_writer *writer = tl_mem_new(1, sizeof *writer);
    if (writer == NULL) {
        return tl_fail(TL_ENOMEM, "a file");
    }
    writer->fd = -1;
    tl_err err = start_writer(writer, path, is_secret);
    if (err != TL_OK) {
        tl_file_writer_close(writer);
        return err;
    }
    *out_writer = writer;
    return TL_OK;
}

tl_err tl_file_writer_add(tl_file_writer *writer, const void *data, size_t len)
{
    return write_all(writer->fd, writer->path, data, len);
}

tl_err tl_file_writer_finish(tl_file_writer *writer)
{
    if (fsync(writer->fd) != 0) {
        return fail_errno("write", writer->path);
    }
    if (rename(writer->name.data, writer->path) != 0) {
        return fail_errno("replace", writer->path);
    }
    (void)close(writer->fd);
    writer->fd = -1; /* its first name is gone */
    return sync_parent(writer->path);
}

void tl_file_writer_close(tl_file_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->fd >= 0) {
        (void)close(writer->fd);
        (void)unlink(writer->name.data);
    }
    tl_text_done(&writer->name);
    tl_mem_free(writer->path);
    tl_mem_free(writer);
}

static tl_err write_file(const char *path, const void *data, size_t len, bool is_secret)
{
    tl_file_writer *writer = NULL;
    TL_TRY(tl_file_writer_open(path, is_secret, &writer));
    tl_err err = tl_file_writer_add(writer, data, len);
    if (err == TL_OK) {
        err = tl_file_writer_finish(writer);
    }
    tl_file_writer_close(writer);
    return err;
}

tl_err tl_file_write(const char *path, const void *data, size_t len)
{
    return write_file(path, data, len, false);
}

tl_err tl_file_write_secret(const char *path, const void *data, size_t len)
{
    return write_file(path, data, len, true);
}

tl_err tl_file_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("open", path);
    }
    /* Some file systems cannot sync a folder and say EINVAL: nothing to be done there. */
    tl_err err = fsync(fd) == 0 || errno == EINVAL ? TL_OK : fail_errno("sync", path);
    (void)close(fd);
    return err;
}

/* What is written into a folder is only as durable as the folder's own entry. */
static tl_err make_dir(const char *path)
{
    struct stat status;
    if (mkdir(path, DIR_MODE) == 0) {
        return sync_parent(path);
    }
    int number = errno;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return TL_OK;
    }
    errno = number;
    return fail_errno("make folder", path);
}

tl_err tl_file_make_dirs(const char *path)
{
    char *part = tl_mem_strdup(path);
    if (part == NULL) {
        return tl_fail(TL_ENOMEM, "a path");
    }
    tl_err err = TL_OK;
    for (char *c = part + 1; part[0] != '\0' && *c != '\0' && err == TL_OK; c++) {
        if (*c == '/') {
            *c = '\0';
            err = make_dir(part);
            *c = '/';
        }
    }
    if (err == TL_OK) {
        err = make_dir(path);
    }
    tl_mem_free(part);
    return err;
}

bool tl_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static bool is_wanted(const char *name, const char *suffix)
{
    size_t name_len = strlen(name);
    size_t suffix_len = strlen(suffix);
    return name[0] != '.' && name_len >= suffix_len &&
           strcmp(name + name_len - suffix_len, suffix) == 0;
}

static tl_err add_name(tl_file_list *list, const char *name)
{
    char **names = tl_mem_resize(list->names, list->n_names + 1, sizeof *names);
    if (names == NULL) {
        return tl_fail(TL_ENOMEM, "%zu file names", list->n_names + 1);
    }
    list->names = names;
    names[list->n_names] = tl_mem_strdup(name);
    if (names[list->n_names] == NULL) {
        return tl_fail(TL_ENOMEM, "%zu file names", list->n_names + 1);
    }
    list->n_names++;
    return TL_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

tl_err tl_file_list_init(tl_file_list *list, const char *dir, const char *suffix)
{
    tl_err err = TL_OK;
    tl_file_list found = {0};
    DIR *stream = opendir(dir);
    if (stream == NULL) {
        return fail_errno("list", dir);
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            err = errno != 0 ? fail_errno("list", dir) : TL_OK;
            break;
        }
        if (is_wanted(entry->d_name, suffix) &&
            (err = add_name(&found, entry->d_name)) != TL_OK) {
            break;
        }
    }
    (void)closedir(stream);
    if (err != TL_OK) {
        tl_file_list_done(&found);
        return err;
    }
    if (found.n_names > 0) {
        qsort(found.names, found.n_names, sizeof *found.names, compare_names);
    }
    *list = found;
    return TL_OK;
}

void tl_file_list_done(tl_file_list *list)
{
    for (size_t i = 0; i < list->n_names; i++) {
        tl_mem_free(list->names[i]);
    }
    tl_mem_free(list->names);
    *list = (tl_file_list){0};
}

/* ---- removing ----------------------------------------------------------------------------- */

static bool is_unfinished(const char *name)
{
    size_t len = strlen(name);
    size_t ending = sizeof unfinished - 1 + MKSTEMP_CHARS;
    return len > ending && strncmp(name + len - ending, unfinished, sizeof unfinished - 1) == 0;
}

tl_err tl_file_remove_unfinished(const char *dir)
{
    tl_file_list files = {0};
    tl_text path = {0};
    tl_err err = tl_file_list_init(&files, dir, "");
    for (size_t i = 0; i < files.n_names && err == TL_OK; i++) {
        if (!is_unfinished(files.names[i])) {
            continue;
        }
        tl_text_clear(&path);
        tl_text_addf(&path, "%s/%s", dir, files.names[i]);
        if ((err = tl_text_err(&path)) == TL_OK && unlink(path.data) != 0 && errno != ENOENT) {
            err = fail_errno("remove", path.data);
        }
    }
    tl_text_done(&path);
    tl_file_list_done(&files);
    return err == TL_ENOTFOUND ? TL_OK : err;
}

enum {
    MAX_TREE_DEPTH = 4
};

static tl_err remove_tree(const char *path, int depth)
{
    struct stat status;
    tl_file_list files = {0};
    tl_text name = {0};
    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? TL_OK : fail_errno("remove", path);
    }
    if (!S_ISDIR(status.st_mode)) {
        return unlink(path) == 0 ? TL_OK : fail_errno("remove", path);
    }
    if (depth == MAX_TREE_DEPTH) {
        return tl_fail(TL_EIO, "cannot remove %s: folders in folders", path);
    }
    TL_TRY(tl_file_list_init(&files, path, ""));
    tl_err err = TL_OK;
    for (size_t i = 0; i < files.n_names && err == TL_OK; i++) {
        tl_text_clear(&name);
        tl_text_addf(&name, "%s/%s", path, files.names[i]);
        if ((err = tl_text_err(&name)) == TL_OK) {
            err = remove_tree(name.data, depth + 1);
        }
    }
    tl_text_done(&name);
    tl_file_list_done(&files);
    if (err == TL_OK && rmdir(path) != 0) {
        err = fail_errno("remove", path);
    }
    return err;
}

tl_err tl_file_remove_tree(const char *path)
{
    return remove_tree(path, 0);
}
