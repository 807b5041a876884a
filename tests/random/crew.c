#include "tests/random/crew.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "tests/random/random.h"

/* When it is known already that something is wrong. */
#define LOOK_MS       10000

#define VALUE(number) provium_value((uint64_t)(number))

struct member {
	struct crew *crew;
	pthread_t thread;
	/* Its programs: each crew->size-th. */
	uint64_t next;
	uint64_t end;
	/* NULL: it has no worker. */
	struct provium_connection *connection;
	unsigned int employed;
	struct provium_error error;
};

bool crew_fail(struct crew *crew, const char *what, const struct provium_error *error)
{
	printf("FAILED with seed %" PRIu64 ": %s: %s\n", crew->seed, what, error->message);
	crew->failed = true;
	return false;
}

static bool fail(struct member *member, const char *what)
{
	printf("program %" PRIu64 ":\n", member->next);
	return crew_fail(member->crew, what, &member->error);
}

/* What can be had of a guest in which a program has no end. */
static void look_around(const struct crew *crew)
{
	const struct provium_exec_options options = {
		.shell = "for p in /proc/[0-9]*; do [ -e $p/exe ] && grep -E "
			 "'^(Name|State|Pid|PPid|Threads|SigQ|SigPnd|SigBlk):' $p/status && "
			 "cat $p/wchan $p/syscall $p/stack && ls -l $p/fd; done; dmesg | tail -20",
	};
	char *tail = provium_vm_console_tail(crew->vm, 40);
	struct provium_connection *other;
	struct provium_exec_result result;
	struct provium_buffer output;
	struct provium_error error;

	printf("console:\n%s\n", tail ? tail : "");
	free(tail);
	if (provium_vm_connect(crew->vm, 0, LOOK_MS, &other, &error) < 0) {
		printf("another connection: %s\n", error.message);
		return;
	}
	if (provium_exec_run(other, &options, 0, LOOK_MS, &result, &output, NULL, &error) == 0) {
		printf("%s\n", (const char *)output.data);
		free(output.data);
	}
	provium_connection_free(other);
}

/* ------------------------------------------------------------------------------------------- */
/* Workers */

static void call(const struct crew *crew, struct provium_program *program, const char *name,
		 const struct provium_arg *args, size_t count)
{
	int number = provium_syscall_number(crew->arch, name);

	provium_program_call(program, (uint32_t)number, args, count);
}

#define CALL(name, ...)                                                        \
	call(crew, program, name, (const struct provium_arg[]){ __VA_ARGS__ }, \
	     sizeof((const struct provium_arg[]){ __VA_ARGS__ }) / sizeof(struct provium_arg))

/* An empty directory that nobody else sees, with a place to mount in and another directory. */
static bool furnish(struct member *member)
{
	const struct crew *crew = member->crew;
	struct provium_program *program = provium_program_new();
	struct provium_arg directory, type;
	bool good;

#define STRING(text) provium_address(provium_program_string(program, text))
	directory = STRING(RANDOM_DIRECTORY);
	type = STRING("tmpfs");
	CALL("unshare", VALUE(CLONE_NEWNS));
	CALL("mount", type, STRING("/"), VALUE(0), VALUE(MS_REC | MS_PRIVATE));
	CALL("mount", type, directory, type, VALUE(0), STRING("size=16m"));
	CALL("mkdirat", VALUE(AT_FDCWD), STRING(RANDOM_DIRECTORY "/m"), VALUE(0700));
	CALL("mkdirat", VALUE(AT_FDCWD), STRING(RANDOM_DIRECTORY "/d"), VALUE(0700));
#undef STRING
	good = provium_program_run(member->connection, program, CREW_SOON, &member->error) == 0 &&
	       provium_program_check(program, &member->error) == 0;
	provium_program_free(program);
	return good ? true : fail(member, "a worker's directory");
}

static bool employ_locked(struct member *member)
{
	struct crew *crew = member->crew;
	struct provium_worker worker;

	if (crew->n_employed == CREW_EMPLOYED) {
		snprintf(member->error.message, sizeof(member->error.message), "%u in one round",
			 CREW_EMPLOYED);
		return fail(member, "too many workers end");
	}
	if (provium_worker_spawn(crew->connection, NULL, CREW_SOON, &worker, &member->error) < 0)
		return fail(member, "no worker");
	member->employed = crew->n_employed++;
	crew->employed[member->employed].number = worker.number;
	crew->employed[member->employed].lost = false;
	crew->employed[member->employed].ended = false;
	crew->tally.workers++;
	if (provium_worker_connect(crew->connection, &worker, CREW_SOON, &member->connection,
				   &member->error) < 0)
		return fail(member, "no connection to a worker");
	return true;
}

static bool employ(struct member *member)
{
	bool good;

	pthread_mutex_lock(&member->crew->lock);
	good = employ_locked(member);
	pthread_mutex_unlock(&member->crew->lock);
	return good && furnish(member);
}

/* Its worker ends with the connection, where it has not already. */
static void dismiss(struct member *member)
{
	provium_connection_free(member->connection);
	member->connection = NULL;
}

/* ------------------------------------------------------------------------------------------- */
/* Programs */

static bool run_program(struct member *member)
{
	struct crew *crew = member->crew;
	struct provium_program *program = random_program(crew->arch, crew->seed, member->next);
	int result = provium_program_run(member->connection, program, CREW_SOON, &member->error);
	bool good = true;

	pthread_mutex_lock(&crew->lock);
	crew->tally.programs++;
	if (result < 0 && crew->verbose)
		printf("# program %" PRIu64 ": %s\n", member->next, member->error.message);
	if (result == 0) {
		tally_program(&crew->tally, program);
	} else if (member->error.code == PROVIUM_DISCONNECTED) {
		crew->employed[member->employed].lost = true;
		dismiss(member);
	} else if (member->error.code == PROVIUM_GUEST) {
		/* Memory for the buffers: what a program has left of its limits is too little. */
		crew->tally.without_means++;
		dismiss(member);
	} else {
		good = fail(member, "it has no end");
		look_around(crew);
		random_describe(program, crew->arch, stdout);
	}
	pthread_mutex_unlock(&crew->lock);
	provium_program_free(program);
	return good;
}

static void *run_member(void *argument)
{
	struct member *member = argument;
	struct crew *crew = member->crew;

	for (; member->next < member->end && !crew->failed; member->next += crew->size) {
		if (!member->connection && !employ(member))
			break;
		if (!run_program(member))
			break;
	}
	dismiss(member);
	return NULL;
}

/* Of a worker that is ours, for the first time: false, and it has been told. */
static bool account_for(struct crew *crew, const struct provium_worker_end *end)
{
	unsigned int i = 0;
	struct provium_error error;

	while (i < crew->n_employed && crew->employed[i].number != end->number)
		i++;
	snprintf(error.message, sizeof(error.message), "worker %" PRIu64 ": exit %d, signal %d: %s",
		 end->number, end->exit_code, end->signal, end->reason);
	if (i == crew->n_employed || crew->employed[i].ended)
		return crew_fail(crew, "nobody knows why it ended", &error);
	crew->employed[i].ended = true;
	if (crew->employed[i].lost)
		tally_loss(&crew->tally, end);
	else if (crew->verbose && (end->exit_code != 0 || end->signal != 0))
		/* Of a timer, say, that its last program has set. */
		printf("# after its last program: %s\n", error.message);
	return true;
}

static bool account_for_all(struct crew *crew)
{
	struct provium_worker_end end;
	struct provium_error error;

	for (unsigned int i = 0; i < crew->n_employed; i++) {
		if (provium_worker_next_end(crew->connection, CREW_SOON, &end, &error) < 0)
			return crew_fail(crew, "a worker does not end", &error);
		if (!account_for(crew, &end))
			return false;
	}
	crew->n_employed = 0;
	return true;
}

bool crew_run(struct crew *crew, uint64_t from, uint64_t to)
{
	struct member members[CREW_MOST] = { 0 };
	unsigned int started = 0;

	for (; started < crew->size; started++) {
		members[started] = (struct member){
			.crew = crew,
			.next = from + started,
			.end = to,
		};
		if (pthread_create(&members[started].thread, NULL, run_member, &members[started]) !=
		    0) {
			crew->failed = true;
			printf("FAILED: no thread\n");
			break;
		}
	}
	for (unsigned int i = 0; i < started; i++)
		pthread_join(members[i].thread, NULL);
	return !crew->failed && account_for_all(crew);
}
