/* Sockets, and ioctl(2) on them. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#include "tests/integration/programs/calls.h"

static int call_pair(int pair)
{
	return MAKE(socketpair, V(AF_UNIX), V(SOCK_DGRAM), V(0), A(pair));
}

static void close_pair(int pair)
{
	call_close_at(pair, 0);
	call_close_at(pair, 4);
}

/* struct iovec: address and length, for each piece. */
static int pieces(int first, uint32_t first_at, uint64_t first_size, int second,
		  uint64_t second_size)
{
	const uint64_t words[4] = { 0, first_size, 0, second_size };
	int buffer = OBJECT(words);

	provium_program_pointer(program, buffer, 0, first, first_at);
	provium_program_pointer(program, buffer, 16, second, 0);
	return buffer;
}

/* What struct msghdr holds at these bytes (recvmsg(2)); it is 56 bytes long, struct mmsghdr 64. */
enum {
	MSG_IOV = 16,
	MSG_CONTROL = 32,
	MSG_CONTROL_LENGTH = 40,
	MSG_FLAGS = 48,
	MMSG_LENGTH = 56,
	MMSG_SIZE = 64,
};

static int header(int vector, uint64_t count, int control, uint64_t control_size)
{
	const uint64_t words[7] = { 0, 0, 0, count, 0, control_size, 0 };
	int buffer = OBJECT(words);

	provium_program_pointer(program, buffer, MSG_IOV, vector, 0);
	provium_program_pointer(program, buffer, MSG_CONTROL, control, 0);
	return buffer;
}

/* The fd that goes along is one that has a number of the case's choice. */
static void make_sendmsg(void)
{
	/* struct cmsghdr: its length, level, type; then the fd. */
	const uint32_t rights[6] = { 20, 0, SOL_SOCKET, SCM_RIGHTS, 300, 0 };
	int pair = zeros(8), back = zeros(16), arrived = zeros(64), message, received;

	message = header(pieces(text("message:"), 0, 8, text("ody"), 3), 2, OBJECT(rights), 24);
	received = header(pieces(back, 8, 5, back, 8), 2, arrived, 64);
	call_pair(pair);
	MAKE(dup2, LOAD(pair, 0), V(300));
	say("sendmsg", MAKE(sendmsg, LOAD(pair, 0), A(message), V(0)));
	say("recvmsg", MAKE(recvmsg, LOAD(pair, 4), A(received), V(0)));
	say_bytes("received", back, 0, 16);
	say_bytes("control", arrived, 0, 16);
	say_bytes("length", received, MSG_CONTROL_LENGTH, 4);
	say_bytes("flags", received, MSG_FLAGS, 4);
	call_close_at(arrived, 16);
	MAKE(close, V(300));
	close_pair(pair);
}

/* Two headers with a vector of one piece each. */
static int two_headers(int first, uint64_t first_size, int second, uint64_t second_size)
{
	uint64_t words[16] = { 0 };
	int vectors = pieces(first, 0, first_size, second, second_size), buffer;

	words[3] = words[11] = 1;
	buffer = OBJECT(words);
	provium_program_pointer(program, buffer, MSG_IOV, vectors, 0);
	provium_program_pointer(program, buffer, MMSG_SIZE + MSG_IOV, vectors, 16);
	return buffer;
}

static void make_sendmmsg(void)
{
	int pair = zeros(8), back[2] = { zeros(16), zeros(16) };
	int out = two_headers(text("first"), 5, text("next"), 4);
	int in = two_headers(back[0], 16, back[1], 3);

	call_pair(pair);
	say("sendmmsg", MAKE(sendmmsg, LOAD(pair, 0), A(out), V(2), V(0)));
	say("recvmmsg", MAKE(recvmmsg, LOAD(pair, 4), A(in), V(2), V(0), V(0)));
	for (uint32_t at = 0; at < 2 * MMSG_SIZE; at += MMSG_SIZE) {
		say_bytes("sent", out, at + MMSG_LENGTH, 4);
		say_bytes("length", in, at + MMSG_LENGTH, 4);
		say_bytes("flags", in, at + MSG_FLAGS, 4);
	}
	say_bytes("received", back[0], 0, 16);
	say_bytes("received", back[1], 0, 16);
	close_pair(pair);
}

static void make_netlink(void)
{
	/* struct nlmsghdr: length, type and flags of 16 bits each, sequence, port; struct
	 * ifinfomsg: family and type, index, flags, change. */
	const uint32_t request[8] = { 32, NLM_F_REQUEST << 16 | RTM_GETLINK, 7, 0, 0, 1, 0, 0 };
	const uint32_t kernel[3] = { AF_NETLINK, 0, 0 }, room = 12;
	int from = zeros(12), length = OBJECT(room), reply = zeros(4096), fd;

	fd = MAKE(socket, V(AF_NETLINK), V(SOCK_RAW), V(NETLINK_ROUTE));
	say("sendto",
	    MAKE(sendto, R(fd), A(OBJECT(request)), V(32), V(0), A(OBJECT(kernel)), V(12)));
	say("recvfrom", MAKE(recvfrom, R(fd), A(reply), V(4096), V(0), A(from), A(length)));
	say_bytes("header", reply, 0, 12);
	say_bytes("link", reply, 16, 24);
	say_bytes("from", from, 0, 12);
	say_bytes("its length", length, 0, 4);
	call_close(fd);
}

static void make_sockopt(void)
{
	const uint32_t linger[2] = { 1, 30 }, rooms[2] = { 8, 40 };
	const uint64_t time[2] = { 5, 250000 };
	int back = zeros(8), time_back = zeros(16), lengths = OBJECT(rooms), fd;

	fd = MAKE(socket, V(AF_INET), V(SOCK_STREAM), V(0));
	say("setsockopt",
	    MAKE(setsockopt, R(fd), V(SOL_SOCKET), V(SO_LINGER), A(OBJECT(linger)), V(8)));
	say("getsockopt",
	    MAKE(getsockopt, R(fd), V(SOL_SOCKET), V(SO_LINGER), A(back), A(lengths)));
	say_bytes("linger", back, 0, 8);
	say_bytes("length", lengths, 0, 4);
	say("SO_RCVTIMEO",
	    MAKE(setsockopt, R(fd), V(SOL_SOCKET), V(SO_RCVTIMEO), A(OBJECT(time)), V(16)));
	say("SO_RCVTIMEO back",
	    MAKE(getsockopt, R(fd), V(SOL_SOCKET), V(SO_RCVTIMEO), A(time_back), AT(lengths, 4)));
	say_bytes("time", time_back, 0, 16);
	say_bytes("length", lengths, 4, 4);
	call_close(fd);
}

/* An address in the abstract namespace: family, a NUL, the name. */
static int address(const char *name, size_t length)
{
	uint8_t bytes[32] = { AF_UNIX };

	for (size_t i = 0; i < length; i++)
		bytes[3 + i] = (uint8_t)name[i];
	return object(bytes, 3 + length);
}

static void make_accept(void)
{
	const uint32_t rooms[2] = { 110, 110 };
	int name = address("calls", 5), peer = address("peer", 4), lengths = OBJECT(rooms);
	int back[2] = { zeros(110), zeros(110) }, listener, client, server;

	listener = MAKE(socket, V(AF_UNIX), V(SOCK_STREAM), V(0));
	client = MAKE(socket, V(AF_UNIX), V(SOCK_STREAM), V(0));
	say("bind", MAKE(bind, R(listener), A(name), V(8)));
	say("listen", MAKE(listen, R(listener), V(5)));
	say("bind of the other", MAKE(bind, R(client), A(peer), V(7)));
	say("connect", MAKE(connect, R(client), A(name), V(8)));
	server = MAKE(accept4, R(listener), A(back[0]), A(lengths), V(SOCK_CLOEXEC));
	say_success("accept4", server);
	say_bytes("peer", back[0], 0, 16);
	say_bytes("its length", lengths, 0, 4);
	say("getpeername", MAKE(getpeername, R(client), A(back[1]), AT(lengths, 4)));
	/* The C program has both in one place. */
	say_bytes("name", back[1], 0, 16);
	say_bytes("its length", lengths, 4, 4);
	call_close(server);
	call_close(client);
	call_close(listener);
}

/* struct ifreq: 16 bytes of name, 24 of value. */
enum {
	IFREQ_SIZE = 40,
	ENTRIES_SIZE = 4 * IFREQ_SIZE,
};

/* Which address is that of the loopback device, once it is up. */
static void make_ifconf(void)
{
	const uint64_t words[2] = { ENTRIES_SIZE, 0 };
	int list = OBJECT(words), entries = zeros(ENTRIES_SIZE), fd;

	expect_output("ip link set lo up", "");
	provium_program_pointer(program, list, 8, entries, 0);
	fd = MAKE(socket, V(AF_INET), V(SOCK_DGRAM), V(0));
	say("SIOCGIFCONF", MAKE(ioctl, R(fd), V(SIOCGIFCONF), A(list)));
	say_bytes("length", list, 0, 4);
	say_bytes("entries", entries, 0, ENTRIES_SIZE);
	call_close(fd);
}

static void make_ifflags(void)
{
	const char name[IFREQ_SIZE] = "lo";
	int flags = OBJECT(name), mtu = OBJECT(name), fd;

	fd = MAKE(socket, V(AF_INET), V(SOCK_DGRAM), V(0));
	say("SIOCGIFFLAGS", MAKE(ioctl, R(fd), V(SIOCGIFFLAGS), A(flags)));
	say_bytes("flags", flags, 0, IFREQ_SIZE);
	say("SIOCGIFMTU", MAKE(ioctl, R(fd), V(SIOCGIFMTU), A(mtu)));
	say_bytes("mtu", mtu, 0, IFREQ_SIZE);
	call_close(fd);
}

const struct call_case socket_cases[] = {
	{ "sendmsg", make_sendmsg }, { "sendmmsg", make_sendmmsg },
	{ "netlink", make_netlink }, { "sockopt", make_sockopt },
	{ "accept", make_accept },   { "ifconf", make_ifconf },
	{ "ifflags", make_ifflags }, { NULL, NULL },
};
