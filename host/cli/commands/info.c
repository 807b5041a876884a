#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "host/cli/commands/command.h"
#include "host/cli/commands/help_text.h"
#include "host/cli/report.h"
#include "host/cli/session/connect.h"
#include "host/cli/session/exit_status.h"
#include "host/show/units.h"

#define DEFAULT_TIMEOUT_MS 10000

struct info_options {
	struct connect_options connect;
	bool json;
};

#define OFFSET(field) offsetof(struct info_options, field)

static const struct option_spec options[] = {
	CONNECT_OPTION_ROWS(struct info_options, connect),
	{ .name = "json",
	  .help = "Print a JSON object instead of a table.",
	  .parse = parse_flag,
	  .offset = OFFSET(json) },
	{ 0 },
};

static void print_table(const struct provium_agent *agent, const struct provium_info *info)
{
	char one[UNITS_TEXT_SIZE], two[UNITS_TEXT_SIZE];

	printf("Agent        %s, protocol %u.%u, pid %d\n", agent->version, agent->protocol_major,
	       agent->protocol_minor, agent->pid);
	printf("Kernel       %s %s\n", agent->kernel_release, agent->arch);
	if (*agent->boot_id)
		printf("Boot id      %s\n", agent->boot_id);
	if (*agent->init_error_path)
		printf("Init         %s: %s failed: %s\n", agent->init_error_path,
		       agent->init_error_operation, strerror(agent->init_error_errno));
	else if (agent->init_held)
		printf("Init         is held back\n");
	if (info->own_root)
		printf("Root         its own: it does not follow that of init\n");
	printf("Uptime       %s\n", format_duration(info->uptime_ns / 1000000000, one));
	printf("Memory       %s, %s free\n", format_bytes(info->memory_total, one),
	       format_bytes(info->memory_free, two));
	printf("Resident     %s\n", format_bytes(info->resident_bytes, one));
	printf("Descriptors  %" PRIu32 "\n", info->open_fds);
	printf("Connections  %" PRIu32 "\n", info->connections);
	printf("Received     %s in %" PRIu64 " frames\n", format_bytes(info->bytes_received, one),
	       info->frames_received);
	printf("Sent         %s in %" PRIu64 " frames, %s queued\n",
	       format_bytes(info->bytes_sent, one), info->frames_sent,
	       format_bytes(info->queued_bytes, two));
	printf("Commands     %" PRIu32 " running, %" PRIu64 " started\n", info->commands_running,
	       info->commands_started);
	printf("Jobs         %" PRIu32 "\n", info->jobs);
	printf("Workers      %" PRIu32 "\n", info->workers);
	printf("Restarts     %" PRIu32 "%s%s\n", info->restarts,
	       *agent->restart_reason ? ", last: " : "", agent->restart_reason);
}

static json_t *to_json(const struct provium_agent *agent, const struct provium_info *info)
{
	json_t *object =
		json_pack("{s:s, s:[i,i], s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:b, s:b}",
			  "agent_version", agent->version, "protocol", (int)agent->protocol_major,
			  (int)agent->protocol_minor, "pid", agent->pid, "kernel_release",
			  agent->kernel_release, "arch", agent->arch, "boot_id", agent->boot_id,
			  "init_error_path", agent->init_error_path, "init_error_errno",
			  agent->init_error_errno, "restart_reason", agent->restart_reason,
			  "init_held", (int)agent->init_held, "own_root", (int)info->own_root);
	int failed = 0;

#define ADD(field) \
	failed |= json_object_set_new(object, #field, json_integer((json_int_t)info->field))
	ADD(uptime_ns);
	ADD(memory_total);
	ADD(memory_free);
	ADD(resident_bytes);
	ADD(open_fds);
	ADD(connections);
	ADD(frames_received);
	ADD(frames_sent);
	ADD(bytes_received);
	ADD(bytes_sent);
	ADD(commands_running);
	ADD(commands_started);
	ADD(jobs);
	ADD(workers);
	ADD(restarts);
	ADD(queued_bytes);
#undef ADD
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static int print_json(const struct provium_agent *agent, const struct provium_info *info,
		      struct provium_error *error)
{
	json_t *object = to_json(agent, info);

	/* Such as a string of the guest's that is no UTF-8. */
	if (!object)
		return cli_fail(error, PROVIUM_PROTOCOL,
				"the agent's answer cannot be told in JSON");
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
	return 0;
}

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct info_options *given = parsed;
	struct provium_connection *connection;
	struct interrupts interrupts;
	struct provium_info info;
	int status;

	(void)operands;
	if (connect_agent(&given->connect, &connection, &interrupts, error) < 0)
		return -1;
	status = provium_info(connection, DEFAULT_TIMEOUT_MS, &info, error);
	/* Before anything is printed, so that a closed pipe ends us as it does any program. */
	status = command_end(status, error, false, &interrupts);
	if (status == 0 && given->json)
		status = print_json(provium_connection_agent(connection), &info, error);
	else if (status == 0)
		print_table(provium_connection_agent(connection), &info);
	if (status == 0)
		status = help_flush(error);
	provium_connection_free(connection);
	return status;
}

const struct command info_command = {
	.name = "info",
	.summary = "Tell of a guest that is running and its agent.",
	.operands = "",
	.description = "Prints what the agent at ADDRESS says of the guest and of itself: "
		       "versions, memory, open descriptors, traffic, commands.",
	.options = options,
	.options_size = sizeof(struct info_options),
	.run = run,
};
