-- Booting with hardware, files and disks.
local function disk(text)
	local path = os.tmpname()
	local file = assert(io.open(path, "w"))

	file:write(text)
	file:seek("set", (1 << 20) - 1)
	file:write("\0")
	file:close()
	return path
end

local writable = disk("first bytes of the disk")
local readonly = disk("another disk's")

for _, profile in ipairs({ "minimal", "newer" }) do
	test(profile .. " boots with memory, processors, files and disks", function()
		local vm = provium.create(profile)

		vm:boot({
			memory = "512M",
			cpus = 2,
			-- Both are there and one is used: QEMU's emulation of two can crash a kernel that
			-- changes its own code (docs/kernels.md).
			append = "maxcpus=1",
			files = { ["/etc/injected"] = "provium.toml" },
			disks = { { path = writable, format = "raw" }, { path = readonly, readonly = true } },
		})
		vm:mount_vfs()

		local r = vm:exec("uname -r")

		assert(r.ok, "uname failed")
		assert_contains(r.stdout.value, profile == "minimal" and "6.1." or "6.12.")
		assert_eq("0-1", vm:read_file("/sys/devices/system/cpu/present").trim())
		assert_contains(vm:read_file("/etc/injected"), "[profile.minimal]")
		assert_eq("first bytes", vm:read_file("/dev/vda", { length = 11 }))
		assert_eq("another", vm:read_file("/dev/vdb", { length = 7 }))
		assert_raises(function()
			vm:write_file("/dev/vdb", "x", { no_create = true })
		end)
		-- What the guest writes is in the file when it is gone.
		vm:write_file("/dev/vda", profile, { offset = 4096 })
		vm:shutdown()

		local file = assert(io.open(writable))

		file:seek("set", 4096)
		assert_eq(profile, file:read(#profile))
		file:close()
	end)
end

test("a guest that cannot boot says why", function()
	local vm = provium.create("minimal")

	assert_raises(function()
		vm:boot({ init = "/no/such/init" })
	end, "/no/such/init")
	assert_raises(function()
		provium.create("nonexistent")
	end, "no [profile.nonexistent]; it has minimal, newer")
end)

test("a guest that panics is gone at once", function()
	local vm = provium.fixture("base")

	assert_raises(function()
		vm:exec("echo c > /proc/sysrq-trigger; sleep 100")
	end, { code = "vm_gone" })
	assert(vm:describe().panicked)
	assert_contains(vm:console_tail(200), "sysrq triggered crash")
	vm:kernel_events()
	vm:shutdown()
end)

test("a guest that answers nothing is killed at once", function()
	local vm = provium.fixture("base")

	os.execute("kill -STOP " .. vm:describe().qemu_pid)

	local begin = provium.now()

	vm:kill()
	-- A request would wait for six minutes.
	assert(provium.now() - begin < 60, "it was waited for")
end)

test("a guest that has fallen silent holds its test up for no more than seconds", function()
	local vm = provium.fixture("base")
	local pid = vm:describe().qemu_pid
	local begin = provium.now()

	test("within", function()
		os.execute("kill -STOP " .. pid)
	end)
	test("again", function() end)
	assert(provium.now() - begin < 120, "it was waited for")
	os.execute("kill -CONT " .. pid)
	vm:shutdown()
end)

os.remove(writable)
os.remove(readonly)
