/* PING, INFO, CANCEL, SHUTDOWN. */
#include <fcntl.h>
#include <stdalign.h>
#include <sys/auxv.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent/entries.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/rules.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/shared.h"
#include "agent/text.h"
#include "agent/turn.h"
#include "common/cleanup.h"
#include "common/util.h"

/* Milliseconds that the host has to close its end after the READY of a SHUTDOWN. */
#define SHUTDOWN_LINGER          500

/* Milliseconds that a sync may take where SHUTDOWN names none. */
#define SHUTDOWN_SYNC_TIMEOUT_MS 5000

void op_ping(struct session *session, uint32_t id, const Provium__V1__Message *request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Pong pong = PROVIUM__V1__PONG__INIT;

	pong.has_payload = request->ping->has_payload;
	pong.payload = request->ping->payload;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_PONG;
	message.pong = &pong;
	reply_send(session, id, &message);
}

/* The second number of statm (proc(5)) in bytes; 0 where it cannot be read. */
static uint64_t resident_bytes(const struct loop *loop)
{
	cleanup_close int fd = loop_open_proc(loop, "self/statm", O_RDONLY);
	char text[128];
	const char *rest = text;
	uint64_t size, resident;
	ssize_t count;

	count = fd < 0 ? -1 : os_read(fd, text, sizeof(text) - 1);
	if (count <= 0)
		return 0;
	text[count] = '\0';
	if (!text_read_number(&rest, &size) || *rest++ != ' ' ||
	    !text_read_number(&rest, &resident))
		return 0;
	return resident * getauxval(AT_PAGESZ);
}

/* 0 where procfs cannot be read. */
static uint32_t count_open_fds(const struct loop *loop)
{
	cleanup_close int fd = loop_open_proc(loop, "self/fd", O_RDONLY | O_DIRECTORY);
	alignas(struct entry) char room[1024];
	struct entries entries;
	uint32_t count = 0;

	while (entries_fill(&entries, fd, room, sizeof(room)) > 0) {
		for (; entries_next(&entries); entries_take(&entries))
			count++;
	}
	/* The folder's own was one of them. */
	return count > 0 ? count - 1 : 0;
}

void op_info(struct session *session, uint32_t id, const Provium__V1__Message *request)
{
	const struct loop *loop = session->loop;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__InfoResult info = PROVIUM__V1__INFO_RESULT__INIT;
	struct sysinfo system;

	(void)request;
	info.uptime_ns = clock_ns(CLOCK_BOOTTIME);
	sysinfo(&system);
	info.memory_total = (uint64_t)system.totalram * system.mem_unit;
	info.memory_free = (uint64_t)system.freeram * system.mem_unit;
	info.resident_bytes = resident_bytes(loop);
	info.open_fds = count_open_fds(loop);
	info.connections = loop->connection_count;
	info.frames_received = loop->counters.frames_received;
	info.frames_sent = loop->counters.frames_sent;
	info.bytes_received = loop->counters.bytes_received;
	info.bytes_sent = loop->counters.bytes_sent;
	info.commands_running = loop->command_count;
	info.commands_started = loop->counters.commands_started;
	info.jobs = loop->jobs.count;
	if (loop->config->shared)
		info.workers = worker_count(&loop->config->shared->workers);
	info.restarts = loop->config->restarts;
	info.queued_bytes = connections_queued(loop);
	info.has_own_root = info.own_root = root_is_own(loop);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_INFO_RESULT;
	message.info_result = &info;
	reply_send(session, id, &message);
}

void op_cancel(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	uint32_t cancelled = message->cancel->request;
	struct request *request = session_find(session, cancelled);

	if (request && !rule_of(request->code)->cancellable) {
		reply_error(session, id, ERROR_UNSUPPORTED, NULL, 0, "CANCEL: %s cannot be ended",
			    rule_of(request->code)->name);
		return;
	}
	if (request) {
		request->operations->cancel(request);
	} else if (turn_drop(session, cancelled)) {
		reply_error(session, cancelled, ERROR_CANCELLED, NULL, 0,
			    "cancelled before it began");
	} else {
		reply_error(session, id, ERROR_NOT_FOUND, NULL, 0,
			    "CANCEL: no request with id %u is in flight", cancelled);
		return;
	}
	reply_ok(session, id);
}

void op_shutdown(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Shutdown *shutdown = message->shutdown;
	struct loop *loop = session->loop;

	loop->power_mode = shutdown->has_mode ? (int)shutdown->mode : 0;
	loop->power_sync = !shutdown->has_sync || shutdown->sync;
	loop->power_sync_timeout_ms = shutdown->has_sync_timeout_ms ? shutdown->sync_timeout_ms
								    : SHUTDOWN_SYNC_TIMEOUT_MS;
	log_info("SHUTDOWN: mode %d", loop->power_mode);
	reply_ready(session, id);
	session->shutting_down = true;
	session_abandon_requests(session);
	connection_finish(session->connection, SHUTDOWN_LINGER);
}
