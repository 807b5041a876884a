/*
 * The order matters. Until the wrapper has been told that all files of the first root are open the
 * real init is not executed, so that only those are opened before that; from then on it runs beside
 * us and may move or empty the root, so that what is opened after that is below mounts of our own
 * (but of a kernel without devtmpfs, whose /dev is init's). Loading modules takes most of the time
 * and is done then.
 */
#include "agent/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent/auth.h"
#include "agent/fds.h"
#include "agent/guest_fds.h"
#include "agent/init.h"
#include "agent/kmsg.h"
#include "agent/listen.h"
#include "agent/log.h"
#include "agent/power.h"
#include "common/boot.h"
#include "common/cleanup.h"
#include "common/util.h"

/* What the real init's start, or the wrapper's work as init, may take. */
#define STATUS_TIMEOUT_MS 10000

/* The same where the wrapper mounts a root, whose device may come late. */
#define ROOT_TIMEOUT_MS   75000

/* What a device that the kernel is probing may take. */
#define DEVICE_TIMEOUT_MS 1000

struct modules {
	/* The list as text, in which the names are; or why there is none, an errno. */
	char text[BOOT_MODULES_MAX * (BOOT_MODULE_NAME_MAX + 1) + 1];
	int error;
	struct {
		const char *name;
		/* Negative: the errno. */
		int fd;
	} open[BOOT_MODULES_MAX];
	unsigned int count;
	/* Of the list, beyond what there may be. */
	unsigned int left_out;
	unsigned int failed;
};

/* Between boot_begin and boot_finish. */
static struct modules modules;

/* Kept for as long as we live; has_token and not good: the file was no token. */
static uint8_t token[PROVIUM_TOKEN_SIZE];
static bool has_token, is_token_good;

/*
 * The standard fds are those of the console, or absent. Ours are /dev/null: what is written to them
 * by mistake must not reach the console, and a first open() must not become one of them.
 */
static void open_standard_fds(int dev)
{
	cleanup_close int null = openat(dev, "null", O_RDWR | O_CLOEXEC);

	/* Without a devtmpfs: something that can be neither read nor written. */
	if (null < 0)
		null = open("/", O_PATH | O_CLOEXEC);
	null = fd_raise(null);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
}

/* The agent survives what a test does to the guest's memory; its commands live as init's children.
 */
static void protect_from_oom_killer(int proc, struct server_config *config)
{
	static const char protect[] = "-1000";
	cleanup_close int fd = openat(proc, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	char text[16];

	if (guest_read_text(proc, "self/oom_score_adj", text, sizeof(text)) < 0 ||
	    write(fd, protect, sizeof(protect) - 1) < 0) {
		log_warn("cannot set oom_score_adj: %m");
		return;
	}
	config->oom_score_adj = atoi(text);
	config->restore_oom_score_adj = true;
}

static void open_module(int dir, const char *name)
{
	int fd;

	if (modules.count == BOOT_MODULES_MAX) {
		modules.left_out++;
		return;
	}
	fd = fd_raise(openat(dir, name, O_RDONLY | O_CLOEXEC));
	modules.open[modules.count].name = name;
	modules.open[modules.count++].fd = fd < 0 ? -errno : fd;
}

/* What was asked for is demanded: with a damaged file the guest cannot be reached at all. */
static void take_token(void)
{
	cleanup_close int fd = fd_raise(open(BOOT_TOKEN, O_RDONLY | O_CLOEXEC));

	has_token = fd >= 0 || errno != ENOENT;
	is_token_good = auth_read_token(fd, token);
	unlink(BOOT_TOKEN);
}

/*
 * A shim without modules is usual: its kernel has them built in. What fails is told when there is a
 * log.
 */
static void open_modules(void)
{
	cleanup_close int dir = open(BOOT_MODULES_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *next;

	if (dir < 0)
		return;
	if (guest_read_text(dir, BOOT_MODULES_LIST, modules.text, sizeof(modules.text)) < 0) {
		modules.error = errno;
		return;
	}
	for (char *name = modules.text; name; name = next) {
		next = strchr(name, '\n');
		if (next)
			*next++ = '\0';
		if (*name != '\0')
			open_module(dir, name);
	}
}

/*
 * One that fails leaves the others to be tried: which of them matters shows when we listen. Returns
 * how many nanoseconds it took; 0: there were none.
 */
static uint64_t load_modules(void)
{
	uint64_t start = monotonic_ns();

	if (modules.error)
		log_error("%s/%s: %s", BOOT_MODULES_DIR, BOOT_MODULES_LIST,
			  strerror(modules.error));
	for (unsigned int i = 0; i < modules.count; i++) {
		int fd = modules.open[i].fd;

		if (fd < 0)
			errno = -fd;
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)) {
			log_error("module %s: %m", modules.open[i].name);
			modules.failed++;
		} else {
			log_debug("module %s is there", modules.open[i].name);
		}
		close_fd(fd);
	}
	if (modules.left_out > 0)
		log_error("%u modules of the shim are left out: at most %u are loaded",
			  modules.left_out, BOOT_MODULES_MAX);
	modules.failed += modules.left_out;
	return modules.count > 0 ? monotonic_ns() - start : 0;
}

/* Whether a transport to the host has a device. True where the kernel does not tell. */
static bool has_vsock_device(int dev)
{
	cleanup_close int fd = openat(dev, "vsock", O_RDONLY | O_CLOEXEC);
	uint32_t cid = VMADDR_CID_ANY;

	if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
		return true;
	return cid != VMADDR_CID_ANY;
}

static int listen_for_host(uint32_t port, int dev)
{
	char failed[64] = "";
	int fd = listen_vsock(port);

	if (modules.failed > 0)
		snprintf(failed, sizeof(failed), " (%u of its modules failed)", modules.failed);
	if (fd < 0 && errno == EAFNOSUPPORT)
		log_fatal("the kernel has no AF_VSOCK: build it with CONFIG_VSOCKETS and "
			  "CONFIG_VIRTIO_VSOCKETS, or give its modules directory, so that the shim "
			  "brings vsock and vmw_vsock_virtio_transport%s",
			  failed);
	else if (fd < 0)
		log_fatal("cannot listen on vsock port %u: %m", port);
	if (fd < 0)
		return -1;

	/* The device may come later, and we then serve: a launcher need not wait for that. */
	if (!has_vsock_device(dev) && poll(NULL, 0, DEVICE_TIMEOUT_MS) == 0 &&
	    !has_vsock_device(dev))
		log_fatal("no vsock device: the kernel needs CONFIG_VIRTIO_VSOCKETS and "
			  "CONFIG_VIRTIO_PCI, or vmw_vsock_virtio_transport and virtio_pci as "
			  "modules "
			  "in the shim%s, and the machine a vhost-vsock or vhost-user-vsock device",
			  failed);
	return fd;
}

/* So that a host's first READY says how it went; the server goes on where this takes long. */
static void await_init(struct init_state *init)
{
	unsigned int timeout_ms = init->root ? ROOT_TIMEOUT_MS : STATUS_TIMEOUT_MS;
	uint64_t deadline = monotonic_ns() + timeout_ms * UINT64_C(1000000);
	struct pollfd poll_status = { .fd = init->status_fd, .events = POLLIN };

	while (!init->over && !init->waiting) {
		uint64_t now = monotonic_ns();
		int left_ms = now < deadline ? (int)((deadline - now) / 1000000) : 0;

		if (poll(&poll_status, 1, left_ms) <= 0) {
			log_warn("the wrapper does not say how the start of init went");
			return;
		}
		init_read(init);
	}
	if (init_failed(init))
		log_error("init %s: %s", init_subject(init), strerror(init->status.error));
}

/* Takes the wrapper's pipes over, as far as they are needed. */
static void start_init(const struct boot_options *options, struct server_config *config)
{
	int status_fd = fd_raise(BOOT_STATUS_FD), opened_fd = fd_raise(BOOT_OPENED_FD);
	struct init_state *init = init_share(status_fd);

	if (init) {
		init->path = options->init;
		init->root = options->root;
		init->release_fd = -1;
	}
	if (init && (options->hold || options->root))
		init->release_fd = opened_fd;
	else
		close_fd(opened_fd);
	config->init = init;
}

/* The wrapper waits for the modules where it is to mount a root, and for more where it holds init.
 */
static void tell_modules(const struct boot_options *options, struct init_state *init)
{
	if (!init)
		return;
	if (options->root)
		(void)!write(init->release_fd, "", 1);
	if (!options->hold)
		init->release_fd = close_fd(init->release_fd);
}

int boot_begin(struct guest_fds *fds)
{
	char devkmsg[16] = "";
	bool is_waited_for;

	if (fcntl(BOOT_STATUS_FD, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(BOOT_OPENED_FD, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	setsid();
	/* A wrapper that has not waited is no reason to end. */
	signal(SIGPIPE, SIG_IGN);
	open_modules();
	take_token();
	is_waited_for = write(BOOT_OPENED_FD, "", 1) == 1;

	guest_fds_open_ours(fds, fcntl(BOOT_PROC_FD, F_GETFD) < 0 ? -1 : fd_raise(BOOT_PROC_FD));
	guest_read_text(fds->proc, "sys/kernel/printk_devkmsg", devkmsg, sizeof(devkmsg));
	if (fds->kmsg >= 0)
		log_to_kmsg(fds->kmsg, strcmp(devkmsg, "on") == 0);
	open_standard_fds(fds->dev);
	if (!is_waited_for)
		log_warn("the wrapper is gone");
	return 0;
}

int boot_finish(const struct boot_options *options, const struct guest_fds *fds,
		struct server_config *config)
{
	power_init(fds->sysrq);
	log_debug("all files are open");
	if (has_token && !is_token_good) {
		log_fatal(BOOT_TOKEN " does not hold %u bytes: make the shim anew",
			  PROVIUM_TOKEN_SIZE);
		return -1;
	}
	config->token = has_token ? token : NULL;
	start_init(options, config);
	protect_from_oom_killer(fds->proc, config);
	config->modules_ns = load_modules();
	tell_modules(options, config->init);
	config->proc_fd = fds->proc;
	config->follow_init = fds->proc >= 0;
	config->dev_fd = fds->dev;
	config->kmsg = kmsg_share(fds->kmsg);
	config->power = power_set;
	config->listener = LISTENER_VSOCK;
	config->listen_fd = listen_for_host(options->port, fds->dev);
	if (config->listen_fd < 0)
		return -1;
	config->listening_ns = clock_ns(CLOCK_BOOTTIME);
	if (config->init)
		await_init(config->init);
	return 0;
}
