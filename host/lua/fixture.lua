-- Fixtures: guests that were set up once, by fixtures/NAME.lua, and are resumed for each who asks.
local core, load = ...

local errors = load("errors")
local suite = load("suite")
local vm = load("vm")

local fixture = {}

local harness = core.harness

-- Snapshots by the path of their file, where there is no runner that keeps them.
local kept = {}
-- Paths of those that are being built, in the order in which they began.
local building = {}

-- fixtures/NAME.lua beside the file that runs or in a directory above, or in tests/ of the current
-- one.
local function find(name)
	local tried = {}
	local directory = core.realpath(suite.directory or ".")

	if type(name) ~= "string" or not name:match("^[%w_.-][%w_./-]*$") or name:find("..", 1, true) then
		errors.failf("fixture: '%s' is no name of one", tostring(name))
	end
	while directory and directory ~= "" do
		tried[#tried + 1] = directory .. "/fixtures/" .. name .. ".lua"
		directory = directory:match("^(.*)/[^/]*$")
	end
	tried[#tried + 1] = core.cwd() .. "/fixtures/" .. name .. ".lua"
	tried[#tried + 1] = core.cwd() .. "/tests/fixtures/" .. name .. ".lua"
	for _, path in ipairs(tried) do
		if core.readable(path) then
			return core.realpath(path)
		end
	end
	errors.failf("fixture '%s': there is no %s, nor in the directories above", name, tried[1])
end

-- Its own globals, so that a file that builds one and a file that does not see the same.
local function run_file(path)
	local chunk, problem = loadfile(path, "t", setmetatable({}, { __index = _G }))

	if not chunk then
		error(problem, 0)
	end
	chunk()
end

-- Runs the file and saves the last guest that it has made; the others end.
local function build(path)
	local before = #vm.all
	local ok, problem = pcall(run_file, path)
	local last

	for i = before + 1, #vm.all do
		local guest = vm.all[i]

		if guest.handle and not guest.ended then
			if last then
				last:kill()
			end
			last = guest
		end
	end
	if not ok then
		if last then
			last:kill()
		end
		error(problem, 0)
	end
	if not last then
		errors.failf("fixture: %s has left no guest that runs", path)
	end
	return vm.save(last)
end

local function build_once(path)
	for _, other in ipairs(building) do
		if other == path then
			errors.failf("fixture: %s needs itself: %s", path, table.concat(building, " -> "))
		end
	end
	building[#building + 1] = path

	local ok, result = pcall(build, path)

	building[#building] = nil
	if harness then
		harness.fixture_built(path, ok and result or nil, not ok and tostring(result) or nil)
	elseif ok then
		kept[path] = result
	end
	if not ok then
		error(result, 0)
	end
	return result
end

-- A guest of its own for the caller, as the fixture's file left it.
function fixture.get(name)
	local path = find(name)
	local snapshot

	if harness then
		snapshot = harness.fixture(path)
	else
		snapshot = kept[path]
	end
	return vm.resume(snapshot or build_once(path), name)
end

return fixture
