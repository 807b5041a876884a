-- A user of the guest's: by number, by name as its /etc/passwd has it, or as
-- { uid =, gid =, groups = }.
local _, load = ...

local errors = load("errors")

local users = {}

local fields = errors.names("uid gid groups")

-- The fields of the lines of such a file.
local function rows(agent, path)
	local list = {}

	for line in agent:read_file(path):gmatch("[^\n]+") do
		local row = {}

		for field in (line .. ":"):gmatch("([^:]*):") do
			row[#row + 1] = field
		end
		list[#list + 1] = row
	end
	return list
end

local function groups_of(agent, name, gid)
	local groups = { gid }

	for _, row in ipairs(rows(agent, "/etc/group")) do
		for member in (row[4] or ""):gmatch("[^,]+") do
			if member == name and tonumber(row[3]) ~= gid then
				groups[#groups + 1] = math.tointeger(tonumber(row[3]))
			end
		end
	end
	return groups
end

local function by_name(agent, name)
	for _, row in ipairs(rows(agent, "/etc/passwd")) do
		if row[1] == name then
			local uid = math.tointeger(tonumber(row[3]))
			local gid = math.tointeger(tonumber(row[4]))

			if not uid or not gid then
				errors.failf("user '%s': the guest's /etc/passwd is damaged", name)
			end
			return uid, gid, groups_of(agent, name, gid)
		end
	end
	errors.failf("the guest has no user '%s'", name)
end

-- uid, gid, supplementary groups; a number alone is the group as well.
function users.find(agent, user)
	if math.type(user) == "integer" then
		return user, user, {}
	end
	if type(user) == "string" then
		return by_name(agent, user)
	end
	errors.check_fields("user", user, fields)
	return user.uid, user.gid, user.groups
end

return users
