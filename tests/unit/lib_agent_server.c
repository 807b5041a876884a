/*
 * The agent's server, natively and under the sanitizers, on the connected socket whose number is
 * the argument. A program of its own: library and agent have names in common and share no process.
 */
#include <stdlib.h>

#include "agent/server.h"

/* SHUTDOWN is served up to the point where the machine would stop. */
static int power_stub(int mode, bool sync, unsigned int sync_timeout_ms)
{
	(void)mode;
	(void)sync;
	(void)sync_timeout_ms;
	return 0;
}

int main(int argc, char **argv)
{
	struct server_config config = {
		.listen_fd = -1,
		.stop_fd = -1,
		.life_fd = -1,
		.proc_fd = -1,
		.dev_fd = -1,
		.power = power_stub,
	};

	if (argc != 2)
		return 2;
	config.connection_fd = atoi(argv[1]);
	return server_run(&config) < 0;
}
