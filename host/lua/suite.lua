-- Tests of a file: test(), todo(), and running the file as a whole.
local core, load = ...

local errors = load("errors")
local vm = load("vm")

local harness = core.harness

-- directory: of the file that runs, for fixtures and for require.
local suite = { functions = {} }

-- The names of the tests that are running, outermost first.
local running = {}
-- Whether anything of the file has failed.
local failed = false

-- Our own frames, and those below the test's, tell nothing of the test.
local function frames()
	local lines = {}

	for line in debug.traceback("", 3):gmatch("[^\n]+") do
		if line:match("^%s") and not line:match("^%s*provium/") and not line:match("^%s*%[C%]") then
			lines[#lines + 1] = "  " .. line:match("^%s*(.*)$")
		end
	end
	return lines
end

-- Keeps what was raised, with the way there where that is longer than one line.
local function handler(problem)
	local lines = frames()

	return { problem = problem, trace = #lines > 1 and table.concat(lines, "\n") or nil }
end

local function message_of(caught)
	local text = tostring(caught.problem)

	return caught.trace and text .. "\n" .. caught.trace or text
end

local function is_todo(caught)
	return type(caught.problem) == "table" and caught.problem.code == "todo"
end

-- The first line of a report that says what it is.
local function title(event)
	return event.kind .. ": " .. (event.text:match("[^\n]*") or "")
end

-- Faults that the guests' kernels have reported and no test has asked for. The first one's title.
local function unexpected_events()
	local first

	for _, guest in ipairs(vm.all) do
		vm.note_events(guest)
		for _, event in ipairs(guest.events or {}) do
			if event.fault then
				first = first or title(event)
				if harness then
					harness.splat(guest.number, title(event), event.text)
				else
					io.stderr:write(event.text, "\n")
				end
			end
		end
		guest.events = {}
	end
	return first
end

-- Runs fn: "passed", "failed" or "todo", and why.
local function attempt(fn)
	local ok, caught = xpcall(fn, handler)
	local outcome, message = "passed", nil

	if not ok and is_todo(caught) then
		outcome, message = "todo", caught.problem.reason
	elseif not ok then
		outcome, message = "failed", message_of(caught)
	end

	local event = unexpected_events()

	if event then
		message = (message and message .. "\n" or "") .. "the guest's kernel reported a fault: "
			.. event
		outcome = "failed"
	end
	return outcome, message
end

local function tell(name, outcome, message)
	if outcome == "failed" then
		io.stderr:write(string.format("not ok - %s: %s\n", name, message))
	else
		io.stdout:write(string.format("ok - %s%s\n", name, outcome == "todo"
			and " # TODO " .. (message or "") or ""))
	end
end

-- One that fails keeps none of the others from running. Returns whether it has passed.
function suite.functions.test(name, fn)
	if type(name) ~= "string" or type(fn) ~= "function" then
		errors.fail("test: a name and a function are needed")
	end
	running[#running + 1] = name

	local full = table.concat(running, " > ")

	if harness then
		harness.subtest_started(full)
	end

	local outcome, message = attempt(fn)

	running[#running] = nil
	failed = failed or outcome == "failed"
	if harness then
		harness.subtest_ended(full, outcome, message)
	else
		tell(full, outcome, message)
	end
	return outcome ~= "failed"
end

-- Ends the test that it is called in (or the file) as not written yet.
function suite.functions.todo(reason)
	errors.fail("todo" .. (reason and ": " .. reason or ""), { code = "todo", reason = reason })
end

-- Makes the names of tests global.
local function set_globals(provium)
	_G.provium = provium
	package.loaded.provium = provium
	for name, fn in pairs(load("assertions")) do
		if name:match("^assert") then
			_G[name] = fn
		end
	end
	for name, fn in pairs(suite.functions) do
		_G[name] = fn
	end
end

-- Runs a file, ends its guests, and reports. Whether nothing has failed.
function suite.run(provium, path)
	set_globals(provium)
	suite.directory = path:match("^(.*)/[^/]*$") or "."
	package.path = suite.directory .. "/?.lua;" .. package.path

	local outcome, message = attempt(function()
		local chunk, problem = loadfile(path)

		if not chunk then
			error(problem, 0)
		end
		chunk()
	end)

	vm.kill_all()

	local event = unexpected_events()

	if event and outcome ~= "failed" then
		outcome, message = "failed", "the guest's kernel reported a fault: " .. event
	end
	failed = failed or outcome == "failed"
	if harness then
		harness.file_ended(outcome, message)
	elseif outcome == "failed" then
		tell(path, outcome, message)
	end
	return not failed
end

return suite
