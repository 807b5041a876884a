-- What guests and workers have in common: commands, jobs, files, system calls, the kernel's words.
local core, load = ...

local calls = load("calls")
local errors = load("errors")
local users = load("users")

local Agent = {}
Agent.__index = Agent

for name, method in pairs(calls) do
	if name ~= "number" then
		Agent[name] = method
	end
end
Agent.program = load("program")

-- ---------------------------------------------------------------------------------------------
-- Commands

local command_fields = errors.names([[
	argv shell env clear_env cwd stdin timeout user on_output merge_stderr output_limit limit nice
	rlimits pty rows cols term kill_scope
]])

-- { NAME = "value" } as well as { "NAME=value" }.
local function environment(env)
	local list = {}

	if env == nil then
		return nil
	end
	for name, value in pairs(env) do
		list[#list + 1] = math.type(name) == "integer" and value
			or string.format("%s=%s", name, value)
	end
	return list
end

-- A command as a string for the shell, or as a list of arguments; either may have options.
local function command_options(self, what, command, options, more)
	local spec = {}
	local fields = setmetatable(more or {}, { __index = command_fields })

	for name, value in pairs(options or {}) do
		spec[name] = value
	end
	if type(command) == "string" then
		spec.shell = command
	elseif type(command) == "table" and #command > 0 then
		spec.argv = command
	elseif type(command) == "table" then
		for name, value in pairs(command) do
			spec[name] = value
		end
	else
		errors.failf("%s: a command is needed: a string for the shell, or a list", what)
	end
	for name in pairs(spec) do
		if not fields[name] then
			errors.check_fields(what, spec, command_fields)
		end
	end
	spec.env = environment(spec.env)
	if spec.user ~= nil then
		spec.uid, spec.gid, spec.groups = users.find(self, spec.user)
		spec.user = nil
	end
	return spec
end

function Agent:exec(command, options)
	local spec = command_options(self, "exec", command, options)
	local on_output = spec.on_output

	if not on_output then
		return self.connection:exec(spec)
	end

	-- The result has it all the same.
	local written = { stdout = {}, stderr = {} }
	local result = self.connection:exec(spec, function(stream, data)
		table.insert(written[stream], data)
		on_output(data, stream)
	end)

	result.stdout = table.concat(written.stdout)
	result.stderr = table.concat(written.stderr)
	return result
end

local function describe(result)
	if result.timed_out then
		return "timed out"
	end
	if result.signal then
		return "killed by signal " .. result.signal
	end
	return "exit " .. result.exit_code
end

-- Its standard output, of a command that must succeed.
function Agent:output(command, options)
	local result = self:exec(command, options)

	if not result.ok then
		errors.fail(string.format("command failed (%s): %s\n%s", describe(result),
			type(command) == "table" and table.concat(command, " ") or command,
			result.stderr:trim()), { code = "command_failed", result = result })
	end
	return result.stdout
end

function Agent:json(command, options)
	return core.json_decode(self:output(command, options))
end

-- ---------------------------------------------------------------------------------------------
-- Jobs

local job_fields = { name = true, keep = true, stream_stdin = true }

-- A job is what background gives, a number or a name.
local function job_ref(job)
	return type(job) == "table" and job.id or job
end

function Agent:background(command, options)
	local spec = command_options(self, "background", command, options, job_fields)
	local id, pid = self.connection:job_start(spec)

	return { id = id, pid = pid }
end

function Agent:job_wait(job, seconds)
	return self.connection:job_wait(job_ref(job), seconds or 0)
end

function Agent:job_kill(job, signal, grace)
	return self.connection:job_kill(job_ref(job), signal, grace)
end

function Agent:job_signal(job, signal, group)
	return self.connection:job_signal(job_ref(job), signal, group)
end

function Agent:job_write(job, data, close)
	return self.connection:job_write(job_ref(job), data, close)
end

function Agent:jobs()
	return self.connection:job_list()
end

-- ---------------------------------------------------------------------------------------------
-- Files: the connection's own methods, of which these names are the public ones.

for _, name in ipairs({ "chmod", "chown", "mkdir", "mount", "pull", "push", "read_file", "readlink",
	"remove", "rename", "symlink", "umount", "write_file", "listdir", "read_memory", "ping", "info",
	"release_init" }) do
	Agent[name] = function(self, ...)
		return self.connection[name](self.connection, ...)
	end
end

local stat_fields = errors.names("follow")

function Agent:stat(path, options)
	errors.check_fields("stat", options or {}, stat_fields)
	return self.connection:stat(path, not options or options.follow ~= false)
end

-- Whether there is something of this name; what else keeps it from being looked at is an error.
function Agent:exists(path)
	local ok, problem = pcall(self.stat, self, path)

	if ok then
		return true
	end
	if problem.errno_name == "ENOENT" or problem.errno_name == "ENOTDIR" then
		return false
	end
	error(problem, 0)
end

local tail_fields = errors.names("from timeout")

-- fn(data, event) with what the file gets, until it returns true.
function Agent:tail(path, fn, options)
	options = errors.check_fields("tail", options or {}, tail_fields)
	return self.connection:tail(path, fn, options.from, options.timeout)
end

local proc_flags = 0xe -- MS_NOSUID | MS_NODEV | MS_NOEXEC

local virtual = {
	{ "proc", "/proc", proc_flags },
	{ "sysfs", "/sys", proc_flags },
	{ "securityfs", "/sys/kernel/security", proc_flags },
	{ "devtmpfs", "/dev", 0x2 },
}

-- proc, sysfs, securityfs (where the kernel has it) and devtmpfs, each unless it is there.
function Agent:mount_vfs()
	for _, row in ipairs(virtual) do
		local fstype, target, flags = table.unpack(row)
		local ok, problem = pcall(function()
			if fstype ~= "securityfs" then
				self:mkdir(target, { parents = true })
			end
			self:mount(fstype, target, fstype, { flags = flags })
		end)
		local reason = not ok and problem.errno_name

		-- EBUSY: it is mounted there. Without securityfs there is no directory for it.
		if not ok and reason ~= "EBUSY" and not (fstype == "securityfs"
			and (reason == "ENOENT" or reason == "ENODEV")) then
			error(problem, 0)
		end
	end
end

-- ---------------------------------------------------------------------------------------------
-- Waiting

local wait_fields = errors.names("timeout interval desc")

function Agent:wait_until(fn, options)
	options = errors.check_fields("wait_until", options or {}, wait_fields)

	local timeout = options.timeout or 10
	local finish = core.now() + timeout

	while true do
		local value = fn()

		if value then
			return value
		end
		if core.now() >= finish then
			errors.fail(string.format("timed out after %g s waiting for %s", timeout,
				options.desc or "condition"), { code = "timed_out" })
		end
		self.connection:sleep(math.min(options.interval or 0.5,
			math.max(finish - core.now(), 0.001)))
	end
end

-- Seconds; meanwhile it is noticed that the guest ends.
function Agent:sleep(seconds)
	return self.connection:sleep(seconds)
end

-- What requests that are not given a timeout have, in seconds; with an argument it is set.
function Agent:timeout(seconds)
	return self.connection:timeout(seconds)
end

-- ---------------------------------------------------------------------------------------------
-- The kernel

local SYSLOG_READ_ALL = 3
local SYSLOG_SIZE_BUFFER = 10
-- Buffers of a program hold no more, and no kernel's log is longer by default.
local LOG_LIMIT = 4 << 20

-- The kernel's log as dmesg(1) has it, without a program in the guest; with a pattern those lines
-- that grep(1) would select.
function Agent:dmesg(pattern)
	local size = math.min(self:syscall("syslog", SYSLOG_SIZE_BUFFER, 0, 0), LOG_LIMIT)
	if size <= 0 then
		errors.failf("dmesg: syslog: %s", core.errno_name(-size) or size)
	end

	local _, length, text = self:program(function(p)
		local buffer = p:output(size)

		return p:call("syslog", SYSLOG_READ_ALL, buffer, size), buffer
	end)
	if length < 0 then
		errors.failf("dmesg: syslog: %s", core.errno_name(-length) or length)
	end
	-- Facility and level: <6>.
	text = ("\n" .. text:sub(1, length)):gsub("\n<%d+>", "\n"):sub(2)
	return pattern and core.grep(pattern, text) or text
end

-- What the kernel has reported since this was last asked. A test that asks answers for it: what it
-- was told here does not fail it.
function Agent:kernel_events()
	return (self.connection:kernel_events())
end

-- The next report, or nil after so many seconds.
function Agent:next_kernel_event(seconds)
	return self.connection:kernel_next(seconds)
end

-- Runs fn, during which the kernel must report something whose kind or text has this in it. Returns
-- that event. Others fail the test as ever.
function Agent:expect_kernel_event(part, fn)
	local found

	fn(self)
	for _, event in ipairs(self:kernel_events()) do
		if not found and (event.kind == part or event.text:find(part, 1, true)) then
			found = event
		elseif event.fault then
			errors.failf("the kernel reported something else:\n%s", event.text)
		end
	end
	if not found then
		errors.failf("the kernel reported no '%s'", part)
	end
	return found
end

-- What the agent says of itself: arch, kernel_release, boot_id, pid, restarts, ...
function Agent:agent()
	return self.connection:agent()
end

return Agent
