-- Errors that the Lua files raise: of the same kind as those of the C functions, and told with the
-- line of the test, not ours.
local core = ...

local errors = {}

-- fields: code and whatever else a test may want to look at.
function errors.fail(message, fields)
	local value = { code = "invalid", message = message }

	for name, field in pairs(fields or {}) do
		value[name] = field
	end
	error(core.error(value), 0)
end

function errors.failf(format, ...)
	errors.fail(string.format(format, ...))
end

-- The keys of a table, as a list for a person to read.
function errors.listed(set)
	local names = {}

	for name in pairs(set) do
		names[#names + 1] = tostring(name)
	end
	table.sort(names)
	return #names > 0 and table.concat(names, ", ") or "none"
end

-- Every field of a table must be one of these names: a misspelt option is not left out silently.
function errors.check_fields(what, options, names)
	if type(options) ~= "table" then
		errors.failf("%s: a table is needed, not a %s", what, type(options))
	end
	for name in pairs(options) do
		if not names[name] then
			errors.failf("%s: there is no '%s'; there are %s", what, tostring(name),
				errors.listed(names))
		end
	end
	return options
end

-- A set of these names, for check_fields.
function errors.names(...)
	local set = {}

	for _, list in ipairs({ ... }) do
		for name in list:gmatch("%S+") do
			set[name] = true
		end
	end
	return set
end

return errors
