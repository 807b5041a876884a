/*
 * The names of all fields that requests have, each once, one behind the other: a rule says with a
 * small number where its own begins. A pointer and a text with each would take four times the room.
 */
#ifndef AGENT_FIELD_NAMES_H
#define AGENT_FIELD_NAMES_H

/* clang-format off */
#define FIELD_NAMES(NAME) \
	NAME(address) NAME(append) NAME(arg) NAME(arg_counts) NAME(args) NAME(argv) \
	NAME(atomic) NAME(background) NAME(buffers) NAME(call) NAME(clear_env) NAME(cols) \
	NAME(command) NAME(create) NAME(cwd) NAME(data) NAME(deadline_ms) NAME(entropy) NAME(env) \
	NAME(eof) NAME(exclusive) NAME(fd) NAME(field) NAME(fill_complement) \
	NAME(fill_seed) NAME(flags) NAME(follow) NAME(from_start) NAME(fstype) NAME(gid) NAME(grace_ms) \
	NAME(group) NAME(groups) NAME(hard) NAME(hole) NAME(input) NAME(keep) NAME(kind) \
	NAME(kill_scope) NAME(last) NAME(length) NAME(merge_stderr) NAME(missing_ok) \
	NAME(mode) NAME(name) NAME(new_path) NAME(nice) NAME(numbers) NAME(offset) \
	NAME(old_path) NAME(options) NAME(output) NAME(output_limit) NAME(parents) \
	NAME(path) NAME(payload) NAME(placement) NAME(pointer_addends) \
	NAME(pointer_offsets) NAME(pointer_targets) NAME(pty) NAME(realtime_ns) NAME(recursive) NAME(ref) \
	NAME(reference_args) NAME(reference_indexes) NAME(reference_kinds) \
	NAME(reference_offsets) NAME(reference_widths) NAME(repeat) NAME(report_changes) \
	NAME(request) NAME(resource) NAME(rlimits) NAME(rows) NAME(shell) NAME(signal) \
	NAME(size) NAME(soft) NAME(source) NAME(sparse) NAME(start) NAME(stdin_kind) \
	NAME(stop_on_error) NAME(stream) NAME(sync) NAME(sync_timeout_ms) NAME(target) \
	NAME(term) NAME(timeout_ms) NAME(token) NAME(trace) NAME(uid) NAME(worker)
/* clang-format on */

#define FIELD_NAME_ROOM(name) char name[sizeof(#name)];
struct field_names {
	FIELD_NAMES(FIELD_NAME_ROOM)
};
#undef FIELD_NAME_ROOM

#endif
