-- Commands, their strings, JSON, files, jobs, waiting.
local vm = provium.fixture("base")

test("a result has status and strings", function()
	local r = vm:exec("echo hello; echo trouble >&2; exit 3")

	assert(not r.ok)
	assert_eq(3, r.exit_code)
	assert_eq("hello\n", r.stdout.value)
	assert(r.stdout.contains("ell"))
	assert(r.stdout.starts_with("hel"))
	assert_eq("hello", r.stdout.trim())
	assert_contains(r.stderr.value, "trouble")
	assert_eq("> hello\n", "> " .. r.stdout)
	assert(r.stdout == "hello\n")
	assert_eq("hello\n", tostring(r.stdout))
end)

test("json gives tables", function()
	local data = vm:json([[echo '{"name": "x", "list": [1, 2, {"deep": true}]}']])

	assert_eq("x", data.name)
	assert_eq(true, data.list[3].deep)
	assert_raises(function()
		vm:json("exit 1")
	end)
	assert_raises(function()
		vm:json("echo no json")
	end)
end)

test("files go there and back", function()
	local bytes = {}

	for i = 0, 255 do
		bytes[#bytes + 1] = string.char(i)
	end

	local data = table.concat(bytes):rep(4096)

	vm:write_file("/tmp/binary", data)
	assert(vm:read_file("/tmp/binary") == data, "1 MiB came back otherwise")
	assert_eq(#data, vm:stat("/tmp/binary").size)
	assert_contains(vm:read_file("/proc/version"), "Linux version")
end)

test("a job runs beside the test", function()
	local job = vm:background("sleep 0.3; echo done; exit 4")

	assert(job.id and job.pid)
	assert(vm:job_wait(job).running)
	assert_eq(-1, vm:job_wait(job, 0).exit_code)

	local r = vm:job_wait(job, 30)

	assert(not r.running)
	assert_eq(4, r.exit_code)
	assert_eq("done\n", r.stdout)

	local endless = vm:background("sleep 1000")

	assert_eq(9, vm:job_kill(endless).signal)
end)

test("waiting polls until it is so", function()
	vm:background("sleep 0.3; touch /tmp/ready")
	vm:wait_until(function()
		return vm:exec("test -f /tmp/ready").ok
	end, { timeout = 20, interval = 0.05, desc = "ready" })
end)

test("the kernel's log is a string, and grep's", function()
	assert_contains(vm:dmesg(), "Linux version")
	assert_eq(1, select(2, vm:dmesg("Linux version [0-9]"):gsub("\n", "")))
	vm:exec("echo 'provium: a line of ours' > /dev/kmsg")
	assert_contains(vm:dmesg("provium: "), "a line of ours")
end)

vm:shutdown()
