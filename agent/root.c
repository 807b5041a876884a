#include "agent/root.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "agent/loop.h"
#include "agent/os.h"
#include "agent/server.h"
#include "agent/statx.h"
#include "common/cleanup.h"

static bool identify(int dir, const char *path, struct root_id *id)
{
	struct statx status;

	if (os_statx(dir, path, 0, STATX_INO | STATX_MNT_ID, &status) < 0)
		return false;
	*id = (struct root_id){
		.mount = status.stx_mnt_id,
		.inode = status.stx_ino,
		.major = status.stx_dev_major,
		.minor = status.stx_dev_minor,
	};
	return true;
}

static bool is_same(const struct root_id *one, const struct root_id *other)
{
	return memcmp(one, other, sizeof(*one)) == 0;
}

static bool look_at_init(const struct loop *loop, struct root_id *id)
{
	return loop->config->follow_init && identify(loop->config->proc_fd, "1/root", id);
}

/*
 * Whether our root is one that we know: that which we have entered, or that of PID 1, to which the
 * kernel has taken us along. Else we have been moved.
 */
static bool is_known(const struct loop *loop, const struct root_id *init)
{
	struct root_id own;

	return identify(AT_FDCWD, "/", &own) && (is_same(&own, &loop->root) || is_same(&own, init));
}

/*
 * Where PID 1 is in another mount namespace that is entered, too: mount(2) works in one's own
 * alone. Who shares root and working directory with other threads may not (setns(2)), and has its
 * own from then on; the others follow by themselves.
 */
static void enter_namespace(int proc)
{
	cleanup_close int mounts = openat(proc, "1/ns/mnt", O_RDONLY | O_CLOEXEC);
	struct root_id theirs, ours;

	if (identify(proc, "1/ns/mnt", &theirs) && identify(proc, "thread-self/ns/mnt", &ours) &&
	    !is_same(&theirs, &ours) && unshare(CLONE_FS) == 0)
		(void)setns(mounts, CLONE_NEWNS);
}

static bool enter(int proc)
{
	bool entered;

	enter_namespace(proc);
	entered = os_fchdir(proc) == 0 && chroot("1/root") == 0;
	return chdir("/") == 0 && entered;
}

void root_start(struct loop *loop)
{
	if (loop->config->role != SERVER_MAIN)
		loop->root = loop->config->root;
	else if (loop->config->follow_init)
		identify(AT_FDCWD, "/", &loop->root);
}

void root_follow(struct loop *loop)
{
	struct root_id init;

	if (!look_at_init(loop, &init) || is_same(&init, &loop->root) || !is_known(loop, &init))
		return;
	/* None that there is: where we may not enter it we stay, and say so. */
	loop->root = enter(loop->config->proc_fd) ? init : (struct root_id){ 0 };
}

bool root_is_own(const struct loop *loop)
{
	struct root_id init;

	return !look_at_init(loop, &init) || !is_known(loop, &init);
}
