/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "daemon/service.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int clean(void **state)
{
    static const char *const variables[] = {"LISTEN_FDS",   "LISTEN_PID",    "LISTEN_FDNAMES",
                                            "WATCHDOG_PID", "WATCHDOG_USEC", "NOTIFY_SOCKET"};
    (void)state;
    for (size_t i = 0; i < TL_COUNT(variables); i++) {
        (void)unsetenv(variables[i]);
    }
    return 0;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

/* ---- states ------------------------------------------------------------------------------- */

static void a_state_arrives_as_a_datagram(void **state)
{
    (void)state;
    char path[512];
    char got[64] = "";
    (void)snprintf(path, sizeof path, "%s/notify", tl_test_new_dir());
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)setenv("NOTIFY_SOCKET", path, 1);
    tl_service_notify("READY=1");
    assert_int_equal(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    (void)close(fd);
}

static void nobody_to_tell_is_no_trouble(void **state)
{
    (void)state;
    static const char *const places[] = {
        "", "/", "relative", "/does/not/exist", "@tailor-nobody-listens-here", "vsock:2:1234"};
    tl_service_notify("READY=1");
    for (size_t i = 0; i < TL_COUNT(places); i++) {
        (void)setenv("NOTIFY_SOCKET", places[i], 1);
        tl_service_notify("READY=1");
    }
}

static void the_watchdog_is_fed_twice_as_often_as_it_looks(void **state)
{
    (void)state;
    assert_int_equal(tl_service_watchdog_ms(), 0);
    (void)setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(tl_service_watchdog_ms(), 15000);
    (void)setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(tl_service_watchdog_ms(), 0);
    (void)unsetenv("WATCHDOG_PID");
    (void)setenv("WATCHDOG_USEC", "1", 1);
    assert_int_equal(tl_service_watchdog_ms(), 1);
    (void)setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(tl_service_watchdog_ms(), 0);
}

/* ---- sockets -------------------------------------------------------------------------------- */

/* Puts fd where the first passed socket stands, keeping what was there. */
static int pass(int fd)
{
    if (fd == 3) {
        return -1; /* it came to stand there by itself */
    }
    int kept = fcntl(3, F_DUPFD, 100);
    assert_int_equal(dup2(fd, 3), 3);
    (void)close(fd);
    return kept;
}

static void give_back(int kept)
{
    if (kept >= 0) {
        (void)dup2(kept, 3);
        (void)close(kept);
    } else {
        (void)close(3);
    }
}

static int listen_at(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, address, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void none_are_passed_without_the_variables(void **state)
{
    (void)state;
    tl_service_sockets sockets;
    assert_ok(tl_service_sockets_take(&sockets));
    assert_int_equal(sockets.n, 0);
    (void)setenv("LISTEN_FDS", "1", 1);
    (void)setenv("LISTEN_PID", "1", 1); /* another process */
    assert_ok(tl_service_sockets_take(&sockets));
    assert_int_equal(sockets.n, 0);
}

static void a_passed_socket_has_its_address(void **state)
{
    (void)state;
    char path[512];
    char wanted[600];
    char pid[32];
    (void)snprintf(path, sizeof path, "%s/socket", tl_test_new_dir());
    struct sockaddr_un address = address_of(path);
    tl_service_sockets sockets;
    int kept = pass(listen_at((const struct sockaddr *)&address, sizeof address));
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    (void)setenv("LISTEN_FDS", "1", 1);
    (void)setenv("LISTEN_PID", pid, 1);
    assert_ok(tl_service_sockets_take(&sockets));
    (void)snprintf(wanted, sizeof wanted, "ipc://%s", path);
    assert_int_equal(sockets.n, 1);
    assert_int_equal(sockets.fds[0], 3);
    assert_string_equal(sockets.endpoints[0], wanted);
    assert_true((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(3, F_GETFL) & O_NONBLOCK) != 0);
    assert_null(getenv("LISTEN_FDS"));
    give_back(kept);
}

static void a_passed_tcp_socket_has_its_port(void **state)
{
    (void)state;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    char wanted[64];
    tl_service_sockets sockets;
    int kept = pass(listen_at((const struct sockaddr *)&address, sizeof address));
    assert_int_equal(getsockname(3, (struct sockaddr *)&address, &len), 0);
    (void)setenv("LISTEN_FDS", "1", 1);
    assert_ok(tl_service_sockets_take(&sockets));
    (void)snprintf(wanted, sizeof wanted, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    assert_string_equal(sockets.endpoints[0], wanted);
    give_back(kept);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    tl_service_sockets sockets;
    (void)setenv("LISTEN_FDS", "many", 1);
    assert_err(TL_EINVAL, tl_service_sockets_take(&sockets));
    assert_detail("LISTEN_FDS: got \"many\", want 0 to 16");
    (void)setenv("LISTEN_FDS", "17", 1);
    assert_err(TL_EINVAL, tl_service_sockets_take(&sockets));
    (void)setenv("LISTEN_FDS", "1", 1);
    int kept = pass(socket(AF_UNIX, SOCK_DGRAM, 0));
    assert_err(TL_EINVAL, tl_service_sockets_take(&sockets));
    assert_detail("passed socket 3: want a listening stream socket");
    give_back(kept);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, clean)
    const struct CMUnitTest tests[] = {
        TEST(a_state_arrives_as_a_datagram),
        TEST(nobody_to_tell_is_no_trouble),
        TEST(the_watchdog_is_fed_twice_as_often_as_it_looks),
        TEST(none_are_passed_without_the_variables),
        TEST(a_passed_socket_has_its_address),
        TEST(a_passed_tcp_socket_has_its_port),
        TEST(nonsense_is_refused),
    };
#undef TEST
    return cmocka_run_group_tests_name("daemon/service", tests, NULL, NULL);
}
