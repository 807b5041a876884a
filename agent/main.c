/* provium-agent: its command line, and the two ways in which it is started. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/auth.h"
#include "agent/boot.h"
#include "agent/guest_fds.h"
#include "agent/listen.h"
#include "agent/log.h"
#include "agent/power.h"
#include "agent/server.h"
#include "agent/supervisor.h"
#include "agent/text.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"

/* Exit status of a command line that is wrong, as of a shell's builtins. */
#define EXIT_USAGE 2

static const char help[] =
	"Usage: provium-agent [--listen ADDRESS] [--log LEVEL] [--token FILE] [--allow-shutdown]\n"
	"\n"
	"Serves the host side of Provium. In a guest that Provium boots it is started by\n"
	"provium-wrapper; by hand it serves any other guest, or tests on one machine.\n"
	"\n"
	"  --listen vsock:PORT  let the host connect to this vsock port (5123 if absent)\n"
	"  --listen unix:PATH   make a Unix socket; whoever may open it acts as this user\n"
	"  --log LEVEL          error, warn, info or debug (warn if absent), to standard error\n"
	"  --token FILE         serve only who sends the 32 bytes of FILE (AUTH)\n"
	"  --allow-shutdown     serve SHUTDOWN: the host may power this system off\n"
	"  --help, --version    print this, or the version, and exit\n"
	"\n"
	"It runs until SIGTERM or SIGINT.\n";

static const char version[] = "provium-agent " PROVIUM_VERSION "\n";

/* The values are checked by those who use them; NULL: not given. */
struct arguments {
	const char *listen;
	const char *log;
	const char *token;
	bool allow_shutdown;
	/* From the wrapper. */
	bool wrapper;
	bool hold;
	const char *port;
	const char *init;
	const char *root;
	const char *print;
};

static bool parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	const struct {
		const char *name;
		const char **value;
	} with_value[] = {
		{ "--listen", &arguments->listen }, { "--log", &arguments->log },
		{ "--token", &arguments->token },   { "--port", &arguments->port },
		{ "--init", &arguments->init },     { "--root", &arguments->root },
	};

	for (int i = 1; i < argc; i++) {
		size_t found = 0;

		while (found < ARRAY_SIZE(with_value) &&
		       strcmp(argv[i], with_value[found].name) != 0)
			found++;
		if (found < ARRAY_SIZE(with_value) && i + 1 < argc) {
			*with_value[found].value = argv[++i];
		} else if (found < ARRAY_SIZE(with_value)) {
			log_error("%s needs a value", argv[i]);
			return false;
		} else if (strcmp(argv[i], "--wrapper") == 0) {
			arguments->wrapper = true;
		} else if (strcmp(argv[i], "--hold") == 0) {
			arguments->hold = true;
		} else if (strcmp(argv[i], "--allow-shutdown") == 0) {
			arguments->allow_shutdown = true;
		} else if (strcmp(argv[i], "--help") == 0) {
			arguments->print = help;
		} else if (strcmp(argv[i], "--version") == 0) {
			arguments->print = version;
		} else {
			log_error("unknown argument '%s'; see --help", argv[i]);
			return false;
		}
	}
	return true;
}

/* Any port that a socket can be bound to: VMADDR_PORT_ANY is none. */
static bool parse_port(const char *text, uint32_t *port)
{
	uint64_t value;

	if (!text_read_number(&text, &value) || *text != '\0' || value == 0 || value >= UINT32_MAX)
		return false;
	*port = (uint32_t)value;
	return true;
}

/* What cannot be used on the kernel's command line is told and left out. */
static int run_in_guest(const struct arguments *arguments, struct server_config *config)
{
	struct boot_options options = {
		.init = arguments->init,
		.root = arguments->root,
		.hold = arguments->hold,
		.port = PROVIUM_PORT,
	};
	struct guest_fds fds;
	enum log_level level;

	if (boot_begin(&fds) < 0) {
		log_error("--wrapper is for provium-wrapper, which passes two pipes");
		return EXIT_USAGE;
	}
	if (arguments->log && !log_parse_level(arguments->log, &level))
		log_error("provium.log=%s: error, warn, info or debug", arguments->log);
	else if (arguments->log)
		log_set_level(level);
	if (arguments->port && !parse_port(arguments->port, &options.port))
		log_error("provium.port=%s: no vsock port, using %u", arguments->port,
			  options.port);
	if (boot_finish(&options, &fds, config) < 0 || supervisor_run(config, false) < 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

static int listen_at(const char *address, struct server_config *config)
{
	uint32_t port = PROVIUM_PORT;

	if (!address || strncmp(address, "vsock:", 6) == 0) {
		if (address && !parse_port(address + 6, &port)) {
			log_error("--listen %s: no vsock port", address);
			return EXIT_USAGE;
		}
		config->listener = LISTENER_VSOCK;
		config->listen_fd = listen_vsock(port);
	} else if (strncmp(address, "unix:", 5) == 0) {
		config->listener = LISTENER_UNIX;
		config->listen_path = address + 5;
		config->listen_fd = listen_unix(config->listen_path);
	} else {
		log_error("--listen %s: neither vsock:PORT nor unix:PATH", address);
		return EXIT_USAGE;
	}
	if (config->listen_fd < 0) {
		log_error("cannot listen at %s: %m", address ? address : "vsock port 5123");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static bool read_token(const char *path, struct server_config *config)
{
	static uint8_t token[PROVIUM_TOKEN_SIZE];
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	config->token = token;
	return fd >= 0 && auth_read_token(fd, token);
}

/* On a system that is not ours: nothing is mounted or loaded, and it is not shut down unasked. */
static int run_by_hand(const struct arguments *arguments, struct server_config *config)
{
	struct guest_fds fds;
	enum log_level level;
	int status;

	if (arguments->log && !log_parse_level(arguments->log, &level)) {
		log_error("--log %s: error, warn, info or debug", arguments->log);
		return EXIT_USAGE;
	}
	if (arguments->log)
		log_set_level(level);
	if (arguments->port || arguments->init || arguments->root || arguments->hold) {
		log_error("--port, --init, --root and --hold go with --wrapper");
		return EXIT_USAGE;
	}

	if (arguments->token && !read_token(arguments->token, config)) {
		log_error("--token %s: it cannot be read, or does not hold %u bytes",
			  arguments->token, PROVIUM_TOKEN_SIZE);
		return EXIT_FAILURE;
	}

	guest_fds_open(&fds);
	config->proc_fd = fds.proc;
	config->dev_fd = fds.dev;
	if (arguments->allow_shutdown) {
		power_init(guest_open_sysrq(&fds));
		config->power = power_set;
	}
	status = listen_at(arguments->listen, config);
	if (status != EXIT_SUCCESS)
		return status;
	if (supervisor_run(config, true) < 0) {
		log_error("cannot start: %m");
		status = EXIT_FAILURE;
	}
	if (config->listener == LISTENER_UNIX)
		unlink(config->listen_path);
	return status;
}

/* PID 1's children begin with room for 1024 files; commands get back what was found. */
static void raise_nofile(struct server_config *config)
{
	struct rlimit limit;

	if (prlimit(0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return;
	config->nofile = limit;
	limit.rlim_cur = limit.rlim_max;
	config->restore_nofile = prlimit(0, RLIMIT_NOFILE, &limit, NULL) == 0;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { 0 };
	struct server_config config = {
		.listen_fd = -1,
		.connection_fd = -1,
		.stop_fd = -1,
		.life_fd = -1,
		.agent_life_fd = -1,
		.proc_fd = -1,
		.dev_fd = -1,
	};

	if (!parse_arguments(argc, argv, &arguments))
		return EXIT_USAGE;
	if (arguments.print) {
		size_t length = strlen(arguments.print);

		return write(STDOUT_FILENO, arguments.print, length) == (ssize_t)length
			       ? EXIT_SUCCESS
			       : EXIT_FAILURE;
	}
	raise_nofile(&config);
	return arguments.wrapper ? run_in_guest(&arguments, &config)
				 : run_by_hand(&arguments, &config);
}
