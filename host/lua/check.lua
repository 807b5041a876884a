-- Checks of whole behaviours: an operation under other credentials, under many, what it leaves.
local core, load = ...

local errors = load("errors")

local check = {}

-- ---------------------------------------------------------------------------------------------
-- Credentials

-- linux/capability.h
local capabilities = {}

for i, name in ipairs({ "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL",
	"SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
	"NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
	"MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE" }) do
	capabilities["CAP_" .. name] = i - 1
end

local LAST_CAPABILITY = 40
local CAPABILITY_VERSION_3 = 0x20080522
local PR_SET_KEEPCAPS = 8
local PR_CAPBSET_DROP = 24
local PR_CAP_AMBIENT = 47
local PR_CAP_AMBIENT_RAISE = 2

-- A set of numbers, of names with or without their beginning.
local function capability_set(names)
	local set = {}

	for _, name in ipairs(names) do
		local full = "CAP_" .. tostring(name):upper():gsub("^CAP_", "")
		local number = capabilities[full]

		if not number then
			errors.failf("caps: there is no '%s'", tostring(name))
		end
		set[number] = true
	end
	return set
end

local function capability_data(set)
	local words = { 0, 0 }

	for number in pairs(set) do
		local i = number // 32 + 1

		words[i] = words[i] | 1 << number % 32
	end
	-- effective, permitted, inheritable; the lower 32 of each, then the upper
	return string.pack("<I4I4I4I4I4I4", words[1], words[1], words[1], words[2], words[2], words[2])
end

local function groups_data(groups)
	local parts = {}

	for i, group in ipairs(groups) do
		parts[i] = string.pack("<I4", group)
	end
	return table.concat(parts)
end

-- What a worker does to itself so that it has these capabilities and no others, also in what it
-- executes: the bounding set is cut down for root, and for another user the set is ambient.
local function take_credentials(worker, credentials)
	local set = capability_set(credentials.caps)
	local uid = credentials.uid or 0
	local gid = credentials.gid or uid
	local groups = credentials.groups or {}
	local outcome = worker:program(function(p)
		for number = 0, LAST_CAPABILITY do
			if not set[number] then
				-- EINVAL: this kernel has none of that number.
				p:call("prctl", PR_CAPBSET_DROP, number, 0, 0, 0)
			end
		end
		p:call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0):stop_on_error()
		p:call("setgroups", #groups, p:input(groups_data(groups) .. "\0\0\0\0")):stop_on_error()
		p:call("setresgid", gid, gid, gid):stop_on_error()
		p:call("setresuid", uid, uid, uid):stop_on_error()
		p:call("capset", p:input(string.pack("<I4I4", CAPABILITY_VERSION_3, 0)),
			p:input(capability_data(set))):stop_on_error()
		for number in pairs(uid ~= 0 and set or {}) do
			p:call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0):stop_on_error()
		end
	end)
	local last = outcome.results[#outcome.results]

	if last < 0 then
		errors.fail("as: the credentials cannot be taken: " .. (core.errno_name(-last) or last),
			{ code = "guest", errno = -last, errno_name = core.errno_name(-last) })
	end
end

local credential_fields = errors.names("uid gid groups caps user thread name")

-- vm:as{ uid =, gid =, groups =, caps = }(fn): fn(worker) in a worker that has these credentials.
-- Its results are fn's.
function check.as(vm, credentials)
	errors.check_fields("as", credentials, credential_fields)
	return function(fn)
		local worker

		if credentials.caps then
			worker = vm:spawn({ thread = credentials.thread })
			take_credentials(worker, credentials)
		else
			worker = vm:spawn({ thread = credentials.thread, uid = credentials.uid,
				gid = credentials.gid or credentials.uid, groups = credentials.groups,
				user = credentials.user })
		end

		local results = table.pack(pcall(fn, worker))

		pcall(worker.kill, worker)
		if not results[1] then
			error(results[2], 0)
		end
		return table.unpack(results, 2, results.n)
	end
end

local Table = {}

function Table.__tostring(results)
	local width = 0
	local names = {}
	local lines = {}

	for name in pairs(results) do
		names[#names + 1] = name
		width = math.max(width, #name)
	end
	table.sort(names)
	for i, name in ipairs(names) do
		lines[i] = string.format("%-" .. width .. "s  %s", name, results[name])
	end
	return table.concat(lines, "\n")
end

-- What an operation came to: "OK", or the errno that it returned or raised.
local function errno_of(ok, value)
	if ok then
		local number = math.tointeger(value)

		if type(value) == "number" and number and number < 0 and number > -4096 then
			return core.errno_name(-number) or tostring(-number)
		end
		return value == false and "false" or "OK"
	end
	if type(value) == "table" and value.errno_name then
		return value.errno_name
	end
	error(value, 0)
end

-- provium.matrix(vm, { name = credentials, ... }, fn): fn(worker, credentials) under each of them.
-- What each came to by name: "OK" or an errno's name.
function check.matrix(vm, list, fn)
	local results = {}

	for name, credentials in pairs(list) do
		local spec = {}

		for field, value in pairs(credentials) do
			spec[field] = value
		end
		name = math.type(name) == "integer" and (credentials.name or tostring(name)) or name
		results[name] = errno_of(pcall(check.as(vm, spec), function(worker)
			return fn(worker, credentials)
		end))
	end
	return setmetatable(results, Table)
end

-- ---------------------------------------------------------------------------------------------
-- What is left behind

-- proc(5): a thread of the kernel's, in the flags of /proc/PID/stat
local PF_KTHREAD = 0x200000

local function lines_of(vm, path)
	local ok, text = pcall(vm.read_file, vm, path)
	local list = {}

	if not ok then
		if text.errno_name == "ENOENT" then
			return list
		end
		error(text, 0)
	end
	for line in text:gmatch("[^\n]+") do
		list[#list + 1] = line
	end
	return list
end

local function process_name(vm, pid)
	local ok, stat = pcall(vm.read_file, vm, "/proc/" .. pid .. "/stat")

	-- It has ended since.
	if not ok then
		return nil
	end

	local name, rest = stat:match("%((.*)%) (.*)")
	local flags = tonumber((rest:match("^%S+ %S+ %S+ %S+ %S+ %S+ (%d+)")))

	if flags and flags & PF_KTHREAD ~= 0 then
		return nil
	end
	return string.format("%s (pid %s)", name, pid)
end

-- Those of the agent's own begin here: connections, jobs.
local OWN_FDS = 512

local function fds(vm)
	local pid = vm:agent().pid
	local found = {}

	for _, entry in ipairs(vm:listdir("/proc/" .. pid .. "/fd")) do
		local ok, target = pcall(vm.readlink, vm, string.format("/proc/%d/fd/%s", pid, entry.name))

		if ok and tonumber(entry.name) < OWN_FDS then
			found[entry.name .. " -> " .. target] = true
		end
	end
	return found
end

local function processes(vm, before)
	local found = {}

	for _, entry in ipairs(vm:listdir("/proc")) do
		if entry.name:match("^%d+$") then
			-- Names cost a request each, so only those are asked for that are new.
			local key = entry.name

			if before and not before[key] then
				local name = process_name(vm, key)

				found[key] = name
			else
				found[key] = key
			end
		end
	end
	return found
end

-- What a pattern finds in each line of a file.
local function found_in(vm, path, pattern)
	local found = {}

	for _, line in ipairs(lines_of(vm, path)) do
		local parts = { line:match(pattern) }

		if parts[1] then
			found[table.concat(parts, " ")] = true
		end
	end
	return found
end

local function mounts(vm)
	-- id and mount point
	return found_in(vm, "/proc/self/mountinfo", "^(%d+) %d+ %S+ %S+ (%S+)")
end

local function modules(vm)
	return found_in(vm, "/proc/modules", "^%S+")
end

local function keys(vm)
	-- id and, at the end, type and description
	return found_in(vm, "/proc/keys", "^(%x+)%s+%S+%s+%S+%s+%S+%s+%S+%s+%S+%s+%S+%s+(.*)$")
end

-- Objects of each cache, when what may be dropped was dropped.
local function slab(vm)
	local found = {}

	vm:write_file("/proc/sys/vm/drop_caches", "2\n", { no_create = true })
	for _, line in ipairs(lines_of(vm, "/proc/slabinfo")) do
		local name, objects = line:match("^(%S+)%s+(%d+)%s+%d+")

		if name and name ~= "slabinfo" then
			found[name] = tonumber(objects)
		end
	end
	return found
end

local kinds = {
	{ "fds", fds },
	{ "processes", processes },
	{ "mounts", mounts },
	{ "modules", modules },
	{ "keys", keys },
}

-- Names that are there now and were not before.
local function gone_astray(name, before, now, found)
	for key, value in pairs(now) do
		if not before[key] then
			found[#found + 1] = string.format("%s: %s", name, value == true and key or value)
		end
	end
end

-- Caches breathe: what counts is growth beyond this many objects and this part of what was there.
local SLAB_OBJECTS = 512
local SLAB_PART = 0.1

local function slab_growth(limits, before, now, found)
	for name, objects in pairs(now) do
		local growth = objects - (before[name] or 0)
		local limit = math.max(SLAB_OBJECTS, (before[name] or 0) * SLAB_PART)

		if type(limits) == "table" then
			limit = limits[name] or math.huge
		end
		if growth > limit then
			found[#found + 1] = string.format("slab: %s: %d objects more (%d before)", name, growth,
				before[name] or 0)
		end
	end
end

local function look(vm, options, before)
	local seen = {}

	for _, row in ipairs(kinds) do
		if options[row[1]] ~= false then
			seen[row[1]] = row[2](vm, before and before[row[1]])
		end
	end
	if options.slab ~= false then
		seen.slab = slab(vm)
	end
	return seen
end

local function compare(options, before, now)
	local found = {}

	for _, row in ipairs(kinds) do
		if before[row[1]] then
			gone_astray(row[1], before[row[1]], now[row[1]], found)
		end
	end
	if before.slab then
		slab_growth(options.slab, before.slab, now.slab, found)
	end
	table.sort(found)
	return found
end

local ledger_fields = errors.names("fds processes mounts modules keys slab settle")

-- vm:ledger(fn, options): runs fn(vm); file descriptors of the agent, processes, mounts, modules,
-- keys and slab objects that it has left fail the test. What takes a moment to go has `settle`
-- seconds (1). options: kind = false leaves one out; slab = { cache = objects } sets limits.
function check.ledger(vm, fn, options)
	options = errors.check_fields("ledger", options or {}, ledger_fields)
	if not vm:exists("/proc/self/mountinfo") then
		errors.fail("ledger: /proc is not mounted in the guest (vm:mount_vfs())")
	end

	local before = look(vm, options)
	local results = table.pack(fn(vm))
	local finish = core.now() + (options.settle or 1)
	local left = compare(options, before, look(vm, options, before))

	while #left > 0 and core.now() < finish do
		vm:sleep(0.05)
		left = compare(options, before, look(vm, options, before))
	end
	if #left > 0 then
		errors.fail("left behind:\n  " .. table.concat(left, "\n  "), { code = "leak", left = left })
	end
	return table.unpack(results, 1, results.n)
end

return check
