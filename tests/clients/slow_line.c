/* SPDX-License-Identifier: Apache-2.0 */
/* On a thread of its own, where cmocka's assertions cannot be: these end the program. */

#include "tests/clients/slow_line.h"

#include "base/attr.h"
#include "base/units.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 8 * 1024,
    EVERY_MS = 10,
    BUFFER_BYTES = 64 * 1024 /* what the line takes in before it is slow */
};

static struct sockaddr_in address_of(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int new_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bytes = BUFFER_BYTES;
    TL_ASSERT(fd >= 0);
    TL_ASSERT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0);
    return fd;
}

/* Whether something can be read within wait_ms. */
static bool can_read(int fd, int wait_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, wait_ms) > 0;
}

/* Carries one piece, if there is one; false at the end. */
static bool carry(int from, int to)
{
    char piece[PIECE_BYTES];
    if (!can_read(from, 0)) {
        return true;
    }
    ssize_t len = recv(from, piece, sizeof piece, 0);
    return len > 0 && send(to, piece, (size_t)len, MSG_NOSIGNAL) == len;
}

static void serve(const tl_slow_line *line, int client)
{
    const struct timespec pause = {.tv_nsec = EVERY_MS * (long)TL_NS_PER_MS};
    struct sockaddr_in address = address_of(line->server_port);
    int server = new_socket();
    TL_ASSERT(connect(server, (const struct sockaddr *)&address, sizeof address) == 0);
    while (!atomic_load(&line->is_stopped) && carry(client, server) && carry(server, client)) {
        (void)nanosleep(&pause, NULL);
    }
    (void)close(server);
}

static void *run(void *context)
{
    const tl_slow_line *line = context;
    while (!atomic_load(&line->is_stopped)) {
        if (can_read(line->listener, EVERY_MS)) {
            int client = accept(line->listener, NULL, NULL);
            TL_ASSERT(client >= 0);
            serve(line, client);
            (void)close(client);
        }
    }
    return NULL;
}

void tl_slow_line_start(tl_slow_line *line, const char *endpoint)
{
    struct sockaddr_in address = address_of(0);
    socklen_t len = sizeof address;
    const char *port = strrchr(endpoint, ':');
    memset(line, 0, sizeof *line);
    TL_ASSERT(port != NULL);
    line->server_port = (int)strtol(port + 1, NULL, 10);
    line->listener = new_socket();
    TL_ASSERT(bind(line->listener, (const struct sockaddr *)&address, sizeof address) == 0);
    TL_ASSERT(listen(line->listener, 1) == 0);
    TL_ASSERT(getsockname(line->listener, (struct sockaddr *)&address, &len) == 0);
    (void)snprintf(
        line->endpoint, sizeof line->endpoint, "tcp://127.0.0.1:%d",
        (int)ntohs(address.sin_port));
    TL_ASSERT(pthread_create(&line->thread, NULL, run, line) == 0);
}

void tl_slow_line_stop(tl_slow_line *line)
{
    atomic_store(&line->is_stopped, true);
    TL_ASSERT(pthread_join(line->thread, NULL) == 0);
    (void)close(line->listener);
}
