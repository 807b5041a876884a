/*
 * guest-dial CID PORT [TOKEN-FILE]: a process in the guest that would like to use the agent. It
 * connects, asks for a command to be run (behind an AUTH, where it has got hold of the token), and
 * says what has come of it: "closed", "refused" where nobody listens, or what it got. Without
 * arguments it says the guest's own CID.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

/* AUTH with id 1 and EXEC of `touch /got-in` with id 2, as docs/protocol.md has them. */
static const uint8_t auth[] = { 39, 0, 0, 0, 0x80, 0x01, 1, 0x72, 34, 0x0a, 32 };
static const uint8_t exec[] = "\x15\0\0\0\x80\x01\x02\x0a\x10\x0a\x05touch\x0a\x07/got-in";

int main(int argc, char **argv)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK };
	struct pollfd readable = { .events = POLLIN };
	uint8_t token[32], got[4096];
	ssize_t count = 0;
	int file;

	if (argc < 3) {
		file = open("/dev/vsock", O_RDONLY);
		if (ioctl(file, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &address.svm_cid) < 0)
			return 1;
		printf("%u\n", address.svm_cid);
		return 0;
	}
	address.svm_cid = (unsigned int)strtoul(argv[1], NULL, 10);
	address.svm_port = (unsigned int)strtoul(argv[2], NULL, 10);
	readable.fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (readable.fd < 0) {
		printf("no socket: %s\n", strerror(errno));
		return 1;
	}
	if (connect(readable.fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		printf("%s\n",
		       errno == ECONNRESET || errno == ECONNREFUSED ? "refused" : strerror(errno));
		return 0;
	}
	if (argc > 3) {
		file = open(argv[3], O_RDONLY);
		if (read(file, token, sizeof(token)) != sizeof(token))
			return 2;
		(void)!send(readable.fd, auth, sizeof(auth), MSG_NOSIGNAL);
		(void)!send(readable.fd, token, sizeof(token), MSG_NOSIGNAL);
	}
	(void)!send(readable.fd, exec, exec[0] + 4u, MSG_NOSIGNAL);
	if (poll(&readable, 1, 20000) != 1) {
		printf("left alone\n");
		return 0;
	}
	count = recv(readable.fd, got, sizeof(got), 0);
	if (count > 0)
		printf("%zd bytes\n", count);
	else
		printf("%s\n", count == 0 || errno == ECONNRESET ? "closed" : strerror(errno));
	return 0;
}
