/* Memory, credentials, limits, keys, maps of BPF, messages. */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#include "guest_calls.h"

static void run_memfd(void)
{
	char text[] = "in shared memory", back[16] = "";
	char *memory;
	int fd = (int)CALL(SYS_memfd_create, "calls", MFD_ALLOW_SEALING);

	tell_success("memfd_create", fd);
	tell("ftruncate", CALL(SYS_ftruncate, fd, 8192L));
	memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tell_success("mmap", memory == MAP_FAILED ? -1 : 0);
	tell("pwrite64", CALL(SYS_pwrite64, fd, text, 16L, 4090L));
	tell("pwrite64 of it", CALL(SYS_pwrite64, fd, memory + 4093, 9L, 100L));
	tell("pread64", CALL(SYS_pread64, fd, back, 16L, 100L));
	tell_bytes("back", back, sizeof(back));
	tell("F_ADD_SEALS", CALL(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_GROW));
	tell("F_GET_SEALS", CALL(SYS_fcntl, fd, F_GET_SEALS));
	tell("munmap", CALL(SYS_munmap, memory, 8192L));
}

static void run_mincore(void)
{
	unsigned char there[4] = { 0 };
	char *memory =
		mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	tell("madvise", CALL(SYS_madvise, memory + 4096, 8192L, 23 /* MADV_POPULATE_WRITE */));
	tell("mincore", CALL(SYS_mincore, memory, 16384L, there));
	tell_bytes("there", there, sizeof(there));
	tell("mprotect", CALL(SYS_mprotect, memory, 4096L, PROT_NONE));
	tell("munmap", CALL(SYS_munmap, memory, 16384L));
	tell("mincore after", CALL(SYS_mincore, memory, 4096L, there));
}

static void run_process_vm(void)
{
	char from[] = "0123456789", to[12] = "", change[] = "written", target[12] = "";
	struct iovec there[2] = { { from + 1, 3 }, { from + 6, 4 } }, here[1] = { { to + 2, 7 } };
	struct iovec source = { change, 7 }, places[2] = { { target, 2 }, { target + 5, 5 } };

	tell("process_vm_readv", CALL(SYS_process_vm_readv, getpid(), here, 1L, there, 2L, 0L));
	tell_bytes("read", to, sizeof(to));
	tell("process_vm_writev",
	     CALL(SYS_process_vm_writev, getpid(), &source, 1L, places, 2L, 0L));
	tell_bytes("written", target, sizeof(target));
}

static void run_names(void)
{
	struct utsname name = { 0 };
	struct timespec grain = { 0 };
	char directory[16] = "";

	tell("uname", CALL(SYS_uname, &name));
	tell_bytes("name", &name, sizeof(name));
	tell("getcwd", CALL(SYS_getcwd, directory, sizeof(directory)));
	tell_bytes("directory", directory, sizeof(directory));
	tell("clock_getres", CALL(SYS_clock_getres, CLOCK_MONOTONIC, &grain));
	tell_bytes("grain", &grain, sizeof(grain));
}

static void run_credentials(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	unsigned int real = 9, effective = 9, saved = 9;

	tell("getresuid", CALL(SYS_getresuid, &real, &effective, &saved));
	tell_bytes("real", &real, 4);
	tell_bytes("effective", &effective, 4);
	tell_bytes("saved", &saved, 4);
	tell("capget", CALL(SYS_capget, &header, data));
	tell_bytes("capabilities", data, sizeof(data));
	header.version = 1;
	tell("capget of another version", CALL(SYS_capget, &header, data));
	tell_bytes("version", &header, sizeof(header));
}

static void run_limits(void)
{
	struct rlimit limit = { 0 };
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t minimum, maximum;
	} attributes = { 0 };

	tell("prlimit64", CALL(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &limit));
	tell_bytes("limit", &limit, sizeof(limit));
	tell("sched_getattr", CALL(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0));
	tell_bytes("attributes", &attributes, 24);
	tell("sched_getscheduler", CALL(SYS_sched_getscheduler, 0));
	tell("getpriority", CALL(SYS_getpriority, PRIO_PROCESS, 0));
}

static void run_prctl(void)
{
	int subreaper = 9;
	uint16_t sizes[3] = { 0 };
	uint32_t action = SECCOMP_RET_USER_NOTIF;

	tell("PR_SET_CHILD_SUBREAPER", CALL(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1L));
	tell("PR_GET_CHILD_SUBREAPER", CALL(SYS_prctl, PR_GET_CHILD_SUBREAPER, &subreaper));
	tell_bytes("subreaper", &subreaper, 4);
	tell("PR_SET_CHILD_SUBREAPER", CALL(SYS_prctl, PR_SET_CHILD_SUBREAPER, 0L));
	tell("PR_CAPBSET_READ", CALL(SYS_prctl, PR_CAPBSET_READ, 21L, 0L, 0L, 0L));
	tell("an unknown one", CALL(SYS_prctl, 99999, 0L, 0L, 0L, 0L));
	tell("SECCOMP_GET_ACTION_AVAIL", CALL(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	tell("SECCOMP_GET_NOTIF_SIZES", CALL(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, sizes));
	tell_bytes("sizes", sizes, sizeof(sizes));
}

static void run_bpf(void)
{
	union bpf_attr create = {
		.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 3
	};
	union bpf_attr element = { 0 };
	uint64_t value = 0x0123456789abcdef, found = 0;
	uint32_t key = 77, next = 0;
	int map = (int)CALL(SYS_bpf, BPF_MAP_CREATE, &create, sizeof(create));

	tell_success("BPF_MAP_CREATE", map);
	element.map_fd = (uint32_t)dup2(map, 300);
	element.key = (uintptr_t)&key;
	element.value = (uintptr_t)&value;
	tell("BPF_MAP_UPDATE_ELEM", CALL(SYS_bpf, BPF_MAP_UPDATE_ELEM, &element, sizeof(element)));
	element.value = (uintptr_t)&found;
	tell("BPF_MAP_LOOKUP_ELEM", CALL(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &element, sizeof(element)));
	tell_bytes("found", &found, 8);
	element.key = 0;
	element.next_key = (uintptr_t)&next;
	tell("BPF_MAP_GET_NEXT_KEY",
	     CALL(SYS_bpf, BPF_MAP_GET_NEXT_KEY, &element, sizeof(element)));
	tell_bytes("next", &next, 4);
	element.key = (uintptr_t)&key;
	/* It has none. */
	element.value = 0;
	tell("BPF_MAP_DELETE_ELEM", CALL(SYS_bpf, BPF_MAP_DELETE_ELEM, &element, sizeof(element)));
	tell("BPF_MAP_DELETE_ELEM again",
	     CALL(SYS_bpf, BPF_MAP_DELETE_ELEM, &element, sizeof(element)));
}

static void run_keys(void)
{
	char content[16] = "", about[64] = "";
	long ring = KEY_SPEC_PROCESS_KEYRING;
	long key = CALL(SYS_add_key, "user", "calls:key", "the content", 11L, ring);

	tell_success("add_key", key);
	tell("KEYCTL_READ", CALL(SYS_keyctl, KEYCTL_READ, key, content, 16L));
	tell_bytes("content", content, sizeof(content));
	tell("KEYCTL_DESCRIBE", CALL(SYS_keyctl, KEYCTL_DESCRIBE, key, about, 64L));
	tell_bytes("about", about, sizeof(about));
	tell_success("KEYCTL_SEARCH",
		     CALL(SYS_keyctl, KEYCTL_SEARCH, ring, "user", "calls:key", 0L));
	tell("KEYCTL_UNLINK", CALL(SYS_keyctl, KEYCTL_UNLINK, key, ring));
	tell("KEYCTL_SEARCH after", CALL(SYS_keyctl, KEYCTL_SEARCH, ring, "user", "calls:key", 0L));
}

static void run_messages(void)
{
	struct {
		long type;
		char text[16];
	} sent = { 5, "a message" }, got = { 0, "" };
	long queue = CALL(SYS_msgget, IPC_PRIVATE, 0600);

	tell_success("msgget", queue);
	tell("msgsnd", CALL(SYS_msgsnd, queue, &sent, 9L, 0));
	tell("msgrcv of another", CALL(SYS_msgrcv, queue, &got, 16L, 6L, IPC_NOWAIT));
	tell("msgrcv", CALL(SYS_msgrcv, queue, &got, 16L, -7L, IPC_NOWAIT));
	tell_bytes("got", &got, sizeof(got));
	tell("IPC_RMID", CALL(SYS_msgctl, queue, IPC_RMID, NULL));
}

static void run_semaphores(void)
{
	struct sembuf operations[2] = { { 0, 3, 0 }, { 1, 4, 0 } }, down = { 1, -5, 0 };
	struct timespec time = { 0, 1000 };
	unsigned short values[2] = { 0 };
	long set = CALL(SYS_semget, IPC_PRIVATE, 2, 0600);

	tell_success("semget", set);
	tell("semtimedop", CALL(SYS_semtimedop, set, operations, 2L, NULL));
	tell("semtimedop down", CALL(SYS_semtimedop, set, &down, 1L, &time));
	tell("GETALL", CALL(SYS_semctl, set, 0, GETALL, values));
	tell_bytes("values", values, sizeof(values));
	tell("IPC_RMID", CALL(SYS_semctl, set, 0, IPC_RMID));
}

static void run_mqueue(void)
{
	/* struct mq_attr: flags, messages at most, their size, messages. */
	long attributes[8] = { 0, 4, 32, 0 }, back[8] = { 0 };
	char got[32] = "";
	unsigned int priority = 0;
	int queue = (int)CALL(SYS_mq_open, "calls", O_RDWR | O_CREAT, 0600, attributes);

	tell_success("mq_open", queue);
	tell("mq_timedsend", CALL(SYS_mq_timedsend, queue, "less", 4L, 1, NULL));
	tell("mq_timedsend", CALL(SYS_mq_timedsend, queue, "urgent", 6L, 9, NULL));
	tell("mq_getsetattr", CALL(SYS_mq_getsetattr, queue, NULL, back));
	tell_bytes("attributes", back, 32);
	tell("mq_timedreceive", CALL(SYS_mq_timedreceive, queue, got, 32L, &priority, NULL));
	tell_bytes("got", got, sizeof(got));
	tell_bytes("priority", &priority, 4);
	tell("mq_unlink", CALL(SYS_mq_unlink, "calls"));
}

const struct guest_case guest_kernel_cases[] = {
	{ "memfd", run_memfd },
	{ "mincore", run_mincore },
	{ "process_vm", run_process_vm },
	{ "names", run_names },
	{ "credentials", run_credentials },
	{ "limits", run_limits },
	{ "prctl", run_prctl },
	{ "bpf", run_bpf },
	{ "keys", run_keys },
	{ "messages", run_messages },
	{ "semaphores", run_semaphores },
	{ "mqueue", run_mqueue },
	{ NULL, NULL },
};
