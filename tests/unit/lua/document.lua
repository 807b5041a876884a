-- That docs/lua.md and provium.meta.lua have every name of the API, and none besides.
local root = os.getenv("PROVIUM_TEST_SOURCE")

local function read(path)
	local file = assert(io.open(root .. "/" .. path))
	local text = file:read("a")

	file:close()
	return text
end

local manual = read("docs/lua.md")
local meta = read("host/lua/provium.meta.lua")

-- The functions of a class of the guest's, by the names that they have on one.
local function methods(object)
	local names = {}

	while object do
		for name, value in pairs(object) do
			if type(value) == "function" and not name:match("^__") then
				names[name] = true
			end
		end

		local up = getmetatable(object)

		object = up and (type(up.__index) == "table" and up.__index or up ~= object and up) or nil
	end
	return names
end

local vm_names = methods(getmetatable(provium.create({})))

test("every function of the module is in the manual and in the annotations", function()
	local global = { assert = true, assert_eq = true, assert_contains = true, assert_errno = true,
		assert_raises = true, test = true, todo = true }

	for name, value in pairs(provium) do
		local shown = (global[name] and "" or "provium.") .. name

		assert(manual:find(shown .. (type(value) == "function" and "(" or ""), 1, true),
			"docs/lua.md: " .. name)
		assert(global[name] and meta:find("function " .. name .. "(", 1, true)
			or meta:find("function provium." .. name .. "(", 1, true)
			or meta:find("---@field " .. name .. " ", 1, true), "provium.meta.lua: " .. name)
	end
end)

test("every method of guests is in the manual and in the annotations", function()
	for name in pairs(vm_names) do
		assert(manual:find("vm:" .. name .. "(", 1, true), "docs/lua.md: " .. name)
		assert(meta:find("Agent:" .. name .. "(", 1, true) or meta:find("VM:" .. name .. "(", 1, true),
			"provium.meta.lua: " .. name)
	end
end)

test("what the manual and the annotations have is there", function()
	for name in manual:gmatch("vm:([%w_]+)%(") do
		assert(vm_names[name], "docs/lua.md: vm:" .. name)
	end
	for name in meta:gmatch("function Agent:([%w_]+)%(") do
		assert(vm_names[name], "provium.meta.lua: vm:" .. name)
	end
	for name in meta:gmatch("function VM:([%w_]+)%(") do
		assert(vm_names[name], "provium.meta.lua: vm:" .. name)
	end
	for name in manual:gmatch("provium%.([%a_]+)%(") do
		assert(provium[name], "docs/lua.md: provium." .. name)
	end
	for name in meta:gmatch("function provium%.([%w_]+)%(") do
		assert(provium[name], "provium.meta.lua: provium." .. name)
	end
end)
