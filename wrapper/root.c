/*
 * The device is found in a devtmpfs that is mounted nowhere. That it comes is told by a uevent:
 * the kernel makes the node a moment before the device can be opened, and sends the uevent of a
 * disk and of its partitions after it (block/genhd.c, device_add_disk).
 */
#include "wrapper/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/detached.h"
#include "common/util.h"
#include "wrapper/partuuid.h"
#include "wrapper/procfs.h"

/* How long a device may take to come, seconds: usually, and with rootwait or rootdelay at most. */
#define WAIT_S      5u
#define WAIT_MOST_S 60u

/* As the kernel has them; what is mounted says so in /proc/mounts. */
#define NODE        "/dev/root"
#define PLACE       "/root"

#define TEXT_SIZE   KIB(16)

static bool is_there(const char *path)
{
	cleanup_close int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0;
}

/*
 * With an init in the initramfs the kernel looks at no root=. What is said to us alone counts in
 * any case, and without a value it asks for none.
 */
const char *root_wanted(const struct cmdline *cmdline)
{
	const char *root = cmdline->provium_root;

	if (!root && !is_there("/init") && !(cmdline->init && is_there(cmdline->init)))
		root = cmdline->root;
	return root && root[0] ? root : NULL;
}

/* Cuts the next word off *rest; NULL: there is none. */
static char *next_word(char **rest, char between)
{
	char *word = *rest, *end;

	while (*word == between)
		word++;
	for (end = word; *end && *end != between;)
		end++;
	*rest = *end ? end + 1 : end;
	*end = '\0';
	return word[0] ? word : NULL;
}

/* 0: there is none, or not yet more of it than the node. */
static dev_t device_of(int dev, const char *name)
{
	cleanup_close int device = -1;
	struct stat status;

	if (fstatat(dev, name, &status, 0) != 0 || !S_ISBLK(status.st_mode))
		return 0;
	device = openat(dev, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return device < 0 && errno == ENXIO ? 0 : status.st_rdev;
}

/*
 * A partition's name is that of its disk and its number, with a "p" between where the disk's ends
 * in a digit. Where there is no such disk it is none.
 */
static bool has_partuuid(int dev, const char *name, const char *uuid)
{
	size_t length = strlen(name), end = length;
	unsigned int number = 0, sector = 512;
	cleanup_close int disk = -1;
	char parent[64];

	while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9')
		end--;
	if (end == length || length - end > 4 || end >= sizeof(parent))
		return false;
	for (const char *digit = name + end; *digit; digit++)
		number = number * 10 + (unsigned int)(*digit - '0');
	if (end > 1 && name[end - 1] == 'p' && name[end - 2] >= '0' && name[end - 2] <= '9')
		end--;
	memcpy(parent, name, end);
	parent[end] = '\0';
	if (device_of(dev, parent) == 0)
		return false;
	disk = openat(dev, parent, O_RDONLY | O_CLOEXEC);
	if (disk < 0)
		return false;
	ioctl(disk, BLKSSZGET, &sector);
	return partuuid_is(disk, number, sector, uuid);
}

static dev_t find_partuuid(int dev, const char *uuid)
{
	static char text[TEXT_SIZE];
	char *rest = text, *line;

	if (procfs_read("partitions", text, sizeof(text)) < 0)
		return 0;
	while ((line = next_word(&rest, '\n'))) {
		const char *name = strrchr(line, ' ');

		if (name && has_partuuid(dev, name + 1, uuid))
			return device_of(dev, name + 1);
	}
	return 0;
}

static dev_t find_device(int dev, const char *root)
{
	if (strncmp(root, "/dev/", 5) == 0)
		return device_of(dev, root + 5);
	if (strncmp(root, "PARTUUID=", 9) == 0)
		return find_partuuid(dev, root + 9);
	return 0;
}

/* Digits; anything else is as much as there may be. */
static unsigned int seconds(const char *text)
{
	unsigned int value = 0;

	while (*text >= '0' && *text <= '9' && value < WAIT_MOST_S)
		value = value * 10 + (unsigned int)(*text++ - '0');
	return *text ? WAIT_MOST_S : MIN(value, WAIT_MOST_S);
}

/*
 * The kernel waits without end for rootwait, and for rootdelay even where the device is there; here
 * a host waits, and to know when it is there is all that both are for.
 */
static unsigned int longest_wait(const struct cmdline *cmdline)
{
	unsigned int longest = WAIT_S;

	if (cmdline->rootdelay)
		longest = MAX(longest, seconds(cmdline->rootdelay));
	if (cmdline->rootwait)
		longest = cmdline->rootwait[0] ? seconds(cmdline->rootwait) : WAIT_MOST_S;
	return longest;
}

/* 0: it does not come. */
static dev_t await_device(int dev, const struct cmdline *cmdline, const char *root)
{
	static const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	cleanup_close int uevents =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	struct pollfd came = { .fd = uevents, .events = POLLIN };
	uint64_t end = monotonic_ns() + longest_wait(cmdline) * UINT64_C(1000000000);
	dev_t device;
	char byte;

	(void)bind(uevents, (const struct sockaddr *)&kernel, sizeof(kernel));
	while ((device = find_device(dev, root)) == 0) {
		uint64_t now = monotonic_ns();

		if (now >= end)
			break;
		poll(&came, 1, (int)((end - now) / 1000000) + 1);
		/* Which one came, or that some were lost, is of no account: one looks again. */
		while (recv(uevents, &byte, 1, MSG_DONTWAIT) > 0)
			;
	}
	return device;
}

/* 0, or an errno. Of a device that cannot be written to comes a root that cannot either. */
static int mount_as(const char *type, unsigned long flags, const char *data)
{
	if (mount(NODE, PLACE, type, flags, data) == 0)
		return 0;
	if (errno != EACCES && errno != EROFS)
		return errno;
	return mount(NODE, PLACE, type, flags | MS_RDONLY, data) == 0 ? 0 : errno;
}

/*
 * With the type that is asked for, or with each that the kernel has and that takes a device.
 * Returns 0, or what the last one said that knew the file system, or could have.
 */
static int mount_root(const struct cmdline *cmdline)
{
	static char text[TEXT_SIZE];
	unsigned long flags = MS_SILENT | (cmdline->writable ? 0 : MS_RDONLY);
	const char *wanted = cmdline->rootfstype;
	char *rest = text, *type;
	int error = ENODEV;

	if (wanted)
		memcpy(text, wanted, MIN(strlen(wanted), sizeof(text) - 1));
	else if (procfs_read("filesystems", text, sizeof(text)) < 0)
		return errno;
	while ((type = next_word(&rest, wanted ? ',' : '\n'))) {
		int result;

		/* "nodev\tproc", but "\text4". */
		if (!wanted && *type++ != '\t')
			continue;
		result = mount_as(type, flags, cmdline->rootflags);
		if (result == 0)
			return 0;
		if (result != EINVAL || error == ENODEV)
			error = result;
	}
	return error;
}

int root_enter(const struct cmdline *cmdline, const char *root, enum boot_step *step)
{
	cleanup_close int dev = detached_mount("devtmpfs");
	dev_t device = await_device(dev, cmdline, root);
	int error;

	*step = BOOT_ROOT_DEVICE;
	if (device == 0)
		return ENOENT;
	*step = BOOT_ROOT_MOUNT;
	mkdir("/dev", 0755);
	mkdir(PLACE, 0700);
	unlink(NODE);
	if (mknod(NODE, S_IFBLK | 0600, device) < 0)
		return errno;
	error = mount_root(cmdline);
	if (error)
		return error;
	if (chdir(PLACE) < 0)
		return errno;
	/*
	 * As by CONFIG_DEVTMPFS_MOUNT. Whether a kernel has that cannot be seen, and an init for
	 * which it matters has been written for one that does.
	 */
	if (!cmdline->devtmpfs || cmdline->devtmpfs[0] != '0')
		mount("devtmpfs", "dev", "devtmpfs", MS_SILENT, NULL);
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return errno;
	return 0;
}
