-- What a command writes is a string of Lua's, so that ==, .. and tostring are a string's, and has
-- the names of Provium's string wrappers beside those of the string library: value, contains(s),
-- starts_with(s) and trim(), called with a dot or with a colon.
local meta = getmetatable("")
local library = meta.__index

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
	return library.find(text, part, 1, true) ~= nil
end

local function starts_with(text, part)
	return library.sub(text, 1, #part) == part
end

local function trim(text)
	return (library.match(text, "^%s*(.-)%s*$"))
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

-- A program that has given strings a metatable of its own keeps it, and gets ours beside it.
if not meta.provium then
	meta.provium = true
	meta.__index = function(text, name)
		local found = library

		if type(library) == "function" then
			found = library(text, name)
		else
			found = library[name]
		end
		if found == nil and extra[name] then
			return extra[name](text)
		end
		return found
	end
end
