/*
 * The kernel's vhost-vsock. CIDs are the whole machine's, so a random one is tried until it is
 * free. It is set before QEMU starts: the device then holds it, and QEMU, which inherits the fd and
 * sets it once more, need not be started again for a CID that is in use
 * (drivers/vhost/vsock.c, vhost_vsock_set_cid).
 */
#include "host/lib/vm_vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

/* 0 to 2 are taken (vsock(7)), U32_MAX is any; the upper half would read as negative somewhere. */
#define FIRST_CID 3u
#define CIDS      0x7ffffff0u

/* With thousands of VMs the first number is free; this many in use means something else. */
#define ATTEMPTS  64

static int open_device(void)
{
	return open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
}

static int set_cid(int fd, uint64_t cid)
{
	return ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &cid);
}

static int random_number(uint32_t *number)
{
	return getrandom(number, sizeof(*number), 0) == (ssize_t)sizeof(*number) ? 0 : -1;
}

const struct vm_vhost_ops vm_vhost_linux = {
	.open = open_device,
	.set_cid = set_cid,
	.random = random_number,
};

int vm_vhost_open(const struct vm_vhost_ops *ops, uint32_t *cid, struct provium_error *error)
{
	cleanup_close int fd = ops->open();

	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "open /dev/vhost-vsock");
	for (int i = 0; i < ATTEMPTS; i++) {
		uint32_t number;

		if (ops->random(&number) < 0)
			return error_set(error, PROVIUM_HOST, errno, "random number");
		*cid = FIRST_CID + number % CIDS;
		if (ops->set_cid(fd, *cid) == 0)
			return steal_fd(&fd);
		if (errno != EADDRINUSE)
			return error_set(error, PROVIUM_HOST, errno, "/dev/vhost-vsock: set CID");
	}
	return error_set(error, PROVIUM_HOST, EADDRINUSE, "/dev/vhost-vsock: %d random CIDs",
			 ATTEMPTS);
}
