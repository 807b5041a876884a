-- VMs: from a profile to their end.
local core, load = ...

local Agent = load("agent")
local Worker = load("worker")
local check = load("check")
local errors = load("errors")
local profile = load("profile")

local harness = core.harness

local VM = setmetatable({}, { __index = Agent })

-- A guest that was not booted has no connection, which every method of Agent asks for.
function VM:__index(name)
	if name == "connection" then
		errors.failf("the guest '%s' has not been booted", rawget(self, "name"))
	end
	return VM[name]
end

VM.as = check.as
VM.ledger = check.ledger

-- All of this state, in the order in which they were made.
local all = {}

local module = { VM = VM, all = all }

local default_memory = 512 << 20
local boot_fields = errors.names([[
	memory cpus files disks append modules init hold accel machine vsock timeout console
	socket
]])

local units = { [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30 }

-- "512M", or bytes.
local function bytes(memory)
	if math.type(memory) == "integer" and memory > 0 then
		return memory
	end

	local number, unit = tostring(memory):match("^(%d+)([KMG]?)i?B?$")

	if not number then
		errors.failf("memory: \"512M\" or a number of bytes is needed, not %s", tostring(memory))
	end
	return math.tointeger(number) * units[unit]
end

local function file_list(files)
	local list = {}

	for guest, host in pairs(files or {}) do
		list[#list + 1] = { guest = guest, host = host }
	end
	table.sort(list, function(a, b)
		return a.guest < b.guest
	end)
	return list
end

local disk_fields = errors.names("path format readonly")

-- A root file system of the profile's is the first disk.
local function disk_list(settings, disks)
	local list = {}

	if settings.rootfs then
		list[1] = {
			path = settings.rootfs,
			readonly = true,
			format = settings.rootfs_format or (settings.rootfs:match("%.qcow2$") and "qcow2")
				or "raw",
		}
	end
	for i, disk in ipairs(disks or {}) do
		errors.check_fields("disk " .. i, disk, disk_fields)
		if not disk.path then
			errors.failf("disk %d: path: an image of the host's is needed", i)
		end
		list[#list + 1] = disk
	end
	return list
end

local function join(...)
	local parts = {}

	for _, part in ipairs({ ... }) do
		parts[#parts + 1] = part ~= "" and part or nil
	end
	return #parts > 0 and table.concat(parts, " ") or nil
end

local function console_path(number)
	if harness and harness.log_directory then
		return string.format("%s/console-%d.log", harness.log_directory, number)
	end
	return nil
end

-- What core.boot gets, of a profile's settings and of what the test says.
local function boot_options(self, options)
	local settings = self.settings

	return {
		kernel = settings.kernel,
		initrd = settings.initrd,
		modules_dir = settings.modules_dir,
		modules = options.modules or settings.modules,
		-- Without an initramfs of its own the disk is the root.
		root = settings.root or (settings.rootfs and not settings.initrd and "/dev/vda") or nil,
		init = options.init or settings.init,
		append = join(settings.append or "", options.append or ""),
		memory = bytes(options.memory or settings.memory or default_memory),
		cpus = options.cpus or settings.cpus or 1,
		files = options.files and file_list(options.files),
		disks = disk_list(settings, options.disks),
		hold = options.hold,
		accel = options.accel or (harness and harness.accel) or nil,
		machine = options.machine,
		vsock = options.vsock,
		timeout = options.timeout,
		socket = options.socket,
		console = options.console or console_path(self.number),
	}
end

local function new(name, settings)
	local self = setmetatable({ name = name, settings = settings }, VM)

	all[#all + 1] = self
	self.number = #all
	return self
end

function module.create(from)
	local settings, name = profile.settings(from)

	return new(name, settings)
end

-- The harness counts what runs.
function module.acquire(self, memory, cpus)
	if harness then
		harness.acquire(memory, cpus)
	end
	self.held = { memory = memory, cpus = cpus }
end

function module.release(self)
	if harness and self.held then
		harness.release(self.held.memory, self.held.cpus)
	end
	self.held = nil
end

-- A guest that runs: handle is its VM.
function module.started(self, handle, connection)
	self.handle = handle
	self.connection = connection
	if harness then
		harness.guest_started(self.number, self.name, handle:describe().console)
	end
	return self
end

-- A guest of its own, that goes on where the snapshot was taken.
function module.resume(snapshot, name)
	local self = new(name, {})
	local memory, cpus = snapshot:needs()

	module.acquire(self, memory, cpus)

	local ok, handle, connection = pcall(snapshot.resume, snapshot,
		{ console = console_path(self.number) })

	if not ok then
		module.release(self)
		error(handle, 0)
	end
	return module.started(self, handle, connection)
end

function VM:boot(options)
	options = errors.check_fields("boot", options or {}, boot_fields)
	if self.handle then
		errors.failf("boot: the guest '%s' has been booted", self.name)
	end

	local spec = boot_options(self, options)

	module.acquire(self, spec.memory, spec.cpus)

	local ok, handle, connection = pcall(core.boot, spec)

	if not ok then
		module.release(self)
		error(handle, 0)
	end
	return module.started(self, handle, connection)
end

-- Seconds that a guest has to say what its kernel has said. One that was silent is not asked again:
-- what has arrived by itself is all there is.
local note_seconds = 10

-- Events that no test has asked for; suite.lua judges them. With seconds = 0 nobody is waited for.
function module.note_events(self, seconds)
	self.events = self.events or {}
	if not self.handle or self.ended then
		return
	end
	seconds = self.silent and 0 or seconds or note_seconds

	local ok, events, answered = pcall(self.connection.kernel_events, self.connection, seconds)

	self.silent = seconds > 0 and not answered or self.silent
	for _, event in ipairs(ok and events or {}) do
		table.insert(self.events, event)
	end
end

-- With what has arrived by now: whoever wants more asks before.
local function close(self)
	module.note_events(self, 0)
	self.ended = true
	self.handle:close()
	module.release(self)
	if harness then
		harness.guest_ended(self.number)
	end
end

-- The guest ends with it.
function module.save(self)
	module.note_events(self)

	local ok, snapshot = pcall(self.handle.save, self.handle)

	close(self)
	if not ok then
		error(snapshot, 0)
	end
	return snapshot
end

local shutdown_fields = errors.names("mode sync timeout")

local function need_handle(self, what)
	if not self.handle then
		errors.failf("%s: the guest '%s' has not been booted", what, self.name)
	end
end

function VM:shutdown(options)
	options = errors.check_fields("shutdown", options or {}, shutdown_fields)
	need_handle(self, "shutdown")
	if self.ended then
		return
	end
	module.note_events(self)

	local ok, problem = pcall(self.handle.shutdown, self.handle, options.mode,
		options.sync ~= false, options.timeout)

	close(self)
	-- One that has ended by itself has what it was to have.
	if not ok and problem.code ~= "vm_gone" then
		error(problem, 0)
	end
end

-- At once, whatever state the guest is in.
function VM:kill()
	need_handle(self, "kill")
	if not self.ended then
		close(self)
	end
end

local function each_running(fn)
	for _, vm in ipairs(all) do
		if vm.handle and not vm.ended then
			fn(vm)
		end
	end
end

function module.shutdown_all()
	each_running(VM.shutdown)
end

-- Whatever still runs, at the end of a file.
function module.kill_all()
	each_running(VM.kill)
end

local spawn_fields = errors.names("thread uid gid groups user")

function VM:spawn(options)
	options = errors.check_fields("spawn", options or {}, spawn_fields)
	return Worker.spawn(self, options)
end

-- accel, vsock, panicked, qemu_pid, console.
function VM:describe()
	need_handle(self, "describe")
	return self.handle:describe()
end

function VM:console_tail(lines)
	need_handle(self, "console_tail")
	return self.handle:console_tail(lines)
end

-- The next end of a worker that was not told, or nil after so many seconds.
function VM:next_worker_end(seconds)
	return self.connection:worker_end(seconds)
end

-- An agent in a VM of somebody else's: all that a guest has but what starts and ends it.
function module.connect(address)
	return setmetatable({ connection = core.connect(address) }, { __index = Agent })
end

return module
