-- Workers: processes and threads with credentials of their own.
local vm = provium.fixture("base")

test("a worker is a process beside the agent", function()
	local worker = vm:spawn()

	assert(worker:syscall("getpid") ~= vm:syscall("getpid"))
	assert_contains(worker:exec("echo child").stdout.value, "child")
	-- Its descriptors are its own.
	local fd = worker:syscall_buf("openat", 1, "/\0", -100, 0, 0)

	assert(fd >= 0)
	assert_errno("EBADF", vm:syscall("close", fd))
	worker:kill()
	assert_raises(function()
		worker:ping()
	end, "closed")
end)

test("a thread shares descriptors, and not credentials", function()
	local thread = vm:spawn({ thread = true })

	assert_eq(vm:syscall("getpid"), thread:syscall("getpid"))
	assert(vm:syscall("gettid") ~= thread:syscall("gettid"))

	local fd = thread:syscall_buf("openat", 1, "/\0", -100, 0, 0)

	assert_eq(0, vm:syscall("close", fd))
	assert_eq(0, thread:syscall("setresuid", 1000, 1000, 1000))
	assert_eq(1000, thread:syscall("getuid"))
	assert_eq(0, vm:syscall("getuid"))
	thread:kill()
end)

test("as runs under credentials, with these capabilities and no others", function()
	local uid, status = vm:as({
		uid = 1000, gid = 100, groups = { 7 }, caps = { "NET_ADMIN", "kill" },
	})(function(worker)
		return worker:syscall("getuid"),
			worker:exec("id -g; id -G; grep CapEff /proc/self/status").stdout
	end)

	assert_eq(1000, uid)
	assert_contains(status, "100\n100 7\n")
	-- CAP_KILL is 5, CAP_NET_ADMIN 12
	assert_contains(status, "CapEff:\t0000000000001020")
	assert_contains(vm:as({ caps = {} })(function(worker)
		return worker:exec("grep CapPrm /proc/self/status").stdout
	end), "0000000000000000")
	assert_raises(function()
		vm:as({ uid = 1, caps = { "FLY" } })(function() end)
	end, "there is no 'FLY'")
	-- What the function raises is raised.
	assert_raises(function()
		vm:as({ uid = 1000 })(function(worker)
			worker:write_file("/etc/shadow", "")
		end)
	end, { errno_name = "EACCES" })
end)

test("one operation under many credentials is a table of errnos", function()
	local seen = provium.matrix(vm, {
		root = {},
		user = { uid = 1000 },
		admin = { uid = 1000, caps = { "SYS_ADMIN" } },
		powerless = { caps = {} },
	}, function(worker)
		return worker:syscall("unshare", 0x20000) -- CLONE_NEWNS
	end)

	assert_eq({ root = "OK", user = "EPERM", admin = "OK", powerless = "EPERM" }, seen)
	assert_contains(tostring(seen), "powerless  EPERM")
end)

test("what an operation leaves behind is told", function()
	vm:ledger(function()
		vm:exec("true")
		vm:syscall("close", vm:syscall_buf("openat", 1, "/\0", -100, 0, 0))
	end)

	local fd
	local problem = assert_raises(function()
		vm:ledger(function()
			fd = vm:syscall_buf("openat", 1, "/etc\0", -100, 0, 0)
			vm:mount("tmpfs", "/mnt", "tmpfs")
			vm:background("sleep 1000", { name = "left" })
		end, { settle = 0 })
	end, { code = "leak" })
	local text = tostring(problem)

	assert_contains(text, "fds: " .. fd .. " -> /etc")
	assert_contains(text, "mounts: ")
	assert_contains(text, "/mnt")
	assert_contains(text, "processes: ")
	vm:job_kill("left")
	vm:umount("/mnt")
	vm:syscall("close", fd)
end)

test("keys and the kernel's memory are looked at too", function()
	local ADD_KEY_SESSION = -3 -- KEY_SPEC_SESSION_KEYRING
	local key

	assert_contains(tostring(assert_raises(function()
		vm:ledger(function()
			key = vm:syscall_bufs("add_key", { [0] = "user\0", [1] = "ledger\0", [2] = "payload" },
				0, 0, 0, 7, ADD_KEY_SESSION)
			assert(key > 0, key)
		end, { settle = 0, slab = false })
	end, { code = "leak" })), "keys: ")
	vm:syscall("keyctl", 3, key) -- KEYCTL_REVOKE

	local create = "mkdir -p /tmp/many; cd /tmp/many; i=0; while [ $i -lt 2000 ]; do : > $i; "
		.. "i=$((i + 1)); done"

	assert_contains(tostring(assert_raises(function()
		vm:ledger(function()
			vm:output(create)
		end, { settle = 0 })
	end, { code = "leak" })), "slab: shmem_inode_cache: ")
	-- One that a test knows of may grow.
	vm:remove("/tmp/many", { recursive = true })
	vm:ledger(function()
		vm:output(create)
	end, { slab = { shmem_inode_cache = 100000 } })
	assert_raises(function()
		vm:ledger(function()
			vm:output("cd /tmp/many; : > one; : > two")
		end, { slab = { shmem_inode_cache = -1 }, settle = 0 })
	end, "slab: shmem_inode_cache")
end)

vm:shutdown()
