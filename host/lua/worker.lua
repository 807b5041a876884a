-- Workers: processes or threads of the agent with credentials of their own.
local _, load = ...

local Agent = load("agent")
local users = load("users")

local Worker = setmetatable({}, { __index = Agent })
Worker.__index = Worker

function Worker.spawn(vm, options)
	local spec = { thread = options.thread, uid = options.uid, gid = options.gid,
		groups = options.groups }

	if options.user ~= nil then
		spec.uid, spec.gid, spec.groups = users.find(vm, options.user)
	end

	local what, connection = vm.connection:spawn(spec)

	return setmetatable({ vm = vm, connection = connection, number = what.number, pid = what.pid,
		tid = what.tid, thread = what.thread }, Worker)
end

-- It ends with its connection; this returns when it is gone.
function Worker:kill()
	self.connection:close()
	self.vm.connection:worker_kill(self.number)
end

-- Each connection is told of the kernel's reports; it is the guest's that count.
function Worker:kernel_events()
	return self.vm:kernel_events()
end

return Worker
