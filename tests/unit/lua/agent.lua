-- The methods of guests, against the real agent on this machine.
local vm = provium.connect(os.getenv("PROVIUM_TEST_ADDRESS"))
local directory = os.getenv("PROVIUM_TEST_DIRECTORY")

local function path(name)
	return directory .. "/" .. name
end

test("a command's result has its streams, its end and its costs", function()
	local r = vm:exec("echo out; echo err >&2; exit 3")

	assert_eq(false, r.ok)
	assert_eq(3, r.exit_code)
	assert_eq("out\n", r.stdout)
	assert_eq("err", r.stderr.trim())
	assert_eq(nil, r.signal)
	assert(r.rusage.max_rss_kib > 0 and r.seconds > 0 and r.pid > 0)
	assert_eq(false, r.pipes_held)
	assert(vm:exec("true").ok)
end)

test("commands take arguments, environment, directory, input and a time limit", function()
	assert_eq("a b|c\n", vm:exec({ "sh", "-c", "echo \"$1|$2\"", "sh", "a b", "c" }).stdout)
	assert_eq("x\n", vm:exec("echo $A", { env = { A = "x" } }).stdout)
	assert_eq("/usr\n", vm:exec("pwd", { cwd = "/usr" }).stdout)
	assert_eq("in\0put", vm:exec("cat", { stdin = "in\0put" }).stdout)
	assert_eq("both\n", vm:exec("echo both >&2", { merge_stderr = true }).stdout)

	local slow = vm:exec("sleep 20", { timeout = 0.1 })

	assert(slow.timed_out and not slow.ok)
	assert_eq(-1, slow.exit_code)
	assert_eq(9, vm:exec("kill -9 $$").signal)
end)

test("output comes as it is written, and the result has it all", function()
	local pieces = {}
	local r = vm:exec("echo one; echo two >&2; sleep 0.05; echo three", {
		on_output = function(_, stream)
			pieces[#pieces + 1] = stream
		end,
	})

	assert_eq("one\nthree\n", r.stdout)
	assert_eq("two\n", r.stderr)
	assert_contains(pieces, "stderr")
	-- What the function raises ends the command.
	assert_raises(function()
		vm:exec("echo x; sleep 20", { on_output = function() error("enough") end })
	end, "enough")
	assert_raises(function()
		vm:exec("echo x; sleep 20", { on_output = function() vm:ping() end })
	end, "a callback cannot use the connection")
	vm:ping()
end)

test("a mistake in the options is told, with what there is", function()
	assert_raises(function()
		vm:exec("true", { timout = 1 })
	end, "there is no 'timout'; there are argv")
	assert_raises(function()
		vm:exec("true", { timeout = "1" })
	end, "timeout: a number of seconds is needed")
	assert_raises(function()
		vm:exec({ "echo", 1.5 })
	end, "argv[2]: a string is needed")
	assert_raises(function()
		vm:exec()
	end, "a command is needed")
	assert_raises(function()
		vm:exec({ "/nonexistent/program" })
	end, { errno_name = "ENOENT", operation = "execve" })
end)

test("json and output want a command that succeeds", function()
	assert_eq({ 1, { x = 2 } }, vm:json("echo '[1, {\"x\": 2}]'"))
	assert_eq("hello\n", vm:output("echo hello"))
	assert_raises(function()
		vm:json("echo broken >&2; exit 4")
	end, "command failed (exit 4): echo broken >&2; exit 4\nbroken")
	assert_raises(function()
		vm:json("echo nonsense")
	end, "not JSON")
end)

test("jobs run on, are polled, waited for and killed", function()
	local job = vm:background("echo begin; line=$(cat); echo got $line; exit 5",
		{ stream_stdin = true })
	local r = vm:job_wait(job)

	assert(job.id > 0 and job.pid > 0)
	assert(r.running)
	assert_eq(-1, r.exit_code)
	vm:job_write(job, "a line\n", true)
	r = vm:job_wait(job, 20)
	assert_eq(false, r.running)
	assert_eq(5, r.exit_code)
	assert_eq("begin\ngot a line\n", r.stdout)

	local sleeper = vm:background("echo there; sleep 100", { name = "sleeper" })

	vm:wait_until(function()
		return vm:job_wait("sleeper").stdout == "there\n"
	end, { interval = 0.01 })
	assert_eq(1, #vm:jobs())
	r = vm:job_kill(sleeper)
	assert_eq(9, r.signal)
	assert_eq("there\n", r.stdout)
	assert_raises(function()
		vm:job_wait(sleeper)
	end, { code = "not_found" })
end)

test("files are written, read, looked at, changed and removed", function()
	vm:write_file(path("file"), "some\0bytes", { mode = tonumber("640", 8) })
	assert_eq("some\0bytes", vm:read_file(path("file")))
	assert_eq("bytes", vm:read_file(path("file"), { offset = 5 }))
	vm:write_file(path("file"), "!", { append = true })

	local status = vm:stat(path("file"))

	assert_eq("file", status.type)
	assert_eq(11, status.size)
	assert_eq(tonumber("640", 8), status.mode)
	vm:mkdir(path("a/b"), { parents = true })
	vm:rename(path("file"), path("a/b/moved"))
	vm:symlink("b/moved", path("a/link"))
	assert_eq("b/moved", vm:readlink(path("a/link")))
	assert_eq("symlink", vm:stat(path("a/link"), { follow = false }).type)
	assert_eq("file", vm:stat(path("a/link")).type)

	local names = {}

	for _, entry in ipairs(vm:listdir(path("a"))) do
		names[entry.name] = entry.type
	end
	assert_eq({ b = "directory", link = "symlink" }, names)
	vm:chmod(path("a/b/moved"), tonumber("600", 8))
	assert_eq(tonumber("600", 8), vm:stat(path("a/b/moved")).mode)
	assert(vm:exists(path("a")) and not vm:exists(path("c")))
	assert_raises(function()
		vm:remove(path("a"))
	end, { errno_name = "ENOTEMPTY" })
	vm:remove(path("a"), { recursive = true })
	vm:remove(path("a"), { missing_ok = true })
	assert_raises(function()
		vm:read_file(path("a"))
	end, { errno_name = "ENOENT" })
	assert_raises(function()
		vm:read_file("/dev/zero", { limit = 1000 })
	end, "longer than 1000 bytes")
end)

test("trees are pushed and pulled", function()
	vm:mkdir(path("tree"))
	vm:write_file(path("tree/x"), "x")
	vm:pull(path("tree"), path("copy"))
	vm:push(path("copy"), path("again"))
	assert_eq("x", vm:read_file(path("again/x")))
end)

test("a file is followed until the function has seen enough", function()
	local seen = ""

	vm:write_file(path("log"), "first\n")

	local writer = vm:background(string.format("sleep 0.1; echo second >> %s", path("log")))

	vm:tail(path("log"), function(data)
		seen = seen .. data
		return seen:find("second") ~= nil
	end, { from = "beginning", timeout = 20 })
	assert_eq("first\nsecond\n", seen)
	vm:job_wait(writer, 20)
	assert_raises(function()
		vm:tail(path("log"), function() end, { timeout = 0.05 })
	end, { code = "timed_out" })
end)

test("system calls return what the kernel does", function()
	assert_eq(vm:agent().pid, vm:syscall("getpid"))
	assert_eq(vm:syscall("getpid"), vm:syscall(39))
	assert_errno("EBADF", vm:syscall("close", 9999))
	assert_errno("ENOSYS", vm:syscall(9999))

	-- All 64 bits of arguments and results: a float has 53.
	local fd = vm:syscall_buf("memfd_create", 0, "m\0", 0, 0)

	assert_eq(0x7ffffffffffff001, vm:syscall("lseek", fd, 0x7ffffffffffff001, 0))
	assert_eq(0, vm:syscall("close", fd))
	assert_raises(function()
		vm:syscall("open_sesame")
	end, "no system call 'open_sesame'")
	assert_raises(function()
		vm:syscall("close", "3")
	end, "argument 0 of call 1: a whole number")
	assert_raises(function()
		vm:syscall("getpid", 1, 2, 3, 4, 5, 6, 7)
	end, "at most 6 arguments")
end)

test("a signal that a call has ignored is not ignored by commands", function()
	local SIGUSR1, DEFAULT, IGNORED = 10, 0, 1

	local function set(handler)
		local action = provium.pack("u64 u64 u64 u64", handler, 0, 0, 0)

		return vm:syscall_buf("rt_sigaction", 1, action, SIGUSR1, 0, 0, 8)
	end

	assert(vm:exec("true").ok)
	assert_eq(0, set(IGNORED))
	assert_contains(vm:exec("grep SigIgn /proc/self/status").stdout, "0000000000000000")
	assert_eq(0, set(DEFAULT))
end)

test("buffers go there and come back in the order of their arguments", function()
	vm:write_file(path("data"), "0123456789")

	local fd = vm:syscall_buf("openat", 1, path("data") .. "\0", -100, 0, 0)

	assert(fd >= 0)

	local count, out = vm:syscall_bufs("read", { [1] = ("\0"):rep(16) }, fd, 0, 16)

	assert_eq(10, count)
	assert_eq("0123456789" .. ("\0"):rep(6), out)
	assert_eq("45678", vm:read_file(fd, { offset = 4, length = 5 }))
	assert_eq(0, vm:syscall("close", fd))

	-- Two buffers: the first of the results is that of the lower index.
	local result, pair, name = vm:syscall_bufs("pipe2", { [0] = provium.pack("i32 i32", 0, 0) }, 0, 0)
	local reader, writer = provium.unpack("i32 i32", pair)

	assert_eq(0, result)
	assert_eq(nil, name)
	assert_eq(3, vm:syscall_buf("write", 1, "abc", writer, 0, 3))
	result, out = vm:syscall_bufs("read", { [1] = "...." }, reader, 0, 4)
	assert_eq(3, result)
	assert_eq("abc.", out)
	vm:syscall("close", reader)
	vm:syscall("close", writer)
	assert_raises(function()
		vm:syscall_bufs("read", { [6] = "x" })
	end, "6 is no argument's index")
end)

test("pointers inside of buffers are made the buffers' addresses", function()
	vm:write_file(path("vector"), "helloworld")

	local fd = vm:syscall_buf("openat", 1, path("vector") .. "\0", -100, 0, 0)
	-- readv: two struct iovec { pointer, length }
	local count, iovec, first, second = vm:syscall_ptr("readv",
		{ [1] = provium.pack("u64 u64 u64 u64", 0, 5, 0, 8) }, {
			{ buf_idx = 1, ptr_offset = 0, data_len = 5, output = true },
			{ buf_idx = 1, ptr_offset = 16, data_len = 8, output = true },
		}, fd, 0, 2)

	assert_eq(10, count)
	assert_eq(32, #iovec)
	assert_eq("hello", first)
	assert_eq("world\0\0\0", second)
	vm:syscall("close", fd)
	-- An input alone does not come back.
	local pipe = select(2, vm:syscall_bufs("pipe2", { [0] = ("\0"):rep(8) }, 0, 0))
	local reader, writer = provium.unpack("i32 i32", pipe)
	local results = { vm:syscall_ptr("writev", { [1] = provium.pack("u64 u64", 0, 3) },
		{ { buf_idx = 1, ptr_offset = 0, data_len = 3, data = "xyz" } }, writer, 0, 1) }

	assert_eq(3, results[1])
	assert_eq(2, #results)
	vm:syscall("close", reader)
	vm:syscall("close", writer)
	assert_raises(function()
		vm:syscall_ptr("writev", { [1] = "12345678" }, { { buf_idx = 1, ptr_offset = 1 } })
	end, "there are no 8 bytes in a buffer of 8")
	assert_raises(function()
		vm:syscall_ptr("writev", { [1] = "12345678" }, { { buf_idx = 0, ptr_offset = 0 } })
	end, "there is no buffer 0")
end)

test("ioctls go by the direction in their number", function()
	local FIONREAD = 0x541b
	local pipe = select(2, vm:syscall_bufs("pipe2", { [0] = ("\0"):rep(8) }, 0, 0))
	local reader, writer = provium.unpack("i32 i32", pipe)

	vm:syscall_buf("write", 1, "12345", writer, 0, 5)

	-- From before the direction bits: with a struct it is both ways.
	local result, out = vm:ioctl(reader, FIONREAD, provium.pack("i32", -1))

	assert_eq(0, result)
	assert_eq(5, (provium.unpack("i32", out)))
	assert_errno("EFAULT", vm:ioctl(reader, FIONREAD))

	-- _IOR('f', 1, long), FS_IOC_GETFLAGS: its size is in its number.
	local fd = vm:syscall_buf("openat", 1, directory .. "\0", -100, 0, 0)

	result, out = vm:ioctl(fd, 0x80086601)
	assert(result == 0 and #out == 8 or result == -25, result)
	-- _IOW: nothing comes back.
	out = select(2, vm:ioctl(fd, 0x40086602, ("\0"):rep(8)))
	assert_eq(nil, out)
	for _, one in ipairs({ reader, writer, fd }) do
		vm:syscall("close", one)
	end
end)

test("a program's calls use what earlier ones have returned and written", function()
	local outcome, fd, text, closed = vm:program(function(p)
		local fd = p:call("openat", -100, path("program"), 66, 384) -- O_RDWR | O_CREAT, 0600
		local size = p:input(provium.pack("u32", 4))
		local buffer = p:output(4)

		p:call("write", fd, p:input("textmore"), size:u32())
		p:call("lseek", fd, 0, 0)
		p:call("read", fd, buffer, 4)

		return fd, buffer, p:call("close", fd)
	end)

	assert(fd >= 3)
	assert_eq("text", text)
	assert_eq(0, closed)
	assert_eq(5, #outcome.results)
	assert(outcome.durations_ns[1] > 0)
	assert_eq("text", vm:read_file(path("program")))
end)

test("a program stops where it is told to, and says where it was interrupted", function()
	local first
	local outcome = vm:program(function(p)
		p:stop_on_error()
		first = p:call("close", 9999)
		p:call("getpid")
	end)

	assert_eq({ -9 }, outcome.results)
	assert_eq(-9, outcome:get(first))

	local call
	outcome = vm:program(function(p)
		call = p:call("ppoll", 0, 0, 0, 0):deadline(0.1)
	end)
	assert_errno("EINTR", outcome.results[1])
	assert_contains(outcome:remarks_of(call).interrupted.syscall, "271")
end)

test("what calls write is told, and memory can be read", function()
	local buffer
	local outcome, pid = vm:program(function(p)
		p:written()
		buffer = p:buffer({ size = 16, output = true, changes = true })
		p:call("getrandom", buffer:at(4), 8, 0)
		return p:call("getpid")
	end)

	assert_eq({ { offset = 4, size = 8 }, cut = false }, outcome:changes_of(buffer))
	assert_eq(vm:agent().pid, pid)

	local address = vm:syscall("mmap", 0, 4096, 3, 0x22, -1, 0)

	assert(address > 0 or address < -4096)
	assert_eq(("\0"):rep(10), vm:read_memory(address, 10))
	assert_eq(0, vm:syscall("munmap", address, 4096))
	assert_raises(function()
		vm:read_memory(address, 10)
	end, { errno_name = "EFAULT" })
end)

test("waiting ends with what the function returns, or with its time", function()
	local tries = 0

	assert_eq("here", vm:wait_until(function()
		tries = tries + 1
		return tries == 3 and "here"
	end, { interval = 0.01 }))
	assert_raises(function()
		vm:wait_until(function() end, { timeout = 0.05, interval = 0.01, desc = "nothing" })
	end, "waiting for nothing")
	assert_raises(function()
		vm:wait_until(function() error("inside") end)
	end, "inside")
end)

test("users are found by number, by name and by their parts", function()
	if vm:syscall("getuid") ~= 0 then
		todo("only root may become another user")
	end
	assert_eq("65534\n", vm:exec("id -u", { user = 65534 }).stdout)
	assert_eq("65534\n", vm:exec("id -u", { user = "nobody" }).stdout)
	assert_eq("7 8 9\n", vm:exec("id -u | tr '\\n' ' '; id -G", { user = { uid = 7, gid = 8,
		groups = { 9 } } }).stdout)
	assert_raises(function()
		vm:exec("id", { user = "nobody-of-that-name" })
	end, "the guest has no user 'nobody-of-that-name'")
end)

test("a connection that was closed says so", function()
	local other = provium.connect(os.getenv("PROVIUM_TEST_ADDRESS"))

	other.connection:close()
	other.connection:close()
	assert_raises(function()
		other:ping()
	end, "the connection has been closed")
end)
