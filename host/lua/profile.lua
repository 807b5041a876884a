-- Profiles: what is booted, by name, in a provium.toml here or above.
local core, load = ...

local errors = load("errors")

local profile = {}

local file_name = "provium.toml"

local string_fields = errors.names([[
	kernel initrd rootfs rootfs_format init append modules_dir root
]])
-- Those that are paths, of the host's.
local paths = { "kernel", "initrd", "rootfs", "modules_dir" }
local fields = errors.names([[
	kernel initrd rootfs rootfs_format init append modules_dir root modules memory cpus
]])

-- In the current directory or the nearest one above that has it; nil: none.
local function find()
	local directory = core.cwd()

	while directory do
		local path = (directory == "/" and "" or directory) .. "/" .. file_name

		if core.readable(path) then
			return path
		end
		directory = directory ~= "/" and (directory:match("^(.+)/[^/]*$") or "/") or nil
	end
	return nil
end

local function absolute(directory, path)
	return path:sub(1, 1) == "/" and path or directory .. "/" .. path
end

local function check(path, name, settings)
	local what = string.format("%s: [profile.%s]", path, name)
	local checked = {}

	errors.check_fields(what, settings, fields)
	for field, value in pairs(settings) do
		if string_fields[field] and type(value) ~= "string" then
			errors.failf("%s: %s: a string is needed, not a %s", what, field, type(value))
		end
		checked[field] = value
	end
	for _, field in ipairs(paths) do
		if checked[field] then
			checked[field] = absolute(path:match("^(.*)/"), checked[field])
		end
	end
	return checked
end

-- The profiles of a file by name.
function profile.read(path)
	local content = core.toml_file(path)
	local found = {}

	for name, settings in pairs(content.profile or {}) do
		found[name] = check(path, name, settings)
	end
	return found
end

-- Those of the file that counts here, and its path.
function profile.all()
	local path = find()

	if not path then
		errors.failf("no %s in %s or above: it names the kernels to boot, as [profile.NAME] with "
			.. "kernel = \"PATH\"", file_name, core.cwd())
	end
	return profile.read(path), path
end

function profile.get(name)
	local found, path = profile.all()

	if not found[name] then
		errors.failf("%s has no [profile.%s]; it has %s", path, tostring(name),
			errors.listed(found))
	end
	return found[name]
end

-- provium.create's argument: a profile's name, or the settings themselves.
function profile.settings(from)
	if type(from) == "string" then
		return profile.get(from), from
	end
	if from == nil then
		return {}, "default"
	end
	errors.check_fields("create", from, fields)
	return from, "unnamed"
end

return profile
