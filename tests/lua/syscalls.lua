-- Raw system calls: structs, buffers, pointers, ioctls.
local vm = provium.fixture("base")

local AT_FDCWD = -100

test("calls return what the kernel returns", function()
	local pid = vm:syscall(39)

	assert(pid > 0)
	assert_eq(pid, vm:syscall("getpid"))
	assert_errno("EINVAL", vm:syscall("unshare", 0xff))
	assert_eq(-22, vm:syscall("unshare", 0xff), "expected EINVAL")
end)

test("a struct is packed, passed, and unpacked", function()
	-- struct timespec
	local result, now = vm:syscall_bufs("clock_gettime", { [1] = provium.pack("i64 i64", 0, 0) }, 0)
	local seconds, nanoseconds = provium.unpack("i64 i64", now)

	assert_eq(0, result)
	assert(math.abs(seconds - os.time()) <= 5, "the guest's clock is the host's")
	assert(nanoseconds >= 0 and nanoseconds < 1000000000)
end)

test("a path goes in and a struct comes out", function()
	local fd = vm:syscall_buf("openat", 1, "/tmp/pointer\0", AT_FDCWD, 0, 66, 384)

	assert(fd >= 3, "openat: " .. fd)
	-- writev: struct iovec { u64 base; u64 length; } with the base patched
	assert_eq(5, (vm:syscall_ptr("writev", { [1] = provium.pack("u64 u64", 0, 5) },
		{ { buf_idx = 1, ptr_offset = 0, data_len = 5, data = "bytes" } }, fd, 0, 1)))
	assert_eq("bytes", vm:read_file("/tmp/pointer"))

	local result, iovec, out = vm:syscall_ptr("preadv", { [1] = provium.pack("u64 u64", 0, 5) },
		{ { buf_idx = 1, ptr_offset = 0, data_len = 5, output = true } }, fd, 0, 1, 0)

	assert_eq(5, result)
	assert_eq(16, #iovec)
	assert_eq("bytes", out)
	vm:syscall("close", fd)
end)

test("ioctls with a struct, and with a pointer in it", function()
	-- SIOCGIFCONF: struct ifconf { i32 length; u32 pad; u64 pointer; }
	local fd = vm:syscall("socket", 2, 2, 0)
	local result, struct, list = vm:ioctl_buf(fd, 0x8912, provium.pack("i32 u32 u64", 400, 0, 0),
		{ { ptr_offset = 8, buf_len = 400, output = true } })

	assert_eq(0, result)
	assert_eq(400, #list)
	assert_eq(16, #struct)
	-- SIOCGIFFLAGS of lo
	local flags
	result, flags = vm:ioctl(fd, 0x8913, "lo" .. ("\0"):rep(38))
	assert_eq(0, result)
	assert((provium.unpack("u16", flags:sub(17))) & 8 ~= 0, "lo has IFF_LOOPBACK")
	vm:syscall("close", fd)

	-- _IOWR of a random device: RNDGETENTCNT is _IOR('R', 0, int)
	fd = vm:syscall_buf("openat", 1, "/dev/urandom\0", AT_FDCWD, 0, 0)
	result, struct = vm:ioctl(fd, 0x80045200)
	assert_eq(0, result)
	assert((provium.unpack("i32", struct)) >= 0)
	vm:syscall("close", fd)
end)

test("a program of calls is one request", function()
	local outcome, text = vm:program(function(p)
		local fd = p:call("openat", AT_FDCWD, "/proc/sys/kernel/ostype", 0)
		local buffer = p:output(16)

		p:call("read", fd, buffer, 16)
		p:call("close", fd)
		return buffer
	end)

	assert_eq(6, outcome.results[2])
	assert_eq("Linux\n", text:sub(1, 6))
end)

test("a call that blocks is interrupted, and told where", function()
	local call
	local outcome = vm:program(function(p)
		call = p:call("pause"):deadline(0.2)
	end)

	assert_errno("EINTR", outcome:get(call))
	assert_contains(outcome:remarks_of(call).interrupted.syscall, "34")
end)

vm:shutdown()
