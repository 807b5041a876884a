/*
 * The guest of the provium-vsock test: its init. It loads the modules named in /modules, serves a
 * few vsock ports, a process for each connection, and says on the console when it is ready.
 *
 * All bulk data is the pattern below, so that both ends can tell a byte that is lost, doubled or
 * out of place without a word to each other. What a connection's process found out it says at the
 * end of the connection, or in the counters of PORT_STATUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define PATTERN_LENGTH 65521u /* a prime: no buffer's size divides it */
#define CHUNK          ((size_t)256 << 10)

/* A request is a line; what is read to its end is the pattern too. */
enum port {
	PORT_ECHO = 7,   /* sends back what comes */
	PORT_SINK = 9,   /* reads to the end, then says how much, and whether it was good */
	PORT_STALL = 11, /* the same, but not before somebody connects to PORT_RESUME */
	PORT_RESUME = 12,
	PORT_SOURCE = 19,   /* "COUNT": sends so much, closes */
	PORT_HALF = 20,     /* "COUNT": sends so much, ends its sending, reads to the end */
	PORT_DIAL = 30,     /* "PORT COUNT": is PORT_HALF towards the host's port, then a sink */
	PORT_DEAF = 31,     /* "COUNT": ends its receiving, sends so much, closes */
	PORT_VANISH = 40,   /* sends 1 MiB and is killed */
	PORT_STATUS = 41,   /* says how many processes there are, and what PORT_HALF read last */
	PORT_LOOPBACK = 50, /* "COUNT": says how many microseconds the guest's loopback takes */
};

static const uint16_t ports[] = { PORT_ECHO,   PORT_SINK,   PORT_SOURCE,  PORT_HALF,
				  PORT_STALL,  PORT_RESUME, PORT_DIAL,    PORT_DEAF,
				  PORT_VANISH, PORT_STATUS, PORT_LOOPBACK };
#define PORTS (sizeof(ports) / sizeof(ports[0]))

/* The pattern, often enough that any CHUNK of it is in one piece. */
static uint8_t pattern[PATTERN_LENGTH + CHUNK];

/* Shared by all processes. */
static struct shared {
	volatile uint32_t resumed;
	volatile uint32_t alive;
	volatile uint64_t half_read;
	volatile uint32_t half_good;
} * shared;

static void make_pattern(void)
{
	uint32_t state = 1;

	/* The generator of C's specification, so that the host can make the same. */
	for (size_t i = 0; i < sizeof(pattern); i++) {
		if (i >= PATTERN_LENGTH) {
			pattern[i] = pattern[i - PATTERN_LENGTH];
			continue;
		}
		state = state * 1103515245u + 12345u;
		pattern[i] = (uint8_t)(state >> 16);
	}
}

__attribute__((noreturn)) static void fail(const char *what)
{
	printf("guest: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* Sends length bytes of the pattern: how many went out. */
static uint64_t send_pattern(int fd, uint64_t length)
{
	uint64_t done = 0;

	while (done < length) {
		size_t part = length - done < CHUNK ? (size_t)(length - done) : CHUNK;
		ssize_t count = send(fd, pattern + done % PATTERN_LENGTH, part, MSG_NOSIGNAL);

		if (count < 0)
			break;
		done += (uint64_t)count;
	}
	return done;
}

/* Reads to the end: how many bytes; *good tells whether they were the pattern. */
static uint64_t read_pattern(int fd, int *good)
{
	static uint8_t buffer[CHUNK];
	uint64_t done = 0;
	ssize_t count;

	*good = 1;
	while ((count = read(fd, buffer, sizeof(buffer))) > 0) {
		if (memcmp(buffer, pattern + done % PATTERN_LENGTH, (size_t)count) != 0)
			*good = 0;
		done += (uint64_t)count;
	}
	if (count < 0)
		*good = 0;
	return done;
}

/* "NUMBER WORD\n" */
static void say(int fd, uint64_t number, const char *word)
{
	char line[80];
	int length = snprintf(line, sizeof(line), "%llu %s\n", (unsigned long long)number, word);

	if (send(fd, line, (size_t)length, MSG_NOSIGNAL) != length)
		printf("guest: could not say: %s", line);
}

static void say_read(int fd, uint64_t number, int good)
{
	say(fd, number, good ? "good" : "bad");
}

static void say_errno(int fd)
{
	char word[32];

	snprintf(word, sizeof(word), "errno=%d", errno);
	say(fd, 0, word);
}

/* Reads a line of up to two numbers, byte by byte: what follows it is not for us. */
static int read_numbers(int fd, unsigned long long *first, unsigned long long *second)
{
	char line[64];
	size_t length = 0;

	while (length < sizeof(line) - 1 && read(fd, line + length, 1) == 1)
		if (line[length++] == '\n')
			break;
	line[length] = '\0';
	return sscanf(line, "%llu %llu", first, second);
}

static int vsock_connect(uint32_t cid, uint32_t port)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void serve_echo(int fd)
{
	static uint8_t buffer[CHUNK];
	ssize_t count;

	while ((count = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t done = 0; done < count;) {
			ssize_t sent =
				send(fd, buffer + done, (size_t)(count - done), MSG_NOSIGNAL);

			if (sent < 0)
				return;
			done += sent;
		}
}

static void serve_sink(int fd)
{
	int good;
	uint64_t count = read_pattern(fd, &good);

	say_read(fd, count, good);
}

static void serve_half(int fd, uint64_t length)
{
	int good;

	send_pattern(fd, length);
	shutdown(fd, SHUT_WR);
	shared->half_read = read_pattern(fd, &good);
	shared->half_good = (uint32_t)good;
}

static void serve_dial(int fd, uint32_t port, uint64_t length)
{
	int peer = vsock_connect(VMADDR_CID_HOST, port);
	uint64_t count;
	int good;

	if (peer < 0) {
		say_errno(fd);
		return;
	}
	send_pattern(peer, length);
	shutdown(peer, SHUT_WR);
	count = read_pattern(peer, &good);
	close(peer);
	say_read(fd, count, good);
}

static void serve_loopback(int fd, uint64_t length)
{
	struct timespec start, end;
	int64_t microseconds;
	uint64_t count;
	int peer, good;

	peer = vsock_connect(VMADDR_CID_LOCAL, PORT_SOURCE);
	if (peer < 0) {
		say_errno(fd);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	dprintf(peer, "%llu\n", (unsigned long long)length);
	count = read_pattern(peer, &good);
	clock_gettime(CLOCK_MONOTONIC, &end);
	microseconds = (end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000;
	say_read(fd, (uint64_t)microseconds, count == length && good);
}

static void serve(uint16_t port, int fd)
{
	unsigned long long first = 0, second = 0;

	switch ((enum port)port) {
	case PORT_ECHO:
		serve_echo(fd);
		break;
	case PORT_STALL:
		while (!shared->resumed)
			poll(NULL, 0, 10);
		serve_sink(fd);
		break;
	case PORT_SINK:
		serve_sink(fd);
		break;
	case PORT_RESUME:
		shared->resumed = 1;
		break;
	case PORT_SOURCE:
		read_numbers(fd, &first, &second);
		send_pattern(fd, first);
		break;
	case PORT_HALF:
		read_numbers(fd, &first, &second);
		serve_half(fd, first);
		break;
	case PORT_DIAL:
		read_numbers(fd, &first, &second);
		serve_dial(fd, (uint32_t)first, second);
		break;
	case PORT_DEAF:
		read_numbers(fd, &first, &second);
		shutdown(fd, SHUT_RD);
		send_pattern(fd, first);
		break;
	case PORT_VANISH:
		send_pattern(fd, 1u << 20);
		kill(getpid(), SIGKILL);
		break;
	case PORT_STATUS:
		/* Itself aside. */
		dprintf(fd, "%u %llu %s\n", shared->alive - 1,
			(unsigned long long)shared->half_read, shared->half_good ? "good" : "bad");
		break;
	case PORT_LOOPBACK:
		read_numbers(fd, &first, &second);
		serve_loopback(fd, first);
		break;
	}
}

static void load_modules(void)
{
	FILE *list = fopen("/modules", "r");
	char name[128];

	if (!list)
		fail("/modules");
	while (fscanf(list, "%127s", name) == 1) {
		int fd = open(name, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			fail(name);
		close(fd);
	}
	fclose(list);
}

static int listen_port(uint16_t port)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK,
				       .svm_cid = VMADDR_CID_ANY,
				       .svm_port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4096) < 0)
		fail("listen");
	return fd;
}

/* The archive has no device nodes; whether the kernel found a console without is its affair. */
static void open_console(void)
{
	int fd;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	for (int i = 0; i < 3 && fd >= 0; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* Serves one connection in a process of its own. */
static void accept_one(int listener, uint16_t port)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return;
	shared->alive++;
	switch (fork()) {
	case -1:
		fail("fork");
	case 0:
		serve(port, fd);
		_exit(0);
	default:
		close(fd);
	}
}

static void reap(int signal_fd)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) < 0)
		fail("signalfd");
	while (waitpid(-1, NULL, WNOHANG) > 0)
		shared->alive--;
}

int main(void)
{
	struct pollfd sockets[PORTS + 1];
	sigset_t children;

	open_console();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		fail("mmap");
	make_pattern();
	load_modules();

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	sockets[PORTS] =
		(struct pollfd){ .fd = signalfd(-1, &children, SFD_CLOEXEC), .events = POLLIN };
	for (size_t i = 0; i < PORTS; i++)
		sockets[i] = (struct pollfd){ .fd = listen_port(ports[i]), .events = POLLIN };
	printf("guest: ready\n");
	fflush(stdout);

	for (;;) {
		poll(sockets, PORTS + 1, -1);
		if (sockets[PORTS].revents & POLLIN)
			reap(sockets[PORTS].fd);
		for (size_t i = 0; i < PORTS; i++)
			if (sockets[i].revents & POLLIN)
				accept_one(sockets[i].fd, ports[i]);
	}
}
