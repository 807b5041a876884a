/* Memory, credentials, limits, keys, maps of BPF, messages. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/integration/programs/calls.h"

#define PAGE     4096u
#define KNOWN_FD 300

static void make_memfd(void)
{
	int back = zeros(16), fd = MAKE(memfd_create, A(text("calls")), V(MFD_ALLOW_SEALING)), at;

	say_success("memfd_create", fd);
	say("ftruncate", MAKE(ftruncate, R(fd), V(2 * PAGE)));
	at = MAKE(mmap, V(0), V(2 * PAGE), V(PROT_READ | PROT_WRITE), V(MAP_SHARED), R(fd), V(0));
	say_success("mmap", at);
	say("pwrite64", MAKE(pwrite64, R(fd), A(text("in shared memory")), V(16), V(4090)));
	say("pwrite64 of it", MAKE(pwrite64, R(fd), provium_result_plus(at, 4093), V(9), V(100)));
	say("pread64", MAKE(pread64, R(fd), A(back), V(16), V(100)));
	say_bytes("back", back, 0, 16);
	/* F_ADD_SEALS, F_GET_SEALS; F_SEAL_GROW */
	say("F_ADD_SEALS", MAKE(fcntl, R(fd), V(1033), V(4)));
	say("F_GET_SEALS", MAKE(fcntl, R(fd), V(1034)));
	say("munmap", MAKE(munmap, R(at), V(2 * PAGE)));
	call_close(fd);
}

static void make_mincore(void)
{
	int there = zeros(4);
	int at = MAKE(mmap, V(0), V(4 * PAGE), V(PROT_READ | PROT_WRITE),
		      V(MAP_PRIVATE | MAP_ANONYMOUS), V(-1), V(0));

	say("madvise",
	    MAKE(madvise, provium_result_plus(at, PAGE), V(2 * PAGE), V(MADV_POPULATE_WRITE)));
	say("mincore", MAKE(mincore, R(at), V(4 * PAGE), A(there)));
	say_bytes("there", there, 0, 4);
	say("mprotect", MAKE(mprotect, R(at), V(PAGE), V(PROT_NONE)));
	say("munmap", MAKE(munmap, R(at), V(4 * PAGE)));
	say_failure("mincore after", MAKE(mincore, R(at), V(PAGE), A(there)), ENOMEM);
}

static void make_process_vm(void)
{
	const uint64_t two[4] = { 0, 3, 0, 4 }, one[2] = { 0, 7 }, places[4] = { 0, 2, 0, 5 };
	int there = OBJECT(two), here = OBJECT(one), source = OBJECT(one);
	int targets = OBJECT(places), to = zeros(12), from = text("0123456789"), target = zeros(12);
	int pid = provium_program_call(program, SYS_getpid, NULL, 0);

	provium_program_pointer(program, there, 0, from, 1);
	provium_program_pointer(program, there, 16, from, 6);
	provium_program_pointer(program, here, 0, to, 2);
	provium_program_pointer(program, source, 0, text("written"), 0);
	provium_program_pointer(program, targets, 0, target, 0);
	provium_program_pointer(program, targets, 16, target, 5);
	say("process_vm_readv",
	    MAKE(process_vm_readv, R(pid), A(here), V(1), A(there), V(2), V(0)));
	say_bytes("read", to, 0, 12);
	say("process_vm_writev",
	    MAKE(process_vm_writev, R(pid), A(source), V(1), A(targets), V(2), V(0)));
	say_bytes("written", target, 0, 12);
}

static void make_names(void)
{
	int name = zeros(390), directory = zeros(16), grain = zeros(16);

	say("uname", MAKE(uname, A(name)));
	say_bytes("name", name, 0, 390);
	say("getcwd", MAKE(getcwd, A(directory), V(16)));
	say_bytes("directory", directory, 0, 16);
	say("clock_getres", MAKE(clock_getres, V(CLOCK_MONOTONIC), A(grain)));
	say_bytes("grain", grain, 0, 16);
}

static void make_credentials(void)
{
	const uint32_t nines[3] = { 9, 9, 9 }, known[2] = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const uint32_t unknown[2] = { 1, 0 };
	int ids = OBJECT(nines), header = OBJECT(known), other = OBJECT(unknown), data = zeros(24);

	say("getresuid", MAKE(getresuid, A(ids), AT(ids, 4), AT(ids, 8)));
	say_bytes("real", ids, 0, 4);
	say_bytes("effective", ids, 4, 4);
	say_bytes("saved", ids, 8, 4);
	say("capget", MAKE(capget, A(header), A(data)));
	say_bytes("capabilities", data, 0, 24);
	say_failure("capget of another version", MAKE(capget, A(other), A(data)), EINVAL);
	say_bytes("version", other, 0, 8);
}

static void make_limits(void)
{
	int limit = zeros(16), attributes = zeros(56);

	say("prlimit64", MAKE(prlimit64, V(0), V(RLIMIT_STACK), V(0), A(limit)));
	say_bytes("limit", limit, 0, 16);
	say("sched_getattr", MAKE(sched_getattr, V(0), A(attributes), V(56), V(0)));
	/* Size, policy, flags, niceness, priority. */
	say_bytes("attributes", attributes, 0, 24);
	say("sched_getscheduler", MAKE(sched_getscheduler, V(0)));
	say("getpriority", MAKE(getpriority, V(PRIO_PROCESS), V(0)));
}

static void make_prctl(void)
{
	const uint32_t nine = 9, notify = SECCOMP_RET_USER_NOTIF;
	int subreaper = OBJECT(nine), sizes = zeros(6);

	say("PR_SET_CHILD_SUBREAPER", MAKE(prctl, V(PR_SET_CHILD_SUBREAPER), V(1)));
	say("PR_GET_CHILD_SUBREAPER", MAKE(prctl, V(PR_GET_CHILD_SUBREAPER), A(subreaper)));
	say_bytes("subreaper", subreaper, 0, 4);
	say("PR_SET_CHILD_SUBREAPER", MAKE(prctl, V(PR_SET_CHILD_SUBREAPER), V(0)));
	say("PR_CAPBSET_READ", MAKE(prctl, V(PR_CAPBSET_READ), V(CAP_SYS_ADMIN)));
	say_failure("an unknown one", MAKE(prctl, V(99999)), EINVAL);
	say("SECCOMP_GET_ACTION_AVAIL",
	    MAKE(seccomp, V(SECCOMP_GET_ACTION_AVAIL), V(0), A(OBJECT(notify))));
	say("SECCOMP_GET_NOTIF_SIZES", MAKE(seccomp, V(SECCOMP_GET_NOTIF_SIZES), V(0), A(sizes)));
	say_bytes("sizes", sizes, 0, 6);
}

/* union bpf_attr of an element: the map's fd, 64-bit addresses of key and value. */
static int element(int key, int value)
{
	const uint64_t words[4] = { KNOWN_FD };
	int buffer = OBJECT(words);

	if (key >= 0)
		provium_program_pointer(program, buffer, 8, key, 0);
	provium_program_pointer(program, buffer, 16, value, 0);
	return buffer;
}

static void make_bpf(void)
{
	/* Kind, sizes of key and value, entries. */
	const uint32_t create[4] = { BPF_MAP_TYPE_HASH, 4, 8, 3 }, number = 77;
	const uint64_t content = 0x0123456789abcdef;
	int key = OBJECT(number), found = zeros(8), next = zeros(4), map, last;

	map = MAKE(bpf, V(BPF_MAP_CREATE), A(OBJECT(create)), V(16));
	say_success("BPF_MAP_CREATE", map);
	MAKE(dup2, R(map), V(KNOWN_FD));
	say("BPF_MAP_UPDATE_ELEM",
	    MAKE(bpf, V(BPF_MAP_UPDATE_ELEM), A(element(key, OBJECT(content))), V(32)));
	say("BPF_MAP_LOOKUP_ELEM",
	    MAKE(bpf, V(BPF_MAP_LOOKUP_ELEM), A(element(key, found)), V(32)));
	say_bytes("found", found, 0, 8);
	say("BPF_MAP_GET_NEXT_KEY",
	    MAKE(bpf, V(BPF_MAP_GET_NEXT_KEY), A(element(-1, next)), V(24)));
	say_bytes("next", next, 0, 4);
	last = element(key, found);
	say("BPF_MAP_DELETE_ELEM", MAKE(bpf, V(BPF_MAP_DELETE_ELEM), A(last), V(16)));
	say_failure("BPF_MAP_DELETE_ELEM again", MAKE(bpf, V(BPF_MAP_DELETE_ELEM), A(last), V(16)),
		    ENOENT);
	MAKE(close, V(KNOWN_FD));
	call_close(map);
}

static void make_keys(void)
{
	int kind = text("user"), name = text("calls:key"), content = zeros(16), about = zeros(64);
	struct provium_arg ring = V(KEY_SPEC_PROCESS_KEYRING);
	int key = MAKE(add_key, A(kind), A(name), A(text("the content")), V(11), ring), found;

	say_success("add_key", key);
	say("KEYCTL_READ", MAKE(keyctl, V(KEYCTL_READ), R(key), A(content), V(16)));
	say_bytes("content", content, 0, 16);
	say("KEYCTL_DESCRIBE", MAKE(keyctl, V(KEYCTL_DESCRIBE), R(key), A(about), V(64)));
	say_bytes("about", about, 0, 64);
	found = MAKE(keyctl, V(KEYCTL_SEARCH), ring, A(kind), A(name), V(0));
	say_success("KEYCTL_SEARCH", found);
	say("KEYCTL_UNLINK", MAKE(keyctl, V(KEYCTL_UNLINK), R(found), ring));
	say_failure("KEYCTL_SEARCH after",
		    MAKE(keyctl, V(KEYCTL_SEARCH), ring, A(kind), A(name), V(0)), ENOKEY);
}

static void make_messages(void)
{
	/* The type, 64 bits, and the text. */
	const char message[17] = { 5,   0,   0,   0,   0,   0,   0,   0,  'a',
				   ' ', 'm', 'e', 's', 's', 'a', 'g', 'e' };
	int got = zeros(24), queue = MAKE(msgget, V(IPC_PRIVATE), V(0600));

	say_success("msgget", queue);
	say("msgsnd", MAKE(msgsnd, R(queue), A(OBJECT(message)), V(9), V(0)));
	say_failure("msgrcv of another", MAKE(msgrcv, R(queue), A(got), V(16), V(6), V(IPC_NOWAIT)),
		    ENOMSG);
	say("msgrcv", MAKE(msgrcv, R(queue), A(got), V(16), V(-7), V(IPC_NOWAIT)));
	say_bytes("got", got, 0, 24);
	say("IPC_RMID", MAKE(msgctl, R(queue), V(IPC_RMID), V(0)));
}

static void make_semaphores(void)
{
	/* Number, what is added, flags. */
	const int16_t up[6] = { 0, 3, 0, 1, 4, 0 }, down[3] = { 1, -5, 0 };
	const uint64_t time[2] = { 0, 1000 };
	int values = zeros(4), set = MAKE(semget, V(IPC_PRIVATE), V(2), V(0600));

	say_success("semget", set);
	say("semtimedop", MAKE(semtimedop, R(set), A(OBJECT(up)), V(2), V(0)));
	say_failure("semtimedop down",
		    MAKE(semtimedop, R(set), A(OBJECT(down)), V(1), A(OBJECT(time))), EAGAIN);
	say("GETALL", MAKE(semctl, R(set), V(0), V(GETALL), A(values)));
	say_bytes("values", values, 0, 4);
	say("IPC_RMID", MAKE(semctl, R(set), V(0), V(IPC_RMID)));
}

static void make_mqueue(void)
{
	const uint64_t attributes[8] = { 0, 4, 32, 0 };
	int name = text("calls"), back = zeros(64), got = zeros(32), priority = zeros(4);
	int queue = MAKE(mq_open, A(name), V(O_RDWR | O_CREAT), V(0600), A(OBJECT(attributes)));

	say_success("mq_open", queue);
	say("mq_timedsend", MAKE(mq_timedsend, R(queue), A(text("less")), V(4), V(1), V(0)));
	say("mq_timedsend", MAKE(mq_timedsend, R(queue), A(text("urgent")), V(6), V(9), V(0)));
	say("mq_getsetattr", MAKE(mq_getsetattr, R(queue), V(0), A(back)));
	say_bytes("attributes", back, 0, 32);
	say("mq_timedreceive", MAKE(mq_timedreceive, R(queue), A(got), V(32), A(priority), V(0)));
	say_bytes("got", got, 0, 32);
	say_bytes("priority", priority, 0, 4);
	say("mq_unlink", MAKE(mq_unlink, A(name)));
	call_close(queue);
}

const struct call_case kernel_cases[] = {
	{ "memfd", make_memfd },
	{ "mincore", make_mincore },
	{ "process_vm", make_process_vm },
	{ "names", make_names },
	{ "credentials", make_credentials },
	{ "limits", make_limits },
	{ "prctl", make_prctl },
	{ "bpf", make_bpf },
	{ "keys", make_keys },
	{ "messages", make_messages },
	{ "semaphores", make_semaphores },
	{ "mqueue", make_mqueue },
	{ NULL, NULL },
};
