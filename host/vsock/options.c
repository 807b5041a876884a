#include "host/vsock/options.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

#define STATUS_USAGE      2

/* What the known program of this kind takes when it is given none. */
#define DEFAULT_GUEST_CID 3

static const char usage[] =
	"Usage: provium-vsock [--guest-cid N] --socket PATH --uds-path PATH [OPTION]...\n"
	"A virtio-vsock device for a virtual machine, over the vhost-user protocol.\n"
	"\n"
	"      --guest-cid N      the guest's context identifier (default 3)\n"
	"      --socket PATH      listen there for the front end (QEMU)\n"
	"      --socket-fd N      or: its socket, inherited, listening or connected\n"
	"      --uds-path PATH    listen there for clients; servers for the guest are at "
	"PATH_PORT\n"
	"      --life-fd N        end when this inherited fd reads end of file\n"
	"      --reconnect        stay for the next front end when one is gone\n"
	"      --log-level LEVEL  error, warning (default), info or debug\n"
	"  -v, --verbose          one level more\n"
	"  -h, --help             print this\n"
	"  -V, --version          print the version\n"
	"\n"
	"See provium-vsock(1).\n";

enum option_code {
	OPTION_GUEST_CID = 256,
	OPTION_SOCKET,
	OPTION_SOCKET_FD,
	OPTION_UDS_PATH,
	OPTION_LIFE_FD,
	OPTION_RECONNECT,
	OPTION_LOG_LEVEL,
};

static const struct option long_options[] = {
	{ "guest-cid", required_argument, NULL, OPTION_GUEST_CID },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "socket-fd", required_argument, NULL, OPTION_SOCKET_FD },
	{ "uds-path", required_argument, NULL, OPTION_UDS_PATH },
	{ "life-fd", required_argument, NULL, OPTION_LIFE_FD },
	{ "reconnect", no_argument, NULL, OPTION_RECONNECT },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* A decimal number from min to max, and nothing else. */
static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *number >= min && *number <= max;
}

static bool parse_fd(const char *name, const char *text, int *fd)
{
	uint64_t number;

	if (!parse_number(text, 0, INT_MAX, &number)) {
		log_error("--%s: \"%s\" is not the number of an fd", name, text);
		return false;
	}
	*fd = (int)number;
	if (fcntl(*fd, F_GETFD) < 0) {
		log_error("--%s: fd %d is not open", name, *fd);
		return false;
	}
	return true;
}

/* 0, 1 and 2 are reserved; the virtio field has 64 bits, of which the upper half is 0. */
static bool parse_cid(const char *text, uint64_t *cid)
{
	if (parse_number(text, 3, UINT32_MAX - 1, cid))
		return true;
	log_error("--guest-cid: \"%s\" is not a number from 3 to %u", text, UINT32_MAX - 1);
	return false;
}

static bool parse_level(const char *text, enum log_level *level)
{
	if (log_level_parse(text, level))
		return true;
	log_error("--log-level: \"%s\" is none of error, warning, info, debug", text);
	return false;
}

/* One option: -1 to go on, else the exit status. */
static int option_set(struct options *options, int code, const char *argument)
{
	bool good = true;

	switch (code) {
	case OPTION_GUEST_CID:
		good = parse_cid(argument, &options->guest_cid);
		break;
	case OPTION_SOCKET:
		options->socket_path = argument;
		break;
	case OPTION_SOCKET_FD:
		good = parse_fd("socket-fd", argument, &options->socket_fd);
		break;
	case OPTION_UDS_PATH:
		options->uds_path = argument;
		break;
	case OPTION_LIFE_FD:
		good = parse_fd("life-fd", argument, &options->life_fd);
		break;
	case OPTION_RECONNECT:
		options->reconnect = true;
		break;
	case OPTION_LOG_LEVEL:
		good = parse_level(argument, &options->log_level);
		break;
	case 'v':
		options->log_level = MIN(options->log_level + 1, (unsigned)LOG_LEVEL_DEBUG);
		break;
	case 'h':
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	case 'V':
		puts("provium-vsock " PROVIUM_VERSION);
		return EXIT_SUCCESS;
	case ':':
		log_error("\"%s\" needs a value (see --help)", argument);
		good = false;
		break;
	default:
		log_error("\"%s\" is not an option (see --help)", argument);
		good = false;
		break;
	}
	return good ? -1 : STATUS_USAGE;
}

static int options_check(const struct options *options)
{
	if ((options->socket_path != NULL) == (options->socket_fd >= 0)) {
		log_error("one of --socket and --socket-fd is needed (see --help)");
		return STATUS_USAGE;
	}
	if (!options->uds_path) {
		log_error("--uds-path is needed (see --help)");
		return STATUS_USAGE;
	}
	return -1;
}

int options_parse(struct options *options, int argc, char **argv)
{
	int code;

	*options = (struct options){ .guest_cid = DEFAULT_GUEST_CID,
				     .socket_fd = -1,
				     .life_fd = -1,
				     .log_level = LOG_LEVEL_WARNING };

	/* What is wrong is said here, as everything is. */
	opterr = 0;
	while ((code = getopt_long(argc, argv, ":hvV", long_options, NULL)) >= 0) {
		int status = option_set(options, code, optarg ? optarg : argv[optind - 1]);

		if (status >= 0)
			return status;
	}
	if (optind < argc) {
		log_error("\"%s\": no arguments beside options are taken", argv[optind]);
		return STATUS_USAGE;
	}
	return options_check(options);
}
