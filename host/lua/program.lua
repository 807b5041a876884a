-- vm:program(fn): several system calls in one request, whose arguments may be what earlier ones
-- have returned or written.
--
--	local outcome, text = vm:program(function(p)
--		local fd = p:call("openat", -100, "/etc/hostname", 0)
--		local buffer = p:output(64)
--		p:call("read", fd, buffer, 64)
--		p:call("close", fd)
--		return buffer
--	end)
local _, load = ...

local calls = load("calls")
local errors = load("errors")

local Buffer = {}
Buffer.__index = Buffer
local Call = {}
Call.__index = Call
local Program = {}
Program.__index = Program

-- The address of a byte in it, as an argument.
function Buffer:at(offset)
	return { buffer = self.number, offset = offset }
end

-- The address of another buffer (or of a byte in it) stands at offset before the first call.
function Buffer:pointer(offset, to, addend)
	local spec = self.spec

	if getmetatable(to) ~= Buffer then
		errors.fail("pointer: a buffer is needed that it leads to")
	end
	spec.pointers = spec.pointers or {}
	table.insert(spec.pointers, { offset = offset, buffer = to.number, addend = addend })
	return self
end

-- The number at offset, as it is when the call is made: an argument.
for name, width in pairs({ u8 = 1, u16 = 2, u32 = 4, u64 = 8 }) do
	Buffer[name] = function(self, offset)
		return { buffer = self.number, offset = offset or 0, width = width }
	end
	Buffer["i" .. name:sub(2)] = function(self, offset)
		return { buffer = self.number, offset = offset or 0, width = width, signed = true }
	end
end

-- What it has returned, plus a number: an argument.
function Call:plus(number)
	return { call = self.number, plus = number }
end

function Call:times(count)
	self.spec.times = count
	return self
end

-- Seconds until it is interrupted; 0: never.
function Call:deadline(seconds)
	self.spec.deadline = seconds
	return self
end

function Call:stop_on_error()
	self.spec.stop_on_error = true
	return self
end

local buffer_fields = errors.names("input size placement output changes fill_seed")

function Program:buffer(options)
	local spec = {}

	errors.check_fields("buffer", options, buffer_fields)
	for name, value in pairs(options) do
		spec[name] = value
	end
	table.insert(self.spec.buffers, spec)
	return setmetatable({ number = #self.spec.buffers, spec = spec }, Buffer)
end

function Program:input(data)
	return self:buffer({ input = data })
end

function Program:string(text)
	return self:buffer({ input = text .. "\0" })
end

function Program:output(size)
	return self:buffer({ size = size, output = true })
end

-- A buffer that goes there and back.
function Program:inout(data)
	return self:buffer({ input = data, output = true })
end

local function argument(self, value)
	local kind = getmetatable(value)

	if kind == Buffer then
		return value:at(0)
	end
	if kind == Call then
		return { call = value.number }
	end
	if type(value) == "string" then
		return self:string(value):at(0)
	end
	if type(value) == "boolean" then
		return value and 1 or 0
	end
	return value
end

-- A string as argument is its own buffer, with a NUL behind it.
function Program:call(name, ...)
	local spec = { number = calls.number(self.agent, name), args = {} }

	for i = 1, select("#", ...) do
		spec.args[i] = argument(self, (select(i, ...)))
	end
	table.insert(self.spec.calls, spec)
	return setmetatable({ number = #self.spec.calls, spec = spec }, Call)
end

function Program:deadline(seconds)
	self.spec.deadline = seconds
end

function Program:stop_on_error()
	self.spec.stop_on_error = true
end

-- The agent tells of each call before it makes it, so that after a panic the error names it.
function Program:trace()
	self.spec.trace = true
end

-- Runs twice, and `changes` of buffers then holds every byte that was written.
function Program:written()
	self.spec.written = true
end

local Outcome = {}
Outcome.__index = Outcome

-- What a call has returned, or what a buffer holds.
function Outcome:get(handle)
	local kind = getmetatable(handle)

	if kind == Call then
		return self.results[handle.number]
	end
	if kind == Buffer then
		return self.data[handle.number]
	end
	errors.fail("a call or a buffer of the program is needed")
end

-- Where a call was when its time was up (interrupted), and the kernel_events that are its own.
function Outcome:remarks_of(call)
	return self.remarks[call.number] or {}
end

function Outcome:duration_ns(call)
	return self.durations_ns[call.number]
end

-- { { offset =, size = }, ... } of a buffer with `changes`.
function Outcome:changes_of(buffer)
	return self.changes[buffer.number]
end

return function(self, fn)
	local program = setmetatable({ agent = self, spec = { buffers = {}, calls = {} } }, Program)
	local handles = table.pack(fn(program))
	local outcome = setmetatable(self.connection:run(program.spec), Outcome)
	local values = {}

	for i = 1, handles.n do
		values[i] = outcome:get(handles[i])
	end
	return outcome, table.unpack(values, 1, handles.n)
end
