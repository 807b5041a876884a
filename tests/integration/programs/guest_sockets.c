/* Sockets, and ioctl(2) on them. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "guest_calls.h"

static void run_sendmsg(void)
{
	char head[] = "message:", body[] = "body", back[2][8] = { "", "" };
	struct iovec out[2] = { { head, 8 }, { body + 1, 3 } };
	struct iovec in[2] = { { back[1], 5 }, { back[0], 8 } };
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, arrived[64] = { 0 };
	struct msghdr message = { .msg_iov = out,
				  .msg_iovlen = 2,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct msghdr received = { .msg_iov = in,
				   .msg_iovlen = 2,
				   .msg_control = arrived,
				   .msg_controllen = sizeof(arrived) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int pair[2];

	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(rights), &pair[0], sizeof(int));
	tell("sendmsg", CALL(SYS_sendmsg, pair[0], &message, 0));
	tell("recvmsg", CALL(SYS_recvmsg, pair[1], &received, 0));
	tell_bytes("received", back, sizeof(back));
	/* All but the fd. */
	tell_bytes("control", arrived, CMSG_LEN(0));
	tell_bytes("length", &received.msg_controllen, 4);
	tell_bytes("flags", &received.msg_flags, 4);
}

static void run_sendmmsg(void)
{
	char texts[2][6] = { "first", "next" }, back[2][16] = { "", "" };
	struct iovec pieces[2] = { { texts[0], 5 }, { texts[1], 4 } };
	struct iovec rooms[2] = { { back[0], 16 }, { back[1], 3 } };
	struct mmsghdr out[2] = { 0 }, in[2] = { 0 };
	int pair[2];

	for (int i = 0; i < 2; i++) {
		out[i].msg_hdr.msg_iov = &pieces[i];
		in[i].msg_hdr.msg_iov = &rooms[i];
		out[i].msg_hdr.msg_iovlen = in[i].msg_hdr.msg_iovlen = 1;
	}
	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	tell("sendmmsg", CALL(SYS_sendmmsg, pair[0], out, 2, 0));
	tell("recvmmsg", CALL(SYS_recvmmsg, pair[1], in, 2, 0, NULL));
	for (int i = 0; i < 2; i++) {
		tell_bytes("sent", &out[i].msg_len, 4);
		tell_bytes("length", &in[i].msg_len, 4);
		tell_bytes("flags", &in[i].msg_hdr.msg_flags, 4);
	}
	tell_bytes("received", back[0], 16);
	tell_bytes("received", back[1], 16);
}

/* Asks for the loopback device. */
static void run_netlink(void)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST,
			    .nlmsg_seq = 7 },
		.link = { .ifi_index = 1 },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK }, from = { 0 };
	unsigned int length = sizeof(from);
	char reply[4096] = { 0 };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	tell("sendto", CALL(SYS_sendto, fd, &request, sizeof(request), 0, &kernel, sizeof(kernel)));
	tell("recvfrom", CALL(SYS_recvfrom, fd, reply, sizeof(reply), 0, &from, &length));
	/* But for the number of the asking socket. */
	tell_bytes("header", reply, offsetof(struct nlmsghdr, nlmsg_pid));
	tell_bytes("link", reply + sizeof(struct nlmsghdr), sizeof(struct ifinfomsg) + 8);
	tell_bytes("from", &from, sizeof(from));
	tell_bytes("its length", &length, 4);
}

static void run_sockopt(void)
{
	struct linger linger = { 1, 30 }, back = { 0 };
	struct timeval time = { 5, 250000 }, time_back = { 0 };
	unsigned int length = sizeof(back), time_length = 40;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	tell("setsockopt",
	     CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	tell("getsockopt", CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &back, &length));
	tell_bytes("linger", &back, sizeof(back));
	tell_bytes("length", &length, 4);
	tell("SO_RCVTIMEO", CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)));
	tell("SO_RCVTIMEO back",
	     CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &time_back, &time_length));
	tell_bytes("time", &time_back, sizeof(time_back));
	tell_bytes("length", &time_length, 4);
}

static void run_accept(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0calls" };
	struct sockaddr_un peer = { .sun_family = AF_UNIX, .sun_path = "\0peer" };
	struct sockaddr_un back = { 0 };
	unsigned int length = sizeof(back);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	int server;

	tell("bind", CALL(SYS_bind, listener, &name, 2 + 6));
	tell("listen", CALL(SYS_listen, listener, 5));
	tell("bind of the other", CALL(SYS_bind, client, &peer, 2 + 5));
	tell("connect", CALL(SYS_connect, client, &name, 2 + 6));
	server = (int)CALL(SYS_accept4, listener, &back, &length, SOCK_CLOEXEC);
	tell_success("accept4", server);
	tell_bytes("peer", &back, 16);
	tell_bytes("its length", &length, 4);
	length = sizeof(back);
	tell("getpeername", CALL(SYS_getpeername, client, &back, &length));
	tell_bytes("name", &back, 16);
	tell_bytes("its length", &length, 4);
}

static void run_ifconf(void)
{
	struct ifreq entries[4] = { 0 };
	struct ifconf list = { .ifc_len = sizeof(entries), .ifc_req = entries };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	tell("SIOCGIFCONF", CALL(SYS_ioctl, fd, SIOCGIFCONF, &list));
	tell_bytes("length", &list.ifc_len, 4);
	tell_bytes("entries", entries, sizeof(entries));
}

static void run_ifflags(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	tell("SIOCGIFFLAGS", CALL(SYS_ioctl, fd, SIOCGIFFLAGS, &request));
	tell_bytes("flags", &request, sizeof(request));
	tell("SIOCGIFMTU", CALL(SYS_ioctl, fd, SIOCGIFMTU, &request));
	tell_bytes("mtu", &request, sizeof(request));
}

const struct guest_case guest_socket_cases[] = {
	{ "sendmsg", run_sendmsg }, { "sendmmsg", run_sendmmsg },
	{ "netlink", run_netlink }, { "sockopt", run_sockopt },
	{ "accept", run_accept },   { "ifconf", run_ifconf },
	{ "ifflags", run_ifflags }, { NULL, NULL },
};
