/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/gnuplot.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    COMMAND_NOT_FOUND = 127
};

tl_err tl_gnuplot_run(const char *folder, const char *script)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (chdir(folder) == 0) {
            (void)execlp("gnuplot", "gnuplot", script, (char *)NULL);
        }
        _exit(COMMAND_NOT_FOUND);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return tl_fail(TL_EIO, "gnuplot: %s", strerror(errno));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == COMMAND_NOT_FOUND) {
        return tl_fail(
            TL_ENOTFOUND,
            "gnuplot cannot be run (Debian: gnuplot-nox): tables and scripts are in %s, plots"
            " are not",
            folder);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? TL_OK
               : tl_fail(TL_EIO, "gnuplot could not draw %s/%s", folder, script);
}
