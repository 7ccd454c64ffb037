/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t is_interrupted;
static volatile sig_atomic_t input_fd = -1;
static volatile sig_atomic_t nothing_fd = -1;

/* A read that waits ends by the signal, one that would come to wait by what it then reads. */
static void on_interrupt(int number)
{
    int before = errno;
    (void)number;
    is_interrupted = 1;
    if (input_fd >= 0 && nothing_fd >= 0) {
        (void)dup2(nothing_fd, input_fd);
    }
    errno = before;
}

void tl_interrupt_end_input(int fd)
{
    nothing_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    input_fd = fd;
}

void tl_interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
}

bool tl_interrupt_came(void)
{
    return is_interrupted != 0;
}
