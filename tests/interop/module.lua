-- The module as any program in Lua has it: loaded by require, with nothing global. What is loaded
-- comes first, as the directory of provium.so.
package.cpath = arg[1] .. "/?.so"

local provium = require("provium")

assert(provium.version:match("^%d+%.%d+%.%d+$"))
assert(rawget(_G, "provium") == nil and rawget(_G, "test") == nil)
assert(require("provium") == provium)
assert(provium.unpack("u32", provium.pack("u32", 7)) == 7)

local ok, problem = pcall(provium.assert_eq, 1, 2)

assert(not ok and tostring(problem):find("module.lua:%d+: expected 1, got 2"), tostring(problem))
ok, problem = pcall(provium.connect, "agent-unix:/nonexistent/agent")
assert(not ok and tostring(problem):find("/nonexistent/agent"), tostring(problem))
assert(provium.test("a test", function() end))
