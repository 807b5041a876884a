-- Assertions. Their failures are told with the line of the test.
local core, load = ...

local errors = load("errors")

local assertions = {}

-- What a failure shows of a string or a list.
local max_shown = 2000

local function quote(text)
	local shown = text:sub(1, max_shown)

	shown = shown:gsub("[%c\x7f-\xff\\\"]", function(byte)
		local known = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ["\\"] = "\\\\",
			["\""] = "\\\"" }

		return known[byte] or string.format("\\x%02x", byte:byte())
	end)
	return '"' .. shown .. '"' .. (#text > max_shown and string.format("... (%d bytes)", #text) or "")
end

local function sorted_keys(value)
	local keys = {}

	for key in pairs(value) do
		keys[#keys + 1] = key
	end
	table.sort(keys, function(a, b)
		if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
			return a < b
		end
		return tostring(a) < tostring(b)
	end)
	return keys
end

local function show(value, depth)
	depth = depth or 0
	if type(value) == "string" then
		return quote(value)
	end
	if type(value) ~= "table" or (getmetatable(value) or {}).__tostring or depth > 4 then
		return tostring(value)
	end

	local parts = {}

	for _, key in ipairs(sorted_keys(value)) do
		local name = type(key) == "string" and key:match("^[%a_][%w_]*$") or "[" .. show(key) .. "]"

		if math.type(key) == "integer" and key >= 1 and key <= #value then
			parts[#parts + 1] = show(value[key], depth + 1)
		else
			parts[#parts + 1] = name .. " = " .. show(value[key], depth + 1)
		end
	end
	return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

local function same(a, b)
	if a == b then
		return true
	end
	if type(a) ~= "table" or type(b) ~= "table" then
		return false
	end
	for key, value in pairs(a) do
		if not same(value, b[key]) then
			return false
		end
	end
	for key in pairs(b) do
		if a[key] == nil then
			return false
		end
	end
	return true
end

local function fail(message, text)
	errors.fail(message ~= nil and tostring(message) .. ": " .. text or text,
		{ code = "assertion" })
end

-- As Lua's own: what it was given where it holds.
function assertions.assert(...)
	local condition, message = ...

	if select("#", ...) == 0 then
		errors.fail("assert: a condition is needed")
	end
	if condition then
		return ...
	end
	-- What a call has failed with, as the second value, is told as it is.
	if type(message) == "table" and message.message then
		error(message, 0)
	end
	errors.fail(message ~= nil and tostring(message)
		or "assertion failed: the condition is " .. tostring(condition), { code = "assertion" })
end

-- Where two strings are long, the place is told from which on they are not the same.
local function difference(expected, actual)
	if type(expected) ~= "string" or type(actual) ~= "string"
		or math.max(#expected, #actual) < 60 then
		return ""
	end

	local i = 1

	while expected:byte(i) == actual:byte(i) do
		i = i + 1
	end
	return string.format("\nthey differ from byte %d on: %s and %s", i,
		quote(expected:sub(i, i + 39)), quote(actual:sub(i, i + 39)))
end

-- Tables are the same where their content is.
function assertions.assert_eq(expected, actual, message)
	if not same(expected, actual) then
		fail(message, string.format("expected %s, got %s%s", show(expected), show(actual),
			difference(expected, actual)))
	end
end

-- A part of a string, or an element of a list.
function assertions.assert_contains(haystack, needle, message)
	if type(haystack) == "table" then
		for _, element in ipairs(haystack) do
			if same(element, needle) then
				return
			end
		end
	elseif type(haystack) ~= "string" or type(needle) ~= "string" then
		fail(message, string.format("a %s cannot contain a %s", type(haystack), type(needle)))
	elseif haystack:find(needle, 1, true) then
		return
	end
	fail(message, string.format("%s is not in %s", show(needle), show(haystack)))
end

local function errno_name(value)
	local number = math.tointeger(value)

	if type(value) == "table" then
		return value.errno_name or (value.errno and tostring(value.errno)) or tostring(value)
	end
	if not number or number >= 0 then
		return "success (" .. show(value) .. ")"
	end
	return core.errno_name(-number) or tostring(-number)
end

-- expected: "EPERM" or 1. actual: what a system call has returned, or an error that was caught.
function assertions.assert_errno(expected, actual, message)
	local wanted = type(expected) == "number" and (core.errno_name(math.abs(expected)) or expected)
		or expected

	-- Numbers of the same meaning have one name here.
	if type(wanted) == "string" then
		local number = core.errno_number(wanted)

		if not number then
			errors.failf("assert_errno: there is no '%s'", wanted)
		end
		wanted = core.errno_name(number)
	end
	if errno_name(actual) ~= wanted then
		fail(message, string.format("expected %s, got %s", wanted, errno_name(actual)))
	end
end

-- fn must raise an error: with this in its text, or with these fields. Returns the error.
function assertions.assert_raises(fn, expected, message)
	local ok, problem = pcall(fn)

	if ok then
		fail(message, "no error was raised")
	end
	if type(problem) == "table" and problem.code == "todo" then
		error(problem, 0)
	end
	if type(expected) == "string" and not tostring(problem):find(expected, 1, true) then
		fail(message, string.format("an error with %s was expected, not %s", quote(expected),
			quote(tostring(problem))))
	end
	for name, value in pairs(type(expected) == "table" and expected or {}) do
		if type(problem) ~= "table" or problem[name] ~= value then
			fail(message, string.format("an error with %s = %s was expected, not %s", name,
				show(value), quote(tostring(problem))))
		end
	end
	return problem
end

-- For messages of tests: any value in one line.
assertions.inspect = show

return assertions
