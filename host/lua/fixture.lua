-- Fixtures: guests that were set up once.
local _, load = ...

local errors = load("errors")

local fixture = {}

function fixture.get(name)
	errors.failf("fixture '%s': not yet", name)
end

return fixture
