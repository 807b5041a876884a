/*
 * The KVM probe.
 *
 * That /dev/kvm opens says little: in a VM that was not given nested virtualization the device may
 * be there all the same, and then a guest hangs, runs a thousand times too slow, or QEMU aborts. So
 * the probe does what QEMU does and what a kernel needs:
 *
 * - the CPUID that KVM offers is given to a virtual CPU, and IA32_ARCH_CAPABILITIES is set to the
 *   value that KVM itself tells, as QEMU does for -cpu host (target/i386/kvm/kvm.c): where KVM
 *   refuses what it offered, QEMU aborts;
 * - a guest in 64-bit mode with paging counts down from LOOPS and writes a byte to a port. A CPU
 *   does that in 20 milliseconds. A KVM that emulates each instruction of a normal kernel (it takes
 *   a fraction of a microsecond or more for each, and gives up on the first that it does not know)
 *   does not end within its processor time.
 *
 * Each step may hang in the kernel, so all of it happens in a child that can be killed. The child
 * is a plain fork of a program that may have threads: it makes system calls and nothing else, and
 * leaves its verdict in shared memory.
 */
#include "host/lib/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/deadline.h"

/* Of time, and of the processor's: on a busy machine the first passes sooner. */
#define PROBE_TIMEOUT_MS           500
#define PROBE_CPU_MS               100
#define LOOPS                      50000000

#define PROBE_PORT                 0xf4
#define PROBE_BYTE                 0x5a

/* CPUID 7.0, EDX: the CPU has IA32_ARCH_CAPABILITIES (Intel SDM, volume 2, CPUID). */
#define CPUID_ARCH_CAPABILITIES    (1u << 29)
#define MSR_IA32_ARCH_CAPABILITIES 0x10a

#define MAX_CPUID_ENTRIES          256

/* The guest's memory: page tables, and its program in the last page. */
#define GUEST_MEMORY               0x5000
#define GUEST_PML4                 0x1000
#define GUEST_PDPT                 0x2000
#define GUEST_PD                   0x3000
#define GUEST_CODE                 0x4000

/* Page table entries: present, writable; and for a page of 2 MiB. */
#define PTE_PRESENT_WRITABLE       0x3
#define PTE_HUGE                   0x80

/* CR0: PE, MP, ET, NE, WP, AM, PG; CR4: PAE; EFER: LME, LMA. */
#define GUEST_CR0                  0x80050033
#define GUEST_CR4                  0x20
#define GUEST_EFER                 0x500

/* Shared between the child and us. */
struct verdict {
	/* What is under way or failed; NULL: the guest has run. */
	const char *step;
	int os_errno;
};

static int failed(struct verdict *verdict, const char *step)
{
	verdict->step = step;
	verdict->os_errno = errno;
	return -1;
}

/* KVM's lists end in arrays without a size. */
union cpuid_list {
	struct kvm_cpuid2 head;
	uint8_t space[sizeof(struct kvm_cpuid2) +
		      MAX_CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
};

union msr_list {
	struct kvm_msrs head;
	uint8_t space[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

/* What QEMU does with -cpu host, as far as it is known to go wrong. */
static int set_up_features(int kvm, int vcpu, struct verdict *verdict)
{
	union cpuid_list cpuid = { .head.nent = MAX_CPUID_ENTRIES };
	union msr_list msr = { .head.nmsrs = 1 };
	bool arch_capabilities = false;

	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
		return failed(verdict, "it does not tell the guest's CPUID");
	if (ioctl(vcpu, KVM_SET_CPUID2, &cpuid) < 0)
		return failed(verdict, "it refuses the CPUID that it offers");
	for (uint32_t i = 0; i < cpuid.head.nent && i < MAX_CPUID_ENTRIES; i++) {
		const struct kvm_cpuid_entry2 *entry = &cpuid.head.entries[i];

		if (entry->function == 7 && entry->index == 0)
			arch_capabilities = entry->edx & CPUID_ARCH_CAPABILITIES;
	}
	msr.head.entries[0].index = MSR_IA32_ARCH_CAPABILITIES;
	if (!arch_capabilities || ioctl(kvm, KVM_GET_MSRS, &msr) != 1)
		return 0;
	errno = 0;
	if (ioctl(vcpu, KVM_SET_MSRS, &msr) != 1)
		return failed(verdict, "it refuses the MSR 0x10a that it offers");
	return 0;
}

static void fill_guest(uint8_t *memory)
{
	/*
	 * mov $LOOPS, %ecx; 1: dec %ecx; jnz 1b; mov $PROBE_BYTE, %al; out %al, $PROBE_PORT; hlt
	 */
	static const uint8_t program[] = {
		0xb9, LOOPS & 0xff, LOOPS >> 8 & 0xff, LOOPS >> 16 & 0xff, LOOPS >> 24, /* mov */
		0xff, 0xc9,                                                             /* dec */
		0x75, 0xfc,                                                             /* jnz */
		0xb0, PROBE_BYTE,                                                       /* mov */
		0xe6, PROBE_PORT,                                                       /* out */
		0xf4,                                                                   /* hlt */
	};
	uint64_t entry;

	entry = GUEST_PDPT | PTE_PRESENT_WRITABLE;
	memcpy(memory + GUEST_PML4, &entry, sizeof(entry));
	entry = GUEST_PD | PTE_PRESENT_WRITABLE;
	memcpy(memory + GUEST_PDPT, &entry, sizeof(entry));
	entry = PTE_HUGE | PTE_PRESENT_WRITABLE;
	memcpy(memory + GUEST_PD, &entry, sizeof(entry));
	memcpy(memory + GUEST_CODE, program, sizeof(program));
}

static int set_up_registers(int vcpu, struct verdict *verdict)
{
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 0x8,
		.type = 11,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = 0x10,
		.type = 3,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
	struct kvm_regs registers = { .rip = GUEST_CODE, .rsp = GUEST_MEMORY, .rflags = 2 };
	struct kvm_sregs special;

	if (ioctl(vcpu, KVM_GET_SREGS, &special) < 0)
		return failed(verdict, "KVM_GET_SREGS");
	special.cs = code;
	special.ds = special.es = special.fs = special.gs = special.ss = data;
	special.cr0 = GUEST_CR0;
	special.cr3 = GUEST_PML4;
	special.cr4 = GUEST_CR4;
	special.efer = GUEST_EFER;
	if (ioctl(vcpu, KVM_SET_SREGS, &special) < 0)
		return failed(verdict, "it refuses 64-bit mode");
	if (ioctl(vcpu, KVM_SET_REGS, &registers) < 0)
		return failed(verdict, "KVM_SET_REGS");
	return 0;
}

static int run_guest(int vcpu, const struct kvm_run *run, struct verdict *verdict)
{
	const uint8_t *out;

	verdict->step = "a guest does not get on (instructions are emulated, or it hangs)";
	if (ioctl(vcpu, KVM_RUN, NULL) < 0)
		return failed(verdict, "a guest cannot be run");
	out = (const uint8_t *)run + run->io.data_offset;
	errno = 0;
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != PROBE_PORT || *out != PROBE_BYTE)
		return failed(verdict, "a guest fails on its first instructions");
	verdict->step = NULL;
	return 0;
}

static int probe(struct verdict *verdict)
{
	struct kvm_userspace_memory_region region = { .memory_size = GUEST_MEMORY };
	struct kvm_run *run;
	uint8_t *memory;
	int run_size;
	int vcpu;
	int kvm;
	int vm;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return failed(verdict, "cannot open /dev/kvm");
	errno = 0;
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return failed(verdict, "/dev/kvm has another API version");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return failed(verdict, "it cannot make a VM");
	memory =
		mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return failed(verdict, "no memory for the probe");
	fill_guest(memory);
	region.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return failed(verdict, "it does not take the guest's memory");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return failed(verdict, "it cannot make a virtual CPU");
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_size < (int)sizeof(*run))
		return failed(verdict, "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return failed(verdict, "it does not share the virtual CPU's state");
	if (set_up_features(kvm, vcpu, verdict) < 0 || set_up_registers(vcpu, verdict) < 0)
		return -1;
	return run_guest(vcpu, run, verdict);
}

/* Ends this process when it has had its share. */
static void limit_cpu_time(void)
{
	const struct itimerval limit = { .it_value.tv_usec = PROBE_CPU_MS * 1000L };
	sigset_t profiling;

	sigemptyset(&profiling);
	sigaddset(&profiling, SIGPROF);
	signal(SIGPROF, SIG_DFL);
	setitimer(ITIMER_PROF, &limit, NULL);
	sigprocmask(SIG_UNBLOCK, &profiling, NULL);
}

/* Waits for the child and reaps it; one that is late is killed. */
static void end_child(int pidfd)
{
	struct deadline deadline = deadline_after(PROBE_TIMEOUT_MS);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	siginfo_t info;
	int n;

	do
		n = poll(&ended, 1, deadline_remaining_ms(&deadline));
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		/* KVM_RUN heeds a signal; where it does not, the child is left to the kernel. */
		poll(&ended, 1, PROBE_TIMEOUT_MS);
		waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | __WALL);
		return;
	}
	waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL);
}

static void tell(const struct verdict *verdict, char *reason, size_t size)
{
	if (verdict->os_errno == EACCES)
		snprintf(reason, size, "%s: %s (is the user in the group kvm?)", verdict->step,
			 strerror(verdict->os_errno));
	else if (verdict->os_errno)
		snprintf(reason, size, "%s: %s", verdict->step, strerror(verdict->os_errno));
	else
		snprintf(reason, size, "%s", verdict->step);
}

bool accel_probe_kvm(char *reason, size_t size)
{
	struct verdict *verdict;
	bool runs;
	int pidfd = -1;
	long pid;

	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (verdict == MAP_FAILED) {
		snprintf(reason, size, "no memory for the probe");
		return false;
	}
	verdict->step = "/dev/kvm does not answer";
	/* No exit signal: a program that waits for any child of its does not see this one. */
	pid = syscall(SYS_clone, CLONE_PIDFD, NULL, &pidfd, NULL, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		limit_cpu_time();
		_exit(probe(verdict) < 0);
	}
	if (pid < 0) {
		verdict->step = "cannot fork for the probe";
		verdict->os_errno = errno;
	} else {
		end_child(pidfd);
		close_fd(pidfd);
	}
	runs = !verdict->step;
	if (!runs)
		tell(verdict, reason, size);
	munmap(verdict, sizeof(*verdict));
	return runs;
}
