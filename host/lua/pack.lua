-- provium.pack and provium.unpack: structs of integers, little-endian and without padding.
local _, load = ...

local errors = load("errors")

local pack = {}

-- How string.pack calls it, and the range of its values.
local types = {
	u8 = { "<I1", 0, 0xff },
	i8 = { "<i1", -0x80, 0x7f },
	u16 = { "<I2", 0, 0xffff },
	i16 = { "<i2", -0x8000, 0x7fff },
	u32 = { "<I4", 0, 0xffffffff },
	i32 = { "<i4", -0x80000000, 0x7fffffff },
	-- All 64 bits: 2^63 and above is the same integer of Lua's as its negative.
	u64 = { "<i8", math.mininteger, math.maxinteger },
	i64 = { "<i8", math.mininteger, math.maxinteger },
}

local function each_field(what, format)
	if type(format) ~= "string" then
		errors.failf("%s: a format such as \"u32 u64\" is needed, not a %s", what, type(format))
	end

	local fields = {}

	for name in format:gmatch("%S+") do
		if not types[name] then
			errors.failf("%s: field %d: there is no type '%s'; there are u8 i8 u16 i16 u32 i32 "
				.. "u64 i64", what, #fields + 1, name)
		end
		fields[#fields + 1] = name
	end
	return fields
end

function pack.pack(format, ...)
	local fields = each_field("pack", format)
	local count = select("#", ...)
	local bytes = {}

	if count ~= #fields then
		errors.failf("pack: \"%s\" has %d fields, and %d values were given", format, #fields, count)
	end
	for i, name in ipairs(fields) do
		local value = (select(i, ...))
		local number = math.tointeger(value)
		local how, least, most = table.unpack(types[name])

		if type(value) ~= "number" or not number then
			errors.failf("pack: field %d (%s): a whole number is needed, not %s", i, name,
				type(value) == "number" and tostring(value) or "a " .. type(value))
		end
		if number < least or number > most then
			errors.failf("pack: field %d (%s): %d is not between %d and %d", i, name, number,
				least, most)
		end
		bytes[i] = string.pack(how, number)
	end
	return table.concat(bytes)
end

-- Bytes behind the last field are left alone: what a call has written may be longer.
function pack.unpack(format, data)
	local fields = each_field("unpack", format)
	local values = {}
	local position = 1

	if type(data) ~= "string" then
		errors.failf("unpack: a string is needed, not a %s", type(data))
	end
	for i, name in ipairs(fields) do
		local how = types[name][1]
		local size = string.packsize(how)

		if position + size - 1 > #data then
			errors.failf("unpack: field %d (%s) needs bytes %d to %d, and there are %d", i, name,
				position, position + size - 1, #data)
		end
		values[i] = string.unpack(how, data, position)
		position = position + size
	end
	return table.unpack(values, 1, #fields)
end

return pack
