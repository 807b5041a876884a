-- What needs no guest: packing, strings, assertions, tests, JSON, profiles.

local function raised(fn, ...)
	local ok, problem = pcall(fn, ...)

	assert(not ok, "no error was raised")
	return tostring(problem)
end

test("pack and unpack are each other's inverse", function()
	local data = provium.pack("u8 i8 u16 i16 u32 i32 u64 i64", 255, -128, 65535, -32768, 0xffffffff,
		-0x80000000, -1, math.mininteger)

	assert_eq(30, #data)
	assert_eq("\xff\x80\xff\xff\x00\x80\xff\xff\xff\xff\x00\x00\x00\x80", data:sub(1, 14))

	local values = { provium.unpack("u8 i8 u16 i16 u32 i32 u64 i64", data) }

	assert_eq({ 255, -128, 65535, -32768, 0xffffffff, -0x80000000, -1, math.mininteger }, values)
end)

test("pack is little-endian and has no padding", function()
	assert_eq("\1\2\0\3\0\0\0", provium.pack("u8 u16 u32", 1, 2, 3))
	assert_eq(1, (provium.unpack("u8", "\1 and more")))
end)

test("pack names the field that is wrong", function()
	assert_contains(raised(provium.pack, "u8 u16", 1, 65536), "field 2 (u16): 65536")
	assert_contains(raised(provium.pack, "u8", 1.5), "field 1 (u8)")
	assert_contains(raised(provium.pack, "u8", "1"), "field 1 (u8): a whole number is needed")
	assert_contains(raised(provium.pack, "u8 f32", 1, 2), "field 2: there is no type 'f32'")
	assert_contains(raised(provium.pack, "u8 u8", 1), "2 fields, and 1 values")
	assert_contains(raised(provium.unpack, "u8 u32", "abc"), "field 2 (u32) needs bytes 2 to 5")
	assert_contains(raised(provium.unpack, "u8"), "a string is needed")
end)

test("strings have the wrappers' names, and stay strings", function()
	local text = "  hello world\n"

	assert_eq(text, text.value)
	assert(text.contains("wor") and text:contains("wor"))
	assert(not text.contains("mars") and not text:contains("mars"))
	assert(text.trim().starts_with("hello") and text:trim():starts_with("hello"))
	assert(not text.trim().starts_with("world"))
	assert_eq("hello world", text.trim())
	assert_eq("HELLO WORLD", text.trim():upper())
	assert(text.trim() == "hello world" and "> " .. text.trim() == "> hello world")
	assert_eq(nil, text.no_such_name)
	-- The string itself is a part of itself.
	assert(text.contains(text) and text:contains(text))
end)

test("assertions tell both values and the line", function()
	local message = raised(assert_eq, 1, 2, "numbers")

	assert_contains(message, "values.lua:")
	assert_contains(message, "numbers: expected 1, got 2")
	assert_contains(raised(assert_eq, "a\n", "b\0"), [[expected "a\n", got "b\x00"]])
	assert_contains(raised(assert_eq, { 1, { a = 2 } }, { 1, { a = 3 } }),
		"expected { 1, { a = 2 } }, got { 1, { a = 3 } }")
	assert_contains(raised(assert_eq, ("x"):rep(100), ("x"):rep(99) .. "y"), "from byte 100 on")
	assert_contains(raised(assert, false, "why"), "why")
	assert_contains(raised(assert, nil), "assertion failed")
	assert_contains(raised(assert_contains, "haystack", "needle", "look"),
		"look: \"needle\" is not in")
	assert_contains(raised(assert_contains, { 1, 2 }, 3), "3 is not in { 1, 2 }")
	assert_contains({ 1, { 2 } }, { 2 })
	assert_eq(3, (select(3, assert(1, 2, 3))))
end)

test("assert_errno takes results, errors, names and numbers", function()
	assert_errno("EPERM", -1)
	assert_errno(1, -1)
	assert_errno("EWOULDBLOCK", -11)
	assert_errno("ENOENT", { errno_name = "ENOENT" })
	assert_contains(raised(assert_errno, "EPERM", 0), "expected EPERM, got success (0)")
	assert_contains(raised(assert_errno, "EPERM", -13, "no"), "no: expected EPERM, got EACCES")
	assert_contains(raised(assert_errno, "EBOGUS", -13), "there is no 'EBOGUS'")
end)

test("assert_raises gives the error, and wants the right one", function()
	local problem = assert_raises(function()
		error("this is it")
	end, "is it")

	assert_contains(problem, "this is it")
	assert_contains(raised(assert_raises, function() end), "no error was raised")
	assert_contains(raised(assert_raises, function()
		error("another")
	end, "this"), "an error with \"this\" was expected")
	assert_raises(function()
		provium.pack("u8", 256)
	end, { code = "invalid" })
end)

test("JSON keeps integers, nulls and nesting", function()
	local value = provium.json_decode(
		[[{"a": [1, 2.5, null, "x\u0000y"], "b": {"c": true}, "n": 9223372036854775807}]])

	assert_eq(1, math.tointeger(value.a[1]))
	assert_eq("integer", math.type(value.a[1]))
	assert_eq(2.5, value.a[2])
	assert_eq(provium.null, value.a[3])
	assert_eq("x\0y", value.a[4])
	assert_eq(true, value.b.c)
	assert_eq(math.maxinteger, value.n)
	assert_eq(7, provium.json_decode("7"))
	assert_contains(raised(provium.json_decode, "{\n\"a\": }"), "line 2, column 6")
	assert_contains(raised(provium.json_decode, ("["):rep(500) .. ("]"):rep(500)), "deeper")
end)

local function in_directory(content, fn)
	local path = os.getenv("PROVIUM_TEST_DIRECTORY") .. "/provium.toml"
	local file = io.open(path, "w")

	file:write(content)
	file:close()
	fn(path)
	os.remove(path)
end

test("profiles are found, and their paths start at their file", function()
	in_directory([[
# comment
[profile.minimal]
kernel = "boot/bzImage" # beside it
initrd = '/abs/rootfs.cpio.gz'
init = "/sbin/init"
append = "loglevel=7"

[profile."odd name"]
kernel = "x"
memory = "1G"
cpus = 2
modules = ["a", "b"]
]], function(path)
		local found = provium.profiles_in(path)

		assert_eq(path:match("^(.*)/") .. "/boot/bzImage", found.minimal.kernel)
		assert_eq("/abs/rootfs.cpio.gz", found.minimal.initrd)
		assert_eq("loglevel=7", found.minimal.append)
		assert_eq({ "a", "b" }, found["odd name"].modules)
		assert_eq(2, found["odd name"].cpus)
	end)
end)

test("a profile that is wrong is told with its place", function()
	in_directory("[profile.x]\nkernel = \n", function(path)
		assert_contains(raised(provium.profiles_in, path), "provium.toml")
	end)
	in_directory("[profile.x]\nkernle = \"y\"\n", function(path)
		assert_contains(raised(provium.profiles_in, path), "[profile.x]: there is no 'kernle'")
	end)
	in_directory("[profile.x]\nkernel = 7\n", function(path)
		assert_contains(raised(provium.profiles_in, path), "kernel: a string is needed")
	end)
	assert_contains(raised(provium.profiles_in, "/nonexistent/provium.toml"), "No such file")
end)

test("what a guest cannot be made of is refused before anything is started", function()
	assert_contains(raised(provium.create, { kernel = "/nonexistent", wheels = 4 }), "no 'wheels'")

	local vm = provium.create({ kernel = "/nonexistent" })

	assert_contains(raised(vm.boot, vm, { memory = "many" }), "memory:")
	assert_contains(raised(vm.boot, vm, { cpus = "two" }), "cpus: a whole number")
	assert_contains(raised(vm.boot, vm, { disks = { { format = "raw" } } }), "disk 1: path")
	assert_contains(raised(vm.boot, vm, { disk = {} }), "there is no 'disk'")
	assert_contains(raised(vm.boot, vm), "/nonexistent")
	assert_contains(raised(vm.shutdown, vm), "has not been booted")
	assert_contains(raised(vm.exec, vm, "true"), "has not been booted")
end)
