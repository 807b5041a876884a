---@meta provium
-- Types of the Lua API for editors (LuaLS): add this file's directory to workspace.library. What each
-- does is in docs/lua.md.

---@alias provium.Command string | string[] | provium.ExecOptions
---@alias provium.User integer | string | provium.Credentials
---@alias provium.Call integer | string

---@class provium.Error
---@field message string
---@field where string
---@field code string
---@field errno? integer
---@field errno_name? string
---@field operation? string
---@field result? provium.Result
---@field left? string[]

---@class provium.Profile
---@field kernel? string
---@field modules_dir? string
---@field modules? string[]
---@field initrd? string
---@field rootfs? string
---@field rootfs_format? "raw" | "qcow2"
---@field root? string
---@field init? string
---@field append? string
---@field memory? string | integer
---@field cpus? integer

---@class provium.Disk
---@field path string
---@field format? "raw" | "qcow2"
---@field readonly? boolean

---@class provium.BootOptions
---@field memory? string | integer
---@field cpus? integer
---@field files? table<string, string>
---@field disks? provium.Disk[]
---@field append? string
---@field modules? string[]
---@field init? string
---@field hold? boolean
---@field accel? "auto" | "kvm" | "tcg"
---@field machine? "q35" | "pc" | "microvm"
---@field vsock? "auto" | "kernel" | "user"
---@field timeout? number
---@field console? string
---@field socket? string

---@class provium.Rlimit
---@field resource integer
---@field soft? integer
---@field hard? integer

---@class provium.ExecOptions
---@field argv? string[]
---@field shell? string
---@field env? table<string, string> | string[]
---@field clear_env? boolean
---@field cwd? string
---@field stdin? string
---@field timeout? number
---@field user? provium.User
---@field on_output? fun(data: string, stream: "stdout" | "stderr")
---@field merge_stderr? boolean
---@field limit? integer
---@field output_limit? integer
---@field nice? integer
---@field rlimits? provium.Rlimit[]
---@field pty? boolean
---@field rows? integer
---@field cols? integer
---@field term? string
---@field kill_scope? "tree" | "cgroup"

---@class provium.JobOptions: provium.ExecOptions
---@field name? string
---@field keep? integer
---@field stream_stdin? boolean

---@class provium.Rusage
---@field user_us integer
---@field system_us integer
---@field max_rss_kib integer
---@field minor_faults integer
---@field major_faults integer
---@field voluntary_switches integer
---@field involuntary_switches integer

-- A string; these names are found on every string while the module is loaded.
---@class provium.Text: string
---@field value string
---@field contains fun(part: string): boolean
---@field starts_with fun(part: string): boolean
---@field trim fun(): string

---@class provium.Result
---@field ok boolean
---@field exit_code integer
---@field stdout provium.Text
---@field stderr provium.Text
---@field signal? integer
---@field core_dumped boolean
---@field timed_out boolean
---@field cancelled boolean
---@field pipes_held boolean
---@field stdout_truncated boolean
---@field stderr_truncated boolean
---@field pid integer
---@field seconds number
---@field rusage provium.Rusage

---@class provium.JobResult: provium.Result
---@field running boolean
---@field stdout_dropped integer
---@field stderr_dropped integer

---@class provium.Job
---@field id integer
---@field pid integer

---@class provium.JobEntry: provium.Job
---@field name? string
---@field running boolean
---@field stdout_bytes integer
---@field stderr_bytes integer

---@class provium.Status
---@field type string
---@field mode integer
---@field size integer
---@field uid integer
---@field gid integer
---@field nlink integer
---@field ino integer
---@field blocks integer
---@field blksize integer
---@field dev_major integer
---@field dev_minor integer
---@field rdev_major integer
---@field rdev_minor integer
---@field attributes integer
---@field mnt_id? integer
---@field atime_ns? integer
---@field btime_ns? integer
---@field ctime_ns? integer
---@field mtime_ns? integer

---@class provium.DirEntry
---@field name string
---@field type string
---@field ino integer

---@class provium.KernelEvent
---@field number integer
---@field kind string
---@field fault boolean
---@field text string
---@field timestamp_us integer
---@field taint_before integer
---@field taint integer
---@field lost integer
---@field running string

---@class provium.Pointer
---@field buf_idx integer
---@field ptr_offset integer
---@field data_len? integer
---@field data? string
---@field output? boolean

---@class provium.IoctlPointer
---@field ptr_offset integer
---@field buf_len? integer
---@field data? string
---@field output? boolean

---@class provium.Argument

---@class provium.BufferOptions
---@field input? string
---@field size? integer
---@field placement? "end" | "start" | "straddle" | "readonly" | "unmapped"
---@field output? boolean
---@field changes? boolean
---@field fill_seed? integer

---@class provium.Buffer: provium.Argument
local Buffer = {}
---@param offset integer
---@return provium.Argument
function Buffer:at(offset) end
---@param offset integer
---@param to provium.Buffer
---@param addend? integer
---@return provium.Buffer
function Buffer:pointer(offset, to, addend) end
---@param offset? integer
---@return provium.Argument
function Buffer:u8(offset) end
Buffer.u16, Buffer.u32, Buffer.u64 = Buffer.u8, Buffer.u8, Buffer.u8
Buffer.i8, Buffer.i16, Buffer.i32, Buffer.i64 = Buffer.u8, Buffer.u8, Buffer.u8, Buffer.u8

---@class provium.CallHandle: provium.Argument
local Call = {}
---@param count integer
---@return provium.CallHandle
function Call:times(count) end
---@param seconds number
---@return provium.CallHandle
function Call:deadline(seconds) end
---@return provium.CallHandle
function Call:stop_on_error() end
---@param number integer
---@return provium.Argument
function Call:plus(number) end

---@class provium.Program
local Program = {}
---@param call provium.Call
---@param ... integer | string | boolean | provium.Argument
---@return provium.CallHandle
function Program:call(call, ...) end
---@param options provium.BufferOptions
---@return provium.Buffer
function Program:buffer(options) end
---@param data string
---@return provium.Buffer
function Program:input(data) end
---@param text string
---@return provium.Buffer
function Program:string(text) end
---@param size integer
---@return provium.Buffer
function Program:output(size) end
---@param data string
---@return provium.Buffer
function Program:inout(data) end
---@param seconds number
function Program:deadline(seconds) end
function Program:stop_on_error() end
function Program:trace() end
function Program:written() end

---@class provium.Outcome
---@field results integer[]
---@field durations_ns integer[]
---@field data table<integer, string>
local Outcome = {}
---@param handle provium.CallHandle | provium.Buffer
---@return integer | string
function Outcome:get(handle) end
---@param call provium.CallHandle
---@return integer
function Outcome:duration_ns(call) end
---@param buffer provium.Buffer
---@return { offset: integer, size: integer }[]
function Outcome:changes_of(buffer) end
---@param call provium.CallHandle
---@return { interrupted: table?, kernel_events: integer[]? }
function Outcome:remarks_of(call) end

---@class provium.Agent
local Agent = {}
---@return table
function Agent:agent() end
---@return table
function Agent:info() end
---@param seconds? number
function Agent:ping(seconds) end
function Agent:release_init() end
---@param seconds? number
---@return number
function Agent:timeout(seconds) end
function Agent:mount_vfs() end
---@generic T
---@param fn fun(): T
---@param options? { timeout: number?, interval: number?, desc: string? }
---@return T
function Agent:wait_until(fn, options) end
---@param seconds number
function Agent:sleep(seconds) end
---@param command provium.Command
---@param options? provium.ExecOptions
---@return provium.Result
function Agent:exec(command, options) end
---@param command provium.Command
---@param options? provium.ExecOptions
---@return provium.Text
function Agent:output(command, options) end
---@param command provium.Command
---@param options? provium.ExecOptions
---@return any
function Agent:json(command, options) end
---@param command provium.Command
---@param options? provium.JobOptions
---@return provium.Job
function Agent:background(command, options) end
---@param job provium.Job | integer | string
---@param seconds? number
---@return provium.JobResult
function Agent:job_wait(job, seconds) end
---@param job provium.Job | integer | string
---@param signal? integer
---@param grace? number
---@return provium.JobResult
function Agent:job_kill(job, signal, grace) end
---@param job provium.Job | integer | string
---@param signal integer
---@param group? boolean
function Agent:job_signal(job, signal, group) end
---@param job provium.Job | integer | string
---@param data string
---@param close? boolean
function Agent:job_write(job, data, close) end
---@return provium.JobEntry[]
function Agent:jobs() end
---@param path string | integer
---@param options? { offset: integer?, length: integer?, limit: integer? }
---@return string
function Agent:read_file(path, options) end
---@param path string | integer
---@param data string
---@param options? table
function Agent:write_file(path, data, options) end
---@param path string | integer
---@param options? { follow: boolean? }
---@return provium.Status
function Agent:stat(path, options) end
---@param path string
---@return boolean
function Agent:exists(path) end
---@param path string
---@return provium.DirEntry[]
function Agent:listdir(path) end
---@param path string
---@param options? { mode: integer?, parents: boolean? }
function Agent:mkdir(path, options) end
---@param path string
---@param options? { recursive: boolean?, missing_ok: boolean? }
function Agent:remove(path, options) end
---@param from string
---@param to string
---@param options? { flags: integer? }
function Agent:rename(from, to, options) end
---@param target string
---@param path string
function Agent:symlink(target, path) end
---@param path string
---@return string
function Agent:readlink(path) end
---@param path string
---@param mode integer
function Agent:chmod(path, mode) end
---@param path string
---@param uid integer
---@param gid integer
---@param options? { follow: boolean? }
function Agent:chown(path, uid, gid, options) end
---@param source? string
---@param target string
---@param fstype? string
---@param options? { flags: integer?, data: string? }
function Agent:mount(source, target, fstype, options) end
---@param target string
---@param options? { flags: integer? }
function Agent:umount(target, options) end
---@param path string | integer
---@param fn fun(data: string, event: "data" | "truncated" | "rotated"): boolean?
---@param options? { from: "end" | "beginning" | integer | nil, timeout: number? }
function Agent:tail(path, fn, options) end
---@param host_path string
---@param guest_path string
---@param options? { sparse: boolean?, exact: boolean?, timeout: number? }
function Agent:push(host_path, guest_path, options) end
---@param guest_path string
---@param host_path string
---@param options? { sparse: boolean?, exact: boolean?, timeout: number? }
function Agent:pull(guest_path, host_path, options) end
---@param call provium.Call
---@param ... integer
---@return integer
function Agent:syscall(call, ...) end
---@param call provium.Call
---@param index integer
---@param data string
---@param ... integer
---@return integer
function Agent:syscall_buf(call, index, data, ...) end
---@param call provium.Call
---@param buffers table<integer, string>
---@param ... integer
---@return integer, string ...
function Agent:syscall_bufs(call, buffers, ...) end
---@param call provium.Call
---@param buffers table<integer, string>
---@param pointers provium.Pointer[]
---@param ... integer
---@return integer, string ...
function Agent:syscall_ptr(call, buffers, pointers, ...) end
---@param fd integer
---@param command integer
---@param data? string | integer
---@return integer, string?
function Agent:ioctl(fd, command, data) end
---@param fd integer
---@param command integer
---@param data string
---@param pointers provium.IoctlPointer[]
---@return integer, string ...
function Agent:ioctl_buf(fd, command, data, pointers) end
---@param address integer
---@param size integer
---@return string
function Agent:read_memory(address, size) end
---@param fn fun(p: provium.Program): ...
---@return provium.Outcome, integer | string ...
function Agent:program(fn) end
---@param pattern? string
---@return string
function Agent:dmesg(pattern) end
---@return provium.KernelEvent[]
function Agent:kernel_events() end
---@param seconds? number
---@return provium.KernelEvent?
function Agent:next_kernel_event(seconds) end
---@param part string
---@param fn fun(vm: provium.Agent)
---@return provium.KernelEvent
function Agent:expect_kernel_event(part, fn) end

---@class provium.Worker: provium.Agent
---@field number integer
---@field pid integer
---@field tid integer
---@field thread boolean
local Worker = {}
function Worker:kill() end

---@class provium.Credentials
---@field uid? integer
---@field gid? integer
---@field groups? integer[]
---@field caps? string[]
---@field user? provium.User
---@field thread? boolean
---@field name? string

---@class provium.LedgerOptions
---@field fds? boolean
---@field processes? boolean
---@field mounts? boolean
---@field modules? boolean
---@field keys? boolean
---@field slab? boolean | table<string, integer>
---@field settle? number

---@class provium.VM: provium.Agent
---@field name string
---@field number integer
local VM = {}
---@param options? provium.BootOptions
---@return provium.VM
function VM:boot(options) end
---@param options? { mode: "poweroff" | "reboot" | "halt" | "panic" | nil, sync: boolean?, timeout: number? }
function VM:shutdown(options) end
function VM:kill() end
---@return { accel: string, vsock: string, panicked: boolean, qemu_pid: integer, console: string }
function VM:describe() end
---@param lines? integer
---@return string
function VM:console_tail(lines) end
---@param options? { thread: boolean?, uid: integer?, gid: integer?, groups: integer[]?, user: provium.User? }
---@return provium.Worker
function VM:spawn(options) end
---@param seconds? number
---@return { number: integer, exit_code: integer, signal: integer, reason: string }?
function VM:next_worker_end(seconds) end
---@param credentials provium.Credentials
---@return fun(fn: fun(worker: provium.Worker): ...): ...
function VM:as(credentials) end
---@param fn fun(vm: provium.VM): ...
---@param options? provium.LedgerOptions
---@return ...
function VM:ledger(fn, options) end

---@class provium
---@field null lightuserdata
---@field version string
provium = {}
---@param profile? string | provium.Profile
---@return provium.VM
function provium.create(profile) end
---@param name string
---@return provium.VM
function provium.fixture(name) end
---@param address string
---@return provium.Agent
function provium.connect(address) end
function provium.shutdown_all() end
---@return table<string, provium.Profile>, string
function provium.profiles() end
---@param path string
---@return table<string, provium.Profile>
function provium.profiles_in(path) end
---@param format string
---@param ... integer
---@return string
function provium.pack(format, ...) end
---@param format string
---@param data string
---@return integer ...
function provium.unpack(format, data) end
---@param number integer
---@return string?
function provium.errno_name(number) end
---@param name string
---@return integer?
function provium.errno_number(name) end
---@param text string
---@return any
function provium.json_decode(text) end
---@param vm provium.VM
---@param list table<string, provium.Credentials>
---@param fn fun(worker: provium.Worker, credentials: provium.Credentials): any
---@return table<string, string>
function provium.matrix(vm, list, fn) end
---@param value any
---@return string
function provium.inspect(value) end
---@return number
function provium.now() end

---@generic T
---@param condition T
---@param message? any
---@return T
function assert(condition, message, ...) end
---@param expected any
---@param actual any
---@param message? string
function assert_eq(expected, actual, message) end
---@param haystack string | table
---@param needle any
---@param message? string
function assert_contains(haystack, needle, message) end
---@param expected string | integer
---@param actual integer | provium.Error
---@param message? string
function assert_errno(expected, actual, message) end
---@param fn fun()
---@param expected? string | table
---@param message? string
---@return any
function assert_raises(fn, expected, message) end
---@param name string
---@param fn fun()
---@return boolean
function test(name, fn) end
---@param reason? string
function todo(reason) end

provium.assert, provium.assert_eq, provium.assert_contains = assert, assert_eq, assert_contains
provium.assert_errno, provium.assert_raises = assert_errno, assert_raises
provium.test, provium.todo = test, todo

return provium
