-- What a command writes is a string of Lua's, so that ==, .. and tostring are a string's, and has
-- the names of Provium's string wrappers beside those of the string library: value, contains(s),
-- starts_with(s) and trim(), called with a dot or with a colon.
local meta = getmetatable("")
local previous = meta.__index
local find, match, sub = string.find, string.match, string.sub

-- s.contains(x) and s:contains(x): the string itself may come first.
local function method(text, fn)
	return function(first, ...)
		if select("#", ...) > 0 and first == text then
			return fn(text, ...)
		end
		return fn(text, first)
	end
end

local function contains(text, part)
	return find(text, part, 1, true) ~= nil
end

local function starts_with(text, part)
	return sub(text, 1, #part) == part
end

local function trim(text)
	return (match(text, "^%s*(.-)%s*$"))
end

local extra = {
	value = function(text)
		return text
	end,
	contains = function(text)
		return method(text, contains)
	end,
	starts_with = function(text)
		return method(text, starts_with)
	end,
	trim = function(text)
		return function()
			return trim(text)
		end
	end,
}

-- What a program has put there before is found first.
if not meta.provium then
	meta.provium = true
	meta.__index = function(text, name)
		local found

		if type(previous) == "function" then
			found = previous(text, name)
		else
			found = previous[name]
		end
		if found == nil and extra[name] then
			return extra[name](text)
		end
		return found
	end
end
