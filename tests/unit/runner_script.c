#include "runner_script.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"

/* Of the channel, in a test process. */
#define CHANNEL 3

enum script_end {
	SCRIPT_GOES_ON = -1,
};

struct script {
	const struct harness *harness;
	/* What is ours to build. */
	char building[8][64];
	size_t n_building;
};

struct step {
	const char *word;
	int (*run)(struct script *script, char *argument);
};

/* Cuts "NAME|TEXT". */
static char *cut(char *argument)
{
	char *bar = strchr(argument, '|');

	if (!bar)
		return NULL;
	*bar = '\0';
	return bar + 1;
}

static int step_start(struct script *script, char *argument)
{
	script->harness->subtest_started(script->harness->user, argument);
	return SCRIPT_GOES_ON;
}

static int ended(struct script *script, char *argument, enum harness_outcome outcome)
{
	char *text = cut(argument);

	script->harness->subtest_ended(script->harness->user, argument, outcome, text);
	return SCRIPT_GOES_ON;
}

static int step_ok(struct script *script, char *argument)
{
	return ended(script, argument, HARNESS_PASSED);
}

static int step_test(struct script *script, char *argument)
{
	step_start(script, argument);
	return step_ok(script, argument);
}

static int step_fail(struct script *script, char *argument)
{
	return ended(script, argument, HARNESS_FAILED);
}

static int step_todo(struct script *script, char *argument)
{
	return ended(script, argument, HARNESS_TODO);
}

static int step_file_fail(struct script *script, char *argument)
{
	script->harness->file_ended(script->harness->user, HARNESS_FAILED, argument);
	return 1;
}

static int step_file_todo(struct script *script, char *argument)
{
	script->harness->file_ended(script->harness->user, HARNESS_TODO, argument);
	return 0;
}

static int failed(struct script *script, const struct provium_error *error)
{
	script->harness->file_ended(script->harness->user, HARNESS_FAILED, error->message);
	return 1;
}

static int step_acquire(struct script *script, char *argument)
{
	const struct harness *harness = script->harness;
	struct provium_error error;
	unsigned int cpus = 0;
	char *end;
	uint64_t mib = strtoull(argument, &end, 10);

	cpus = (unsigned int)strtoul(end, NULL, 10);
	if (harness->acquire(harness->user, mib << 20, cpus, &error) < 0)
		return failed(script, &error);
	return SCRIPT_GOES_ON;
}

static int step_release(struct script *script, char *argument)
{
	char *end;
	uint64_t mib = strtoull(argument, &end, 10);

	script->harness->release(script->harness->user, mib << 20,
				 (unsigned int)strtoul(end, NULL, 10));
	return SCRIPT_GOES_ON;
}

static int step_guest(struct script *script, char *argument)
{
	char name[64], console[64], path[PATH_MAX];
	unsigned int number;
	FILE *file;

	if (sscanf(argument, "%u %63s %63s", &number, name, console) != 3)
		return 99;
	snprintf(path, sizeof(path), "%s/%s", script->harness->log_directory, console);
	file = fopen(path, "w");
	if (!file)
		return 99;
	fprintf(file, "[    0.0] %s\r\nlast words\x1b[0m of %s\n", console, name);
	fclose(file);
	script->harness->guest_started(script->harness->user, number, name, path);
	return SCRIPT_GOES_ON;
}

static int step_guest_end(struct script *script, char *argument)
{
	script->harness->guest_ended(script->harness->user, (unsigned int)atoi(argument));
	return SCRIPT_GOES_ON;
}

static int step_splat(struct script *script, char *argument)
{
	char *title = strchr(argument, ' ');

	script->harness->splat(script->harness->user, (unsigned int)atoi(argument),
			       title ? title + 1 : "", "WARNING: line one\nline two\n");
	return SCRIPT_GOES_ON;
}

static bool is_ours(const struct script *script, const char *name)
{
	for (size_t i = 0; i < script->n_building; i++) {
		if (strcmp(script->building[i], name) == 0)
			return true;
	}
	return false;
}

static int step_need(struct script *script, char *argument)
{
	const struct harness *harness = script->harness;
	struct provium_error error;
	int fds[HARNESS_MAX_FDS];
	size_t n_fds = 0;
	bool build = false;
	char *text = NULL;

	if (harness->fixture(harness->user, argument, &build, &text, fds, &n_fds, &error) < 0)
		return failed(script, &error);
	if (build && script->n_building < ARRAY_SIZE(script->building)) {
		snprintf(script->building[script->n_building++], sizeof(script->building[0]), "%s",
			 argument);
		return SCRIPT_GOES_ON;
	}
	printf("%s is %s, %zu fds", argument, text, n_fds);
	for (size_t i = 0; i < n_fds; i++) {
		char byte = '?';

		if (pread(fds[i], &byte, 1, 0) == 1)
			printf(" %c", byte);
		close(fds[i]);
	}
	putchar('\n');
	free(text);
	return SCRIPT_GOES_ON;
}

static int step_built(struct script *script, char *argument)
{
	char path[] = "/tmp/runner-script-XXXXXX";
	char text[128];
	int fd;

	if (!is_ours(script, argument))
		return SCRIPT_GOES_ON;
	fd = mkstemp(path);
	if (fd < 0 || unlink(path) < 0 || write(fd, argument, 1) != 1)
		return 99;
	snprintf(text, sizeof(text), "a snapshot of %s", argument);
	script->harness->fixture_built(script->harness->user, argument, text, &fd, 1, NULL);
	close(fd);
	return SCRIPT_GOES_ON;
}

static int step_spoil(struct script *script, char *argument)
{
	if (is_ours(script, argument))
		script->harness->fixture_built(script->harness->user, argument, NULL, NULL, 0,
					       "it is spoilt");
	return SCRIPT_GOES_ON;
}

static int step_if_build(struct script *script, char *argument)
{
	return is_ours(script, argument) ? SCRIPT_GOES_ON : 0;
}

static int step_sleep(struct script *script, char *argument)
{
	(void)script;
	usleep((useconds_t)atoi(argument) * 1000);
	return SCRIPT_GOES_ON;
}

static int step_print(struct script *script, char *argument)
{
	(void)script;
	puts(argument);
	return SCRIPT_GOES_ON;
}

static int step_flood(struct script *script, char *argument)
{
	char line[1024];

	(void)script;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (size_t i = 0; i < (size_t)atoi(argument) * 1024; i++) {
		if (fwrite(line, 1, sizeof(line), stdout) != sizeof(line))
			return 99;
	}
	return SCRIPT_GOES_ON;
}

__attribute__((noreturn)) static int step_hang(struct script *script, char *argument)
{
	(void)script;
	(void)argument;
	for (;;)
		pause();
}

static int step_raise(struct script *script, char *argument)
{
	(void)script;
	/* Under the sanitizers SIGSEGV is theirs. */
	signal(atoi(argument), SIG_DFL);
	kill(getpid(), atoi(argument));
	return 99;
}

__attribute__((noreturn)) static int step_exit(struct script *script, char *argument)
{
	(void)script;
	_exit(atoi(argument));
}

static int step_status(struct script *script, char *argument)
{
	(void)script;
	return atoi(argument);
}

static const struct harness *asked;
static char last_words[64];

static void on_asked(int number)
{
	if (!*last_words)
		return;
	asked->file_ended(asked->user, HARNESS_FAILED, last_words);
	signal(number, SIG_DFL);
	raise(number);
}

static int step_where(struct script *script, char *argument)
{
	asked = script->harness;
	snprintf(last_words, sizeof(last_words), "%s", argument);
	signal(SIGTERM, on_asked);
	return SCRIPT_GOES_ON;
}

static int step_unless(struct script *script, char *argument)
{
	int fd = open(argument, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)script;
	if (fd < 0)
		return errno == EEXIST ? 0 : 99;
	close(fd);
	return SCRIPT_GOES_ON;
}

static int step_garbage(struct script *script, char *argument)
{
	static const char bytes[200000];

	(void)script;
	return send(CHANNEL, bytes, (size_t)atoi(argument), 0) < 0 ? 99 : SCRIPT_GOES_ON;
}

static int step_orphan(struct script *script, char *argument)
{
	pid_t pid = fork();

	(void)script;
	(void)argument;
	if (pid == 0) {
		setsid();
		if (fork() > 0)
			_exit(0);
		for (;;)
			pause();
	}
	return pid < 0 ? 99 : SCRIPT_GOES_ON;
}

static int step_litter(struct script *script, char *argument)
{
	char path[PATH_MAX];
	int fd;

	(void)script;
	(void)argument;
	snprintf(path, sizeof(path), "%s/locked", getenv("TMPDIR"));
	if (mkdir(path, 0700) < 0)
		return 99;
	snprintf(path, sizeof(path), "%s/locked/file", getenv("TMPDIR"));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	close(fd);
	*strrchr(path, '/') = '\0';
	return fd < 0 || chmod(path, 0) < 0 ? 99 : SCRIPT_GOES_ON;
}

static const struct step steps[] = {
	{ "test", step_test },
	{ "start", step_start },
	{ "ok", step_ok },
	{ "fail", step_fail },
	{ "todo", step_todo },
	{ "file-fail", step_file_fail },
	{ "file-todo", step_file_todo },
	{ "acquire", step_acquire },
	{ "release", step_release },
	{ "guest", step_guest },
	{ "guest-end", step_guest_end },
	{ "splat", step_splat },
	{ "need", step_need },
	{ "built", step_built },
	{ "spoil", step_spoil },
	{ "if-build", step_if_build },
	{ "sleep", step_sleep },
	{ "print", step_print },
	{ "flood", step_flood },
	{ "hang", step_hang },
	{ "raise", step_raise },
	{ "exit", step_exit },
	{ "status", step_status },
	{ "unless", step_unless },
	{ "where", step_where },
	{ "garbage", step_garbage },
	{ "orphan", step_orphan },
	{ "litter", step_litter },
};

static int run_line(struct script *script, char *line)
{
	size_t length;

	line[strcspn(line, "\n")] = '\0';
	length = strcspn(line, " ");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (strlen(steps[i].word) == length && strncmp(steps[i].word, line, length) == 0)
			return steps[i].run(script, line + length + (line[length] == ' '));
	}
	return 98;
}

int script_run(const char *path, const struct harness *harness)
{
	struct script script = { .harness = harness };
	FILE *file = fopen(path, "re");
	int status = SCRIPT_GOES_ON;
	char line[4096];

	if (!file)
		return 97;
	while (status == SCRIPT_GOES_ON && fgets(line, sizeof(line), file))
		status = run_line(&script, line);
	fclose(file);
	return status == SCRIPT_GOES_ON ? 0 : status;
}
