// SPDX-License-Identifier: GPL-2.0
/*
 * A module that does on request what kernels should not do, so that it can be tested that Provium
 * tells of it; and a device with ioctls, as the module under test of somebody who uses Provium.
 * For a guest that may be lost: never load it anywhere else.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "provium_test.h"

#define MAX_PIECES  64
#define MAX_SIZE    4096
#define MAX_SPIN_MS 60000

/* Counts PROVIUM_TEST_WAKE: who sleeps waits for it to change. */
static DECLARE_WAIT_QUEUE_HEAD(sleepers);
static unsigned int wakes;

static DEFINE_MUTEX(hang_lock);
static struct task_struct *hanging;

/* A compiler that knows these addresses would not read from them. */
static unsigned long null_address;
static unsigned long wild_address = 0xdead000000000100;

static noinline void read_from(unsigned long address)
{
	READ_ONCE(*(int *)address);
}

static noinline void underflow(void)
{
	refcount_t count = REFCOUNT_INIT(1);

	/* Whether it was the last is of no interest, twice. */
	if (refcount_dec_and_test(&count) && refcount_dec_and_test(&count))
		pr_info("the count was right\n");
}

static void splat(u32 kind)
{
	switch (kind) {
	case PROVIUM_TEST_WARN:
		WARN(1, "provium-test: this warning was asked for\n");
		break;
	case PROVIUM_TEST_BUG:
		BUG();
	case PROVIUM_TEST_NULL:
		read_from(READ_ONCE(null_address));
		break;
	case PROVIUM_TEST_GPF:
		read_from(READ_ONCE(wild_address));
		break;
	case PROVIUM_TEST_REFCOUNT:
		underflow();
		break;
	case PROVIUM_TEST_PANIC:
		panic("provium-test: this panic was asked for");
	}
}

/* What is to be done later: one at a time. */
static u32 later_kind;

static void do_later(struct work_struct *work)
{
	splat(later_kind);
}

static DECLARE_DELAYED_WORK(later, do_later);

static long splat_now_or_later(const struct provium_test_splat *request)
{
	if (request->kind >= PROVIUM_TEST_KINDS)
		return -EINVAL;
	if (!request->later_ms) {
		splat(request->kind);
		return 0;
	}
	if (delayed_work_pending(&later))
		return -EBUSY;
	later_kind = request->kind;
	schedule_delayed_work(&later, msecs_to_jiffies(request->later_ms));
	return 0;
}

/* Copies one piece; the sum goes into it, and its bytes to target. */
static long gather_piece(struct provium_test_piece *piece, u64 target, u8 *buffer)
{
	if (piece->size > MAX_SIZE)
		return -EINVAL;
	if (copy_from_user(buffer, u64_to_user_ptr(piece->data), piece->size))
		return -EFAULT;
	piece->sum = 0;
	for (u32 i = 0; i < piece->size; i++)
		piece->sum += buffer[i];
	return copy_to_user(u64_to_user_ptr(target), buffer, piece->size) ? -EFAULT : 0;
}

static long gather(struct provium_test_gather *request)
{
	struct provium_test_piece __user *pieces = u64_to_user_ptr(request->pieces);
	struct provium_test_piece piece;
	u8 *buffer;
	long error = 0;

	if (request->flags || request->count > MAX_PIECES)
		return -EINVAL;
	buffer = kmalloc(MAX_SIZE, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	request->written = 0;
	for (u32 i = 0; i < request->count && !error; i++) {
		if (copy_from_user(&piece, &pieces[i], sizeof(piece))) {
			error = -EFAULT;
			break;
		}
		if (piece.size > request->target_size - request->written) {
			error = -ENOSPC;
			break;
		}
		error = gather_piece(&piece, request->target + request->written, buffer);
		if (!error && copy_to_user(&pieces[i], &piece, sizeof(piece)))
			error = -EFAULT;
		if (!error)
			request->written += piece.size;
	}
	kfree(buffer);
	return error;
}

static void sleep_for(u32 ms)
{
	unsigned int before = READ_ONCE(wakes);

	if (ms)
		wait_event_timeout(sleepers, READ_ONCE(wakes) != before, msecs_to_jiffies(ms));
	else
		wait_event(sleepers, READ_ONCE(wakes) != before);
}

static int hang(void *data)
{
	wait_event(sleepers, kthread_should_stop());
	return 0;
}

static long begin_hanging(void)
{
	struct task_struct *thread;
	long error = 0;

	mutex_lock(&hang_lock);
	if (hanging) {
		error = -EBUSY;
	} else {
		thread = kthread_run(hang, NULL, "provium-hang");
		if (IS_ERR(thread))
			error = PTR_ERR(thread);
		else
			hanging = thread;
	}
	mutex_unlock(&hang_lock);
	return error;
}

static void wake_all(void)
{
	WRITE_ONCE(wakes, wakes + 1);
	wake_up_all(&sleepers);
	mutex_lock(&hang_lock);
	if (hanging)
		kthread_stop(hanging);
	hanging = NULL;
	mutex_unlock(&hang_lock);
}

static void spin(u32 ms)
{
	preempt_disable();
	mdelay(ms);
	preempt_enable();
}

static long test_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	struct provium_test_gather gathered;
	struct provium_test_splat wanted;
	long error;
	u32 ms;

	switch (command) {
	case PROVIUM_TEST_SPLAT:
		if (copy_from_user(&wanted, user, sizeof(wanted)))
			return -EFAULT;
		return splat_now_or_later(&wanted);
	case PROVIUM_TEST_GATHER:
		if (copy_from_user(&gathered, user, sizeof(gathered)))
			return -EFAULT;
		error = gather(&gathered);
		if (copy_to_user(user, &gathered, sizeof(gathered)))
			return -EFAULT;
		return error;
	case PROVIUM_TEST_SLEEP:
	case PROVIUM_TEST_SPIN:
		if (get_user(ms, (u32 __user *)user))
			return -EFAULT;
		if (command == PROVIUM_TEST_SPIN && ms > MAX_SPIN_MS)
			return -EINVAL;
		if (command == PROVIUM_TEST_SLEEP)
			sleep_for(ms);
		else
			spin(ms);
		return 0;
	case PROVIUM_TEST_HANG:
		return begin_hanging();
	case PROVIUM_TEST_WAKE:
		wake_all();
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = test_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "provium-test",
	.fops = &operations,
	.mode = 0600,
};

static int __init test_init(void)
{
	return misc_register(&device);
}

static void __exit test_exit(void)
{
	misc_deregister(&device);
	cancel_delayed_work_sync(&later);
	wake_all();
}

module_init(test_init);
module_exit(test_exit);

MODULE_DESCRIPTION("Does what kernels should not do, for tests");
MODULE_LICENSE("GPL");
