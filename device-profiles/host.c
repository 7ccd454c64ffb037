/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "device-profiles/host.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_BYTES = 512,
    LINE_BYTES = 512,
    MAX_CACHES = 8,
    BYTES_PER_KIB = 1024
};

/* The first line of root/path, without its end; "" when it cannot be read. */
static void read_line(const char *root, const char *path, char out[LINE_BYTES])
{
    char full[PATH_BYTES];
    out[0] = '\0';
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = fopen(full, "r");
    if (file == NULL) {
        return;
    }
    if (fgets(out, LINE_BYTES, file) == NULL) {
        out[0] = '\0';
    }
    out[strcspn(out, "\n")] = '\0';
    (void)fclose(file);
}

/* The value of the first line "key : value" of root/path; "" when there is none. */
static void read_field(
    const char *root, const char *path, const char *key, char out[LINE_BYTES])
{
    char full[PATH_BYTES];
    char line[LINE_BYTES];
    size_t key_len = strlen(key);
    out[0] = '\0';
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = fopen(full, "r");
    if (file == NULL) {
        return;
    }
    while (out[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, key, key_len) == 0 && colon != NULL &&
            line + key_len + strspn(line + key_len, " \t") == colon) {
            const char *value = colon + 1 + strspn(colon + 1, " \t");
            (void)snprintf(out, LINE_BYTES, "%.*s", (int)strcspn(value, "\n"), value);
        }
    }
    (void)fclose(file);
}

/* What a profile's text cannot hold becomes a blank. */
static void keep_printable(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if (!isprint((unsigned char)*c)) {
            *c = ' ';
        }
    }
}

static void read_processor(const char *root, tl_host *host)
{
    char line[LINE_BYTES];
    read_field(root, "/proc/cpuinfo", "model name", line);
    if (line[0] == '\0') {
        read_line(root, "/proc/device-tree/model", line); /* where Arm boards say it */
    }
    keep_printable(line);
    (void)snprintf(
        host->processor, sizeof host->processor, "%.*s", (int)sizeof host->processor - 1, line);
}

static void read_clock(const char *root, tl_host *host)
{
    char line[LINE_BYTES];
    read_line(root, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", line);
    host->clock_mhz = strtod(line, NULL) / 1e3; /* kHz */
    if (!(host->clock_mhz > 0)) {
        read_field(root, "/proc/cpuinfo", "cpu MHz", line);
        host->clock_mhz = strtod(line, NULL);
    }
    if (!(host->clock_mhz >= 0.01 && host->clock_mhz <= 1e5)) {
        host->clock_mhz = 0;
    }
}

static void read_caches(const char *root, tl_host *host)
{
    for (int i = 0; i < MAX_CACHES; i++) {
        char path[PATH_BYTES];
        char level[LINE_BYTES];
        char type[LINE_BYTES];
        char size[LINE_BYTES];
        static const char folder[] = "/sys/devices/system/cpu/cpu0/cache/index";
        (void)snprintf(path, sizeof path, "%s%d/level", folder, i);
        read_line(root, path, level);
        (void)snprintf(path, sizeof path, "%s%d/type", folder, i);
        read_line(root, path, type);
        (void)snprintf(path, sizeof path, "%s%d/size", folder, i);
        read_line(root, path, size);

        char *unit = NULL;
        unsigned long n = strtoul(size, &unit, 10);
        size_t bytes = n * (*unit == 'K'   ? BYTES_PER_KIB
                            : *unit == 'M' ? BYTES_PER_KIB * BYTES_PER_KIB
                                           : 1U);
        if (level[0] >= '1' && level[0] <= '3' && strcmp(type, "Instruction") != 0) {
            host->cache_bytes[level[0] - '1'] = bytes;
        }
    }
}

/* sysconf knows the caches on some machines whose sysfs does not. */
static void ask_sysconf(tl_host *host)
{
    static const int names[] = {
        _SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
    for (size_t i = 0; i < TL_COUNT(names); i++) {
        long bytes = sysconf(names[i]);
        if (host->cache_bytes[i] == 0 && bytes > 0) {
            host->cache_bytes[i] = (size_t)bytes;
        }
    }
}

static int count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return CPU_COUNT(&set);
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

static void read_name(tl_host *host)
{
    if (gethostname(host->name, sizeof host->name) != 0) {
        host->name[0] = '\0';
    }
    host->name[sizeof host->name - 1] = '\0';
    for (char *c = host->name; *c != '\0'; c++) {
        bool is_plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        if (!is_plain && (c == host->name || strchr("._+-", *c) == NULL)) {
            *c = c == host->name ? 'x' : '-';
        }
    }
    if (host->name[0] == '\0') {
        (void)snprintf(host->name, sizeof host->name, "this-machine");
    }
}

void tl_host_read(const char *root, tl_host *out_host)
{
    tl_host host = {0};
    char line[LINE_BYTES];
    read_name(&host);
    read_processor(root, &host);
    read_clock(root, &host);
    read_caches(root, &host);
    if (root[0] == '\0') {
        ask_sysconf(&host);
    }
    read_field(root, "/proc/meminfo", "MemAvailable", line);
    host.cache_bytes[TL_DRAM] = strtoul(line, NULL, 10) * BYTES_PER_KIB;
    host.cores = count_cores();
    *out_host = host;
}
