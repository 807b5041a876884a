/* Arguments, and the buffers that they lead to. */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#include "common/util.h"
#include "tests/random/random.h"

/* The first fds that a program opens: what stands in buffers cannot refer to results. */
#define FIRST_FD      3
#define LIKELY_FDS    6

/* An initialiser leaves what lies between members as it is, and programs shall be the same. */
#define clear(object) memset(&(object), 0, sizeof(object))

static const char *const own_paths[] = {
	RANDOM_DIRECTORY "/a", RANDOM_DIRECTORY "/b",      RANDOM_DIRECTORY "/d",
	RANDOM_DIRECTORY "/l", RANDOM_DIRECTORY "/d/a",    RANDOM_DIRECTORY "/d/b",
	RANDOM_DIRECTORY "/f", RANDOM_DIRECTORY "/none/a",
};

/* Written to, these do nothing, or something to the process itself. */
static const char *const readable_paths[] = {
	"/dev/null",         "/dev/zero",       "/dev/full",      "/dev/urandom",
	"/proc/self/status", "/proc/self/maps", "/proc/self/fd",  "/proc/meminfo",
	"/proc/self/exe",    "/proc/self/stat", "/proc/mounts",   "/tmp",
	"/proc/self/ns/uts", "/proc",           RANDOM_DIRECTORY,
};

/* ------------------------------------------------------------------------------------------- */
/* Buffers */

static int note(struct state *state, int buffer, size_t size, uint32_t count)
{
	state->buffer = buffer;
	state->size = (uint32_t)size;
	state->count = count;
	state->n_buffers++;
	return buffer;
}

static enum provium_placement placement(struct state *state)
{
	static const enum provium_placement others[] = { PROVIUM_PLACE_START,
							 PROVIUM_PLACE_STRADDLE,
							 PROVIUM_PLACE_READONLY };

	return random_one_in(state, 16) ? others[random_below(state, ARRAY_SIZE(others))]
					: PROVIUM_PLACE_END;
}

int shape_input(struct state *state, const void *data, size_t size)
{
	const struct provium_buffer_options options = {
		.input = data,
		.input_size = size,
		.placement = placement(state),
	};

	return note(state, provium_program_buffer(state->program, &options), size, 1);
}

/* One that serves already, as a rule. */
static int find_shared(struct state *state, const char *text, size_t size)
{
	if (state->alone || random_one_in(state, 4))
		return -1;
	for (unsigned int i = 0; i < state->n_shared; i++) {
		const struct shared *shared = &state->shared[i];

		if (shared->text == text && shared->size >= size) {
			note(state, shared->buffer, size, 1);
			state->n_buffers--;
			return shared->buffer;
		}
	}
	return -1;
}

static int share(struct state *state, const char *text, int buffer)
{
	if (!state->alone && state->n_shared < SHARED_MAX)
		state->shared[state->n_shared++] = (struct shared){ text, buffer, state->size };
	return buffer;
}

int shape_output(struct state *state, size_t size)
{
	int shared = find_shared(state, NULL, size);
	const struct provium_buffer_options options = {
		.size = size,
		.placement = placement(state),
		.fill_seed = random_below(state, 4),
	};

	if (shared >= 0)
		return shared;
	return share(state, NULL,
		     note(state, provium_program_buffer(state->program, &options), size, 1));
}

static struct provium_arg input(struct state *state, const void *data, size_t size)
{
	return provium_address(shape_input(state, data, size));
}

/* The last buffer holds so many entries. */
static struct provium_arg array(struct state *state, const void *data, size_t size, uint32_t count)
{
	struct provium_arg arg = input(state, data, size);

	state->count = count;
	return arg;
}

static uint32_t likely_fd(struct state *state)
{
	return FIRST_FD + random_below(state, LIKELY_FDS);
}

/* ------------------------------------------------------------------------------------------- */
/* Numbers */

static uint64_t choose(struct state *state, const struct spec *spec)
{
	const uint64_t *list = spec->list;

	return list[random_below(state, spec->n_list)];
}

struct provium_arg make_const(struct state *state, const struct spec *spec)
{
	(void)state;
	return provium_value(spec->value);
}

struct provium_arg make_one(struct state *state, const struct spec *spec)
{
	return provium_value(choose(state, spec));
}

struct provium_arg make_flags(struct state *state, const struct spec *spec)
{
	uint64_t flags = 0;

	for (uint32_t n = random_below(state, 4); n > 0; n--)
		flags |= choose(state, spec);
	return provium_value(flags | spec->value);
}

struct provium_arg make_upto(struct state *state, const struct spec *spec)
{
	return provium_value(random_below(state, (uint32_t)spec->value + 1));
}

/* Taken out by random_add_call, which knows how deep it is. */
struct provium_arg make_resource(struct state *state, const struct spec *spec)
{
	return random_resource(state, (enum resource)spec->value, 3);
}

struct provium_arg make_dirfd(struct state *state, const struct spec *spec)
{
	(void)spec;
	return random_one_in(state, 8) ? random_resource(state, RES_DIR, 1)
				       : provium_value((uint64_t)AT_FDCWD);
}

struct provium_arg make_size(struct state *state, const struct spec *spec)
{
	(void)spec;
	return provium_value(random_one_in(state, 16) ? random_below(state, 2 * state->size + 2)
						      : state->size);
}

struct provium_arg make_count(struct state *state, const struct spec *spec)
{
	(void)spec;
	return provium_value(state->count);
}

/* ------------------------------------------------------------------------------------------- */
/* Strings and bytes */

static struct provium_arg text(struct state *state, const char *string)
{
	size_t size = strlen(string) + 1;
	int shared = find_shared(state, string, size);

	if (shared >= 0)
		return provium_address(shared);
	return provium_address(share(state, string, shape_input(state, string, size)));
}

struct provium_arg make_path(struct state *state, const struct spec *spec)
{
	(void)spec;
	return text(state, own_paths[random_below(state, ARRAY_SIZE(own_paths))]);
}

struct provium_arg make_readable(struct state *state, const struct spec *spec)
{
	if (!random_one_in(state, 3))
		return make_path(state, spec);
	return text(state, readable_paths[random_below(state, ARRAY_SIZE(readable_paths))]);
}

struct provium_arg make_mount_point(struct state *state, const struct spec *spec)
{
	(void)spec;
	return text(state, RANDOM_DIRECTORY "/m");
}

struct provium_arg make_string(struct state *state, const struct spec *spec)
{
	const char *const *list = spec->list;

	return text(state, list[random_below(state, spec->n_list)]);
}

struct provium_arg make_in(struct state *state, const struct spec *spec)
{
	uint8_t bytes[4096];
	size_t size = 1 + random_below(state, (uint32_t)MIN(spec->value, sizeof(bytes)));

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 37 + size);
	return input(state, bytes, size);
}

struct provium_arg make_out(struct state *state, const struct spec *spec)
{
	return provium_address(shape_output(state, spec->value));
}

struct provium_arg make_zero(struct state *state, const struct spec *spec)
{
	static const uint8_t zeros[512];

	return input(state, zeros, MIN(spec->value, sizeof(zeros)));
}

struct provium_arg make_in_number(struct state *state, const struct spec *spec)
{
	uint64_t number =
		spec->n_list ? choose(state, spec) : random_below(state, (uint32_t)spec->value + 1);

	return input(state, &number, spec->n_list ? 8 : 4);
}

/* The buffer that counts stays the one before. */
struct provium_arg make_in_size(struct state *state, const struct spec *spec)
{
	uint32_t size = state->size, count = state->count;
	int buffer = state->buffer;
	struct provium_arg arg = input(state, &size, sizeof(size));

	(void)spec;
	note(state, buffer, size, count);
	state->n_buffers--;
	return arg;
}

/* ------------------------------------------------------------------------------------------- */
/* Structs */

struct provium_arg make_iovec(struct state *state, const struct spec *spec)
{
	struct iovec vector[3] = { { 0 } };
	uint32_t count = 1 + random_below(state, ARRAY_SIZE(vector));
	int pieces[ARRAY_SIZE(vector)], holder;

	(void)spec;
	for (uint32_t i = 0; i < count; i++) {
		pieces[i] = shape_output(state, 1 + random_below(state, 300));
		vector[i].iov_len = state->size;
	}
	holder = shape_input(state, vector, count * sizeof(*vector));
	for (uint32_t i = 0; i < count; i++)
		provium_program_pointer(state->program, holder, i * sizeof(*vector), pieces[i], 0);
	state->count = count;
	return provium_address(holder);
}

/* With a vector and, now and then, room for control data; value: with an fd in them. */
static int fill_msghdr(struct state *state, const struct spec *spec, struct msghdr *header,
		       int *vector)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	uint32_t fd = likely_fd(state);

	clear(*header);
	make_iovec(state, spec);
	*vector = state->buffer;
	header->msg_iovlen = state->count;
	if (!random_one_in(state, 4))
		return -1;
	clear(control);
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	header->msg_controllen = sizeof(control);
	return shape_input(state, &control, sizeof(control));
}

struct provium_arg make_msghdr(struct state *state, const struct spec *spec)
{
	struct msghdr header;
	int vector, control = fill_msghdr(state, spec, &header, &vector);
	int holder = shape_input(state, &header, sizeof(header));

	provium_program_pointer(state->program, holder, offsetof(struct msghdr, msg_iov), vector,
				0);
	if (control >= 0)
		provium_program_pointer(state->program, holder,
					offsetof(struct msghdr, msg_control), control, 0);
	return provium_address(holder);
}

struct provium_arg make_mmsghdr(struct state *state, const struct spec *spec)
{
	struct mmsghdr messages[2];
	int vectors[ARRAY_SIZE(messages)], controls[ARRAY_SIZE(messages)], holder;

	clear(messages);
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		controls[i] = fill_msghdr(state, spec, &messages[i].msg_hdr, &vectors[i]);
	holder = shape_input(state, messages, sizeof(messages));
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		size_t at = i * sizeof(*messages);

		provium_program_pointer(state->program, holder,
					at + offsetof(struct msghdr, msg_iov), vectors[i], 0);
		if (controls[i] >= 0)
			provium_program_pointer(state->program, holder,
						at + offsetof(struct msghdr, msg_control),
						controls[i], 0);
	}
	state->count = ARRAY_SIZE(messages);
	return provium_address(holder);
}

/* As a rule no time, or two milliseconds: who waits for long gains nothing. */
static struct timespec short_time(struct state *state)
{
	struct timespec time = { .tv_nsec = random_below(state, 2000000) };

	if (random_one_in(state, 2))
		time.tv_nsec = 0;
	if (random_one_in(state, 64))
		time.tv_sec = 3600;
	return time;
}

struct provium_arg make_timespec(struct state *state, const struct spec *spec)
{
	struct timespec time = short_time(state);

	(void)spec;
	return input(state, &time, sizeof(time));
}

struct provium_arg make_times(struct state *state, const struct spec *spec)
{
	struct timespec times[4] = { { 0 } };

	for (size_t i = 0; i < MIN(spec->value, ARRAY_SIZE(times)); i++)
		times[i] = short_time(state);
	return input(state, times, MIN(spec->value, ARRAY_SIZE(times)) * sizeof(*times));
}

struct provium_arg make_sockaddr_unix(struct state *state, const struct spec *spec)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[] = RANDOM_DIRECTORY "/s0";
	bool is_abstract = random_one_in(state, 2);

	(void)spec;
	name[sizeof(name) - 2] = (char)('0' + random_below(state, 3));
	memcpy(address.sun_path + is_abstract, name, sizeof(name));
	return input(state, &address, offsetof(struct sockaddr_un, sun_path) + sizeof(name));
}

struct provium_arg make_sockaddr_inet(struct state *state, const struct spec *spec)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)(2000 + random_below(state, 3))),
		.sin_addr.s_addr = htonl(random_one_in(state, 2) ? INADDR_LOOPBACK : INADDR_ANY),
	};

	(void)spec;
	return input(state, &address, sizeof(address));
}

/* Questions alone. */
struct provium_arg make_netlink(struct state *state, const struct spec *spec)
{
	static const uint16_t types[] = { RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH };
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
	} message;

	(void)spec;
	clear(message);
	message.header.nlmsg_len = sizeof(message);
	message.header.nlmsg_type = types[random_below(state, ARRAY_SIZE(types))];
	message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message.header.nlmsg_seq = 1;
	return input(state, &message, sizeof(message));
}

struct provium_arg make_epoll_event(struct state *state, const struct spec *spec)
{
	struct epoll_event event;

	(void)spec;
	clear(event);
	event.events = EPOLLIN;
	event.data.u64 = random_next(state);
	if (random_one_in(state, 2))
		event.events |= EPOLLET | EPOLLOUT;
	return input(state, &event, sizeof(event));
}

struct provium_arg make_pollfds(struct state *state, const struct spec *spec)
{
	struct pollfd fds[3];
	uint32_t count = 1 + random_below(state, ARRAY_SIZE(fds));

	(void)spec;
	for (uint32_t i = 0; i < count; i++)
		fds[i] = (struct pollfd){ .fd = (int)likely_fd(state), .events = POLLIN | POLLOUT };
	return array(state, fds, count * sizeof(*fds), count);
}

struct provium_arg make_fd_set(struct state *state, const struct spec *spec)
{
	uint64_t set[2] = { UINT64_C(1) << likely_fd(state) };

	(void)spec;
	return input(state, set, sizeof(set));
}

/* value: which signals it may hold; 0: any but SIGKILL and SIGSTOP. */
struct provium_arg make_sigset(struct state *state, const struct spec *spec)
{
	uint64_t some = random_next(state), set = some & random_next(state);

	if (spec->value)
		set &= spec->value;
	return input(state, &set, sizeof(set));
}

/* struct kernel_sigaction of x86-64 and aarch64: handler, flags, restorer, mask. */
struct provium_arg make_sigaction(struct state *state, const struct spec *spec)
{
	const uint64_t action[4] = {
		random_one_in(state, 3) ? 0 : 1,
		random_one_in(state, 2) ? SA_RESTART : SA_NODEFER,
		0,
		random_below(state, 256),
	};

	(void)spec;
	return input(state, action, sizeof(action));
}

/* Nobody is told, or a signal comes. */
struct provium_arg make_sigevent(struct state *state, const struct spec *spec)
{
	struct sigevent event;

	(void)spec;
	clear(event);
	event.sigev_notify = SIGEV_NONE;
	if (random_one_in(state, 32)) {
		event.sigev_notify = SIGEV_SIGNAL;
		event.sigev_signo = SIGUSR1;
	}
	return input(state, &event, sizeof(event));
}

struct provium_arg make_rlimit(struct state *state, const struct spec *spec)
{
	struct rlimit limit = { .rlim_cur = random_below(state, 1 << 24) };

	(void)spec;
	limit.rlim_max = random_one_in(state, 4) ? limit.rlim_cur : RLIM_INFINITY;
	return input(state, &limit, sizeof(limit));
}

struct provium_arg make_open_how(struct state *state, const struct spec *spec)
{
	static const uint64_t resolves[] = { 0, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH,
					     RESOLVE_NO_XDEV, RESOLVE_CACHED };
	struct open_how how = {
		.flags = O_RDWR | O_NONBLOCK,
		.resolve = resolves[random_below(state, ARRAY_SIZE(resolves))],
	};

	(void)spec;
	if (random_one_in(state, 2)) {
		how.flags |= O_CREAT;
		how.mode = 0600;
	}
	return input(state, &how, sizeof(how));
}

/* A process of its own, which parks (agent/arch.h). */
struct provium_arg make_clone_args(struct state *state, const struct spec *spec)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	if (spec->n_list)
		args.flags = choose(state, spec);
	return input(state, &args, sizeof(args));
}

struct provium_arg make_sched_attr(struct state *state, const struct spec *spec)
{
	struct sched_attr attr = { .size = sizeof(attr) };

	/* SCHED_OTHER, SCHED_BATCH; no policy that may keep others from running. */
	attr.sched_policy = random_one_in(state, 2) ? SCHED_BATCH : SCHED_NORMAL;
	attr.sched_nice = (int32_t)random_below(state, 5);
	(void)spec;
	return input(state, &attr, sizeof(attr));
}

struct provium_arg make_flock(struct state *state, const struct spec *spec)
{
	struct flock lock;

	(void)spec;
	clear(lock);
	lock.l_type = random_one_in(state, 2) ? F_WRLCK : F_RDLCK;
	lock.l_whence = SEEK_SET;
	lock.l_start = random_below(state, 100);
	lock.l_len = random_below(state, 100);
	return input(state, &lock, sizeof(lock));
}

struct provium_arg make_sembufs(struct state *state, const struct spec *spec)
{
	struct sembuf operations[2];

	(void)spec;
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		operations[i] = (struct sembuf){
			.sem_num = (unsigned short)random_below(state, 3),
			.sem_op = (short)(random_below(state, 4) - 1),
			.sem_flg = random_one_in(state, 16) ? 0 : IPC_NOWAIT,
		};
	return array(state, operations, sizeof(operations), ARRAY_SIZE(operations));
}

/* An array of pointers to one control block, which has a buffer. */
struct provium_arg make_iocbs(struct state *state, const struct spec *spec)
{
	const uint64_t nothing = 0;
	int data = shape_output(state, 64), control, holder;
	struct iocb block = {
		.aio_lio_opcode = random_one_in(state, 2) ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE,
		.aio_fildes = likely_fd(state),
		.aio_nbytes = 64,
	};

	(void)spec;
	control = shape_input(state, &block, sizeof(block));
	provium_program_pointer(state->program, control, offsetof(struct iocb, aio_buf), data, 0);
	holder = shape_input(state, &nothing, sizeof(nothing));
	provium_program_pointer(state->program, holder, 0, control, 0);
	return provium_address(holder);
}

/* A struct sock_fprog of one instruction: accept all, as a socket and seccomp understand it. */
struct provium_arg make_filter(struct state *state, const struct spec *spec)
{
	const struct sock_filter filter = BPF_STMT(BPF_RET | BPF_K, 0x7fff0000);
	struct sock_fprog header;
	int instructions = shape_input(state, &filter, sizeof(filter)), holder;

	(void)spec;
	clear(header);
	header.len = 1;
	holder = shape_input(state, &header, sizeof(header));
	provium_program_pointer(state->program, holder, offsetof(struct sock_fprog, filter),
				instructions, 0);
	return provium_address(holder);
}

/* Of BPF_MAP_CREATE. */
struct provium_arg make_bpf_attr(struct state *state, const struct spec *spec)
{
	static const uint32_t types[] = { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY,
					  BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_QUEUE };
	union bpf_attr attr;

	(void)spec;
	clear(attr);
	attr.map_type = types[random_below(state, ARRAY_SIZE(types))];
	attr.key_size = attr.map_type == BPF_MAP_TYPE_QUEUE ? 0 : 4;
	attr.value_size = 1 + random_below(state, 64);
	attr.max_entries = 1 + random_below(state, 16);
	return input(state, &attr, sizeof(attr));
}

/* Counts what the kernel counts anyway, and samples nothing. */
struct provium_arg make_perf_attr(struct state *state, const struct spec *spec)
{
	struct perf_event_attr attr;

	(void)spec;
	clear(attr);
	attr.type = PERF_TYPE_SOFTWARE;
	attr.size = sizeof(attr);
	attr.config = random_below(state, PERF_COUNT_SW_MAX);
	attr.disabled = random_one_in(state, 2);
	return input(state, &attr, sizeof(attr));
}

struct provium_arg make_argv(struct state *state, const struct spec *spec)
{
	const uint64_t nothing[2] = { 0 };
	int name = shape_input(state, "program", 8), holder;

	(void)spec;
	holder = shape_input(state, nothing, sizeof(nothing));
	provium_program_pointer(state->program, holder, 0, name, 0);
	return provium_address(holder);
}

struct provium_arg make_cap_header(struct state *state, const struct spec *spec)
{
	const struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	(void)spec;
	return input(state, &header, sizeof(header));
}
