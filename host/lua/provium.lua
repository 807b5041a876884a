-- The module's table. Each of our files is called with the C functions and with what loads the
-- others.
local core, load = ...

local check = load("check")
local fixture = load("fixture")
local vm = load("vm")

load("text")

local provium = {
	-- What JSON's null is, since a table's nil is nothing.
	null = core.null,
	version = core.version,
	connect = vm.connect,
	create = vm.create,
	errno_name = core.errno_name,
	errno_number = core.errno_number,
	fixture = fixture.get,
	json_decode = core.json_decode,
	matrix = check.matrix,
	now = core.now,
	pack = load("pack").pack,
	unpack = load("pack").unpack,
	shutdown_all = vm.shutdown_all,
	profiles = load("profile").all,
	profiles_in = load("profile").read,
}

-- What `provium test` makes global; a program that requires the module takes what it wants.
for name, value in pairs(load("assertions")) do
	provium[name] = value
end
for name, value in pairs(load("suite").functions) do
	provium[name] = value
end

return provium
