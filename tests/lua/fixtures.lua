-- Guests resumed from fixtures.
test("a resumed guest is as the fixture has left it", function()
	local vm = provium.fixture("prepared")

	assert_eq("by the fixture\n", vm:read_file("/tmp/prepared"))
	assert_eq("inner", vm:read_file("/mnt/inner/file"))

	-- The server's descriptor is still open, and the job goes on.
	local fd = math.tointeger(tonumber(vm:read_file("/tmp/fd")))

	assert_eq("by the fixture\n", vm:read_file(fd, { offset = 0, length = 100 }))
	assert_eq("ticker", vm:jobs()[1].name)

	local ticks = tonumber(vm:read_file("/tmp/ticks"))

	vm:wait_until(function()
		return (tonumber(vm:read_file("/tmp/ticks")) or 0) > ticks + 1
	end, { timeout = 30, interval = 0.05, desc = "the job's next tick" })
	-- The worker has ended with its connection.
	assert_eq(0, vm:info().workers)
	assert_eq(nil, kept_fd, "a fixture's globals are its own")
	vm:shutdown()
end)

test("two guests of one fixture are independent", function()
	local one = provium.fixture("base")
	local two = provium.fixture("base")

	one:write_file("/tmp/id", "one")
	two:write_file("/tmp/id", "two")
	assert_eq("one", one:read_file("/tmp/id"))
	assert_eq("two", two:read_file("/tmp/id"))

	-- Neither the clock's state nor the random numbers are the other's.
	local random = function(vm)
		return vm:read_file("/dev/urandom", { length = 16 })
	end

	assert(random(one) ~= random(two), "the same random bytes in both")
	for _, vm in ipairs({ one, two }) do
		assert(math.abs(tonumber(vm:exec("date +%s").stdout) - os.time()) <= 2)
	end
	provium.shutdown_all()
end)

test("a fixture that cannot be built says why to everyone who asks", function()
	for _ = 1, 2 do
		assert_raises(function()
			provium.fixture("broken")
		end, "/nonexistent")
	end
	assert_raises(function()
		provium.fixture("missing")
	end, "fixtures/missing.lua")
	assert_raises(function()
		provium.fixture("endless_a")
	end, "endless_b")
end)
