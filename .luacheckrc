-- luacheck: what each file may use beside Lua's own names.
std = "lua54"
max_line_length = 100
-- Types for editors: functions without bodies.
exclude_files = { "host/lua/provium.meta.lua" }
-- suite.lua makes them; a test may hide Lua's own assert.
files["tests"] = {
	read_globals = { "provium", "test", "todo", "assert_eq", "assert_contains", "assert_errno",
		"assert_raises" },
}
-- The names are global on purpose: what a fixture makes so is its own.
files["tests/lua/fixtures"] = { globals = { "kept_fd" } }
files["tests/lua/fixtures.lua"] = { read_globals = { "kept_fd" } }
