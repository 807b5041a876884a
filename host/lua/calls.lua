-- Methods of guests and workers: single system calls, with buffers and pointers.
local core, load = ...

local errors = load("errors")

local calls = {}

-- A system call's number of the guest's architecture.
function calls.number(agent, name)
	local number = math.tointeger(name)

	if type(name) == "number" and number and number >= 0 then
		return number
	end
	if type(name) ~= "string" then
		errors.failf("a system call's number or name is needed, not %s", tostring(name))
	end

	local arch = agent:agent().arch

	number = core.syscall_number(arch, name)
	if not number then
		errors.failf("no system call '%s' of %s is known here: give its number", name, arch)
	end
	return number
end

-- The arguments from the left, of which those with a buffer become its address.
local function arguments(buffers, ...)
	local args = { ... }
	local count = select("#", ...)

	for index in pairs(buffers) do
		count = math.max(count, index + 1)
	end
	for i = 1, count do
		args[i] = buffers[i - 1] and { buffer = buffers[i - 1] } or args[i] or 0
	end
	return args
end

-- { [index of the argument] = data }: the program's buffers, and their indices in order.
local function argument_buffers(what, given)
	local order = {}

	if type(given) ~= "table" then
		errors.failf("%s: a table { [argument] = data } is needed, not a %s", what, type(given))
	end
	for index, data in pairs(given) do
		if not (math.type(index) == "integer" and index >= 0 and index <= 5) then
			errors.failf("%s: %s is no argument's index: 0 to 5", what, tostring(index))
		end
		if type(data) ~= "string" then
			errors.failf("%s: buffer %d: a string is needed, not a %s", what, index, type(data))
		end
		order[#order + 1] = index
	end
	table.sort(order)

	local buffers = {}
	local numbers = {}

	for i, index in ipairs(order) do
		buffers[i] = { input = given[index], output = true }
		numbers[index] = i
	end
	return buffers, numbers
end

-- A pointer's buffer: so many bytes, of which data are the first.
local function pointer_buffer(what, i, spec, length_name)
	local size = spec[length_name]
	local data = spec.data

	if data ~= nil and type(data) ~= "string" then
		errors.failf("%s: pointer %d: data: a string is needed, not a %s", what, i, type(data))
	end
	size = size == nil and #(data or "") or math.tointeger(size)
	if not size or size < 0 then
		errors.failf("%s: pointer %d: %s: a number of bytes is needed", what, i, length_name)
	end
	if data and #data > size then
		errors.failf("%s: pointer %d: data has %d bytes, and %s is %d", what, i, #data, length_name,
			size)
	end
	-- Memory that a test has not filled is zero, not what another call has left there.
	data = (data or "") .. string.rep("\0", size - #(data or ""))
	return { input = data, output = spec.output or false }
end

local function add_pointer(what, i, buffers, parent, spec, length_name)
	local offset = math.tointeger(spec.ptr_offset)

	if not offset or offset < 0 then
		errors.failf("%s: pointer %d: ptr_offset: a number of bytes is needed", what, i)
	end
	if offset + 8 > #buffers[parent].input then
		errors.failf("%s: pointer %d: ptr_offset %d: there are no 8 bytes in a buffer of %d", what,
			i, offset, #buffers[parent].input)
	end
	buffers[#buffers + 1] = pointer_buffer(what, i, spec, length_name)
	buffers[parent].pointers = buffers[parent].pointers or {}
	table.insert(buffers[parent].pointers, { offset = offset, buffer = #buffers })
	return #buffers
end

-- One call; its result, and the content of these buffers.
local function run_one(self, call, buffers, wanted)
	local outcome = self.connection:run({ buffers = buffers, calls = { call } })
	local values = { outcome.results[1] }

	for i, number in ipairs(wanted) do
		values[i + 1] = outcome.data[number]
	end
	return table.unpack(values, 1, #wanted + 1)
end

function calls.syscall(self, name, ...)
	local number = calls.number(self, name)

	return run_one(self, { number = number, args = arguments({}, ...) }, nil, {})
end

function calls.syscall_buf(self, name, index, data, ...)
	local buffers, numbers = argument_buffers("syscall_buf", { [index] = data })
	local call = { number = calls.number(self, name), args = arguments(numbers, ...) }

	return (run_one(self, call, buffers, {}))
end

function calls.syscall_bufs(self, name, given, ...)
	local buffers, numbers = argument_buffers("syscall_bufs", given)
	local call = { number = calls.number(self, name), args = arguments(numbers, ...) }
	local wanted = {}

	for i in ipairs(buffers) do
		wanted[i] = i
	end
	return run_one(self, call, buffers, wanted)
end

local pointer_fields = errors.names("buf_idx ptr_offset data_len output data")

function calls.syscall_ptr(self, name, given, specs, ...)
	local buffers, numbers = argument_buffers("syscall_ptr", given)
	local call = { number = calls.number(self, name), args = arguments(numbers, ...) }
	local wanted = {}

	for i in ipairs(buffers) do
		wanted[i] = i
	end
	for i, spec in ipairs(specs) do
		errors.check_fields("syscall_ptr: pointer " .. i, spec, pointer_fields)
		if not numbers[spec.buf_idx] then
			errors.failf("syscall_ptr: pointer %d: buf_idx: there is no buffer %s", i,
				tostring(spec.buf_idx))
		end

		local number = add_pointer("syscall_ptr", i, buffers, numbers[spec.buf_idx], spec,
			"data_len")

		if spec.output then
			wanted[#wanted + 1] = number
		end
	end
	return run_one(self, call, buffers, wanted)
end

-- The command's own words of what it does (asm-generic/ioctl.h): whether the kernel writes, and how
-- many bytes the argument has. A command from before those bits says neither.
local function reads_back(command)
	return command >> 30 & 2 ~= 0
end

local function argument_size(command)
	return command >> 16 & 0x3fff
end

local function ioctl_call(self, fd, command, arg)
	return { number = calls.number(self, "ioctl"), args = { fd, command, arg } }
end

function calls.ioctl(self, fd, command, data)
	if math.type(command) ~= "integer" then
		errors.failf("ioctl: a command's number is needed, not %s", tostring(command))
	end
	if data == nil and reads_back(command) then
		data = string.rep("\0", argument_size(command))
	end
	if type(data) ~= "string" then
		return (run_one(self, ioctl_call(self, fd, command, data or 0), nil, {}))
	end
	-- The old commands, of terminals say, are both ways for all that is known.
	return run_one(self, ioctl_call(self, fd, command, { buffer = 1 }),
		{ { input = data, output = true } },
		(reads_back(command) or command >> 30 == 0) and { 1 } or {})
end

local ioctl_fields = errors.names("ptr_offset buf_len output data")

function calls.ioctl_buf(self, fd, command, data, specs)
	local buffers = { { input = data, output = true } }
	local wanted = { 1 }

	if type(data) ~= "string" then
		errors.failf("ioctl_buf: the struct is needed as a string, not a %s", type(data))
	end
	for i, spec in ipairs(specs) do
		errors.check_fields("ioctl_buf: pointer " .. i, spec, ioctl_fields)

		local number = add_pointer("ioctl_buf", i, buffers, 1, spec, "buf_len")

		if spec.output then
			wanted[#wanted + 1] = number
		end
	end
	return run_one(self, ioctl_call(self, fd, command, { buffer = 1 }), buffers, wanted)
end

return calls
