/*
 * Connecting over vsock, with the system calls replaced (meson.build): what is asked of the kernel
 * and what becomes of its answers. No AF_VSOCK socket is made.
 */
#undef socket
#undef connect
#undef getsockopt
#undef setsockopt

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "common/util.h"
#include "host/lib/address.h"
#include "unit.h"

int vsock_socket(int domain, int type, int protocol);
int vsock_connect(int fd, const struct sockaddr *address, socklen_t size);
int vsock_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int vsock_setsockopt(int fd, int level, int name, const void *value, socklen_t size);

/* What the calls answer, and what they were asked. */
static struct {
	int socket_errno;
	int connect_errno;
	/* SO_ERROR after EINPROGRESS. */
	int later_errno;
	/* The connection is never ready. */
	bool pending;

	int fd;
	int peer;
	struct sockaddr_vm address;
	struct timeval limit;
} kernel;

int vsock_socket(int domain, int type, int protocol)
{
	static char filler[KIB(64)];
	int pair[2];

	ck_assert_int_eq(domain, AF_VSOCK);
	ck_assert_int_eq(type, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_eq(protocol, 0);
	if (kernel.socket_errno) {
		errno = kernel.socket_errno;
		return -1;
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	/* A full socket is not writable, as one that is still connecting. */
	while (kernel.pending && write(pair[0], filler, sizeof(filler)) > 0)
		continue;
	kernel.fd = pair[0];
	kernel.peer = pair[1];
	return pair[0];
}

int vsock_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	ck_assert_int_eq(fd, kernel.fd);
	ck_assert_uint_eq(size, sizeof(kernel.address));
	memcpy(&kernel.address, address, size);
	errno = kernel.connect_errno;
	return kernel.connect_errno ? -1 : 0;
}

int vsock_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	ck_assert_int_eq(fd, kernel.fd);
	ck_assert_int_eq(level, SOL_SOCKET);
	ck_assert_int_eq(name, SO_ERROR);
	ck_assert_uint_eq(*size, sizeof(int));
	memcpy(value, &kernel.later_errno, sizeof(int));
	return 0;
}

int vsock_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	ck_assert_int_eq(fd, kernel.fd);
	ck_assert_int_eq(level, AF_VSOCK);
	ck_assert_int_eq(name, SO_VM_SOCKETS_CONNECT_TIMEOUT);
	ck_assert_uint_eq(size, sizeof(kernel.limit));
	memcpy(&kernel.limit, value, size);
	return 0;
}

static const struct address guest = { .kind = ADDRESS_VSOCK, .cid = 42, .port = 5123 };

static int dial(int timeout_ms, int *fd, struct provium_error *error)
{
	const struct wait_limits limits = {
		.deadline = deadline_after(timeout_ms),
		.cancel_fd = -1,
	};

	return address_connect(&guest, &limits, fd, error);
}

static void check_connected(void)
{
	struct provium_error error;
	int fd;

	if (dial(1500, &fd, &error) < 0)
		ck_abort_msg("%s", error.message);
	ck_assert_int_eq(fd, kernel.fd);
	ck_assert_uint_eq(kernel.address.svm_family, AF_VSOCK);
	ck_assert_uint_eq(kernel.address.svm_cid, 42);
	ck_assert_uint_eq(kernel.address.svm_port, 5123);
	/* The kernel's own limit must not be met first. */
	ck_assert_int_ge(kernel.limit.tv_sec, 2);
	close(fd);
	close(kernel.peer);
}

START_TEST(test_at_once)
{
	check_connected();
}
END_TEST

START_TEST(test_later)
{
	kernel.connect_errno = EINPROGRESS;
	check_connected();
}
END_TEST

START_TEST(test_for_ever)
{
	struct provium_error error;
	int fd;

	ck_assert_int_eq(dial(PROVIUM_FOREVER, &fd, &error), 0);
	ck_assert_int_eq(kernel.limit.tv_sec, 0);
	close(fd);
	close(kernel.peer);
}
END_TEST

static const struct {
	int now;
	int later;
	int os_errno;
	const char *why;
} failures[] = {
	{ ENODEV, 0, ENODEV, "no such guest" },
	{ EINPROGRESS, ENODEV, ENODEV, "no such guest" },
	/* A guest that is up and does not listen. */
	{ EINPROGRESS, ECONNRESET, ECONNREFUSED, "Connection refused" },
	{ EINPROGRESS, ETIMEDOUT, ETIMEDOUT, "Connection timed out" },
	{ ENETUNREACH, 0, ENETUNREACH, "Network is unreachable" },
};

START_TEST(test_failure)
{
	struct provium_error error;
	int fd;

	kernel.connect_errno = failures[_i].now;
	kernel.later_errno = failures[_i].later;
	ck_assert_int_eq(dial(1500, &fd, &error), -1);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, failures[_i].os_errno);
	ck_assert_ptr_nonnull(strstr(error.message, "vsock:42:5123"));
	ck_assert_ptr_nonnull(strstr(error.message, failures[_i].why));
	close(kernel.peer);
}
END_TEST

START_TEST(test_no_vsock)
{
	struct provium_error error;
	int fd;

	kernel.socket_errno = EAFNOSUPPORT;
	ck_assert_int_eq(dial(1500, &fd, &error), -1);
	ck_assert_int_eq(error.os_errno, EAFNOSUPPORT);
	ck_assert_ptr_nonnull(strstr(error.message, "CONFIG_VSOCKETS"));
}
END_TEST

START_TEST(test_timeout)
{
	struct provium_error error;
	int fd;

	kernel.connect_errno = EINPROGRESS;
	kernel.pending = true;
	ck_assert_int_eq(dial(50, &fd, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	ck_assert_ptr_nonnull(strstr(error.message, "vsock:42:5123: timed out after 50 ms"));
	close(kernel.peer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-dial-vsock");
	TCase *tcase = unit_counted_case("vsock");

	tcase_add_test(tcase, test_at_once);
	tcase_add_test(tcase, test_later);
	tcase_add_test(tcase, test_for_ever);
	tcase_add_loop_test(tcase, test_failure, 0, ARRAY_SIZE(failures));
	tcase_add_test(tcase, test_no_vsock);
	tcase_add_test(tcase, test_timeout);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
