-- What the kernel says: of a module that complains on demand.
local module = os.getenv("PROVIUM_TEST_KMOD")

if not module then
	todo("PROVIUM_TEST_KMOD names no module")
end

local vm = provium.fixture("base")

-- _IOW('p', 0x70, struct { u32 kind; u32 later_ms; }); kind 0: WARN()
local SPLAT = 0x40087070

vm:push(module, "/tmp/provium_test.ko")
-- What loading it taints is told, and no fault; and that it has stayed.
assert_raises(function()
	vm:ledger(function()
		vm:output("insmod /tmp/provium_test.ko")
	end, { settle = 0, slab = false })
end, "modules: provium_test")

local fd = vm:syscall_buf("openat", 1, "/dev/provium-test\0", -100, 2, 0)

assert(fd >= 0, "the module's device: " .. fd)

test("a report that is expected fails nothing", function()
	local event = vm:expect_kernel_event("warning", function()
		assert_eq(0, (vm:ioctl(fd, SPLAT, provium.pack("u32 u32", 0, 0))))
	end)

	assert_contains(event.text, "provium_test")
	assert(event.fault)
	assert_eq({}, vm:kernel_events())
end)

test("a report that was asked for fails nothing", function()
	vm:ioctl(fd, SPLAT, provium.pack("u32 u32", 0, 0))

	local events = vm:kernel_events()

	assert_eq(1, #events)
	assert_eq("warning", events[1].kind)
end)

test("a report that does not come is told", function()
	assert_raises(function()
		vm:expect_kernel_event("KASAN", function() end)
	end, "no 'KASAN'")
end)

test("a report that comes later is waited for", function()
	vm:ioctl(fd, SPLAT, provium.pack("u32 u32", 0, 100))
	assert_eq("warning", vm:next_kernel_event(30).kind)
end)

test("a call of a program is charged with its own report", function()
	local call
	local outcome = vm:program(function(p)
		p:call("getpid")
		call = p:call("ioctl", fd, SPLAT, p:input(provium.pack("u32 u32", 0, 0)))
	end)

	assert_eq(1, #outcome:remarks_of(call).kernel_events)
	assert_eq(vm:kernel_events()[1].number, outcome:remarks_of(call).kernel_events[1])
end)

vm:shutdown()
