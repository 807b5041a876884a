"""A virtual machine with provium-vsock as its vsock device: what the test needs of one."""

import json
import lzma
import os
import socket
import subprocess
import tempfile
import time

import image

GUEST_CID = 42


class Failure(Exception):
    """What was expected did not happen."""


def modules_in_order(directory, names):
    """The files of the named modules and of what they need, dependencies first; built-in: none."""
    needs, by_name = {}, {}
    with open(os.path.join(directory, "modules.dep"), encoding="ascii") as lines:
        for line in lines:
            path, _, rest = line.strip().partition(":")
            needs[path] = rest.split()
            by_name[os.path.basename(path).split(".")[0].replace("-", "_")] = path
    ordered = []

    def add(path):
        for needed in needs[path]:
            add(needed)
        if path not in ordered:
            ordered.append(path)

    for name in names:
        if name in by_name:
            add(by_name[name])
    return ordered


def initramfs(guest, modules):
    """An archive with the guest program as init, and the modules it is to load."""
    files = {"dev": None}
    with open(guest, "rb") as program:
        files["init"] = program.read()
    wanted = ["virtio_pci", "vmw_vsock_virtio_transport", "vsock_loopback"]
    listing = ""
    for index, path in enumerate(modules_in_order(modules, wanted)):
        with open(os.path.join(modules, path), "rb") as module:
            data = module.read()
        if path.endswith(".xz"):
            data = lzma.decompress(data)
        files["module-%d" % index] = data
        listing += "/module-%d\n" % index
    files["modules"] = listing.encode()
    return image.archive(files)


class Machine:
    """One QEMU and one provium-vsock, with their sockets in a directory that goes with them."""

    def __init__(self, kernel, guest, program, arguments=()):
        self.directory = tempfile.TemporaryDirectory(prefix="provium-vsock-test-")
        self.program = self.qemu = self.monitor = None
        self.console = self.path("console")
        with open(self.path("initramfs"), "wb") as archive:
            archive.write(initramfs(guest, os.path.join(kernel, "modules")))
        # An end of file there ends the program, should this script die.
        life, self.life = os.pipe()
        self.log = open(self.path("log"), "w+", encoding="utf-8")
        try:
            self.start_program(program, life, arguments)
            self.start_qemu(os.path.join(kernel, "vmlinuz"))
        except BaseException:
            self.close()
            raise

    def start_program(self, program, life, arguments):
        self.program = subprocess.Popen(
            [program, "--guest-cid=%d" % GUEST_CID, "--socket", self.path("vhost"),
             "--uds-path", self.path("vsock"), "--life-fd=%d" % life, *arguments],
            stderr=self.log, pass_fds=[life])
        os.close(life)
        self.wait_for(lambda: os.path.exists(self.path("vhost")), "provium-vsock's socket")

    def start_qemu(self, kernel):
        # It goes when this script does, however that ends.
        self.qemu = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults",
             "-no-user-config", "-display", "none", "-no-reboot",
             "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "256M",
             "-object", "memory-backend-memfd,id=mem0,size=256M,share=on",
             "-machine", "q35,memory-backend=mem0",
             "-kernel", kernel, "-initrd", self.path("initramfs"),
             "-append", "console=ttyS0 quiet panic=-1",
             "-serial", "file:" + self.console,
             "-qmp", "unix:%s,server=on,wait=off" % self.path("qmp"),
             "-chardev", "socket,id=c0,path=" + self.path("vhost"),
             "-device", "pcie-root-port,id=rp0,chassis=1,slot=1",
             "-device", "vhost-user-vsock-pci,chardev=c0,bus=rp0,id=vs0"],
            stderr=self.log)
        self.monitor = socket.socket(socket.AF_UNIX)
        self.wait_for(self.monitor_answers, "QEMU's monitor")
        self.monitor.settimeout(20)
        self.lines = self.monitor.makefile("r", encoding="utf-8")
        self.lines.readline()
        self.command("qmp_capabilities")
        self.wait_for(lambda: "guest: ready" in self.console_text(), "the guest", 60)

    def monitor_answers(self):
        return self.monitor.connect_ex(self.path("qmp")) == 0

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def console_text(self):
        try:
            with open(self.console, encoding="utf-8", errors="replace") as console:
                return console.read()
        except FileNotFoundError:
            return ""

    def log_text(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait_for(self, condition, what, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            for process in (self.program, self.qemu):
                if process and process.poll() is not None:
                    raise Failure("%s ended (%d) before %s was there\n%s%s" %
                                  (process.args[0], process.returncode, what, self.log_text(),
                                   self.console_text()))
            if time.monotonic() > end:
                raise Failure("%s was not there after %d seconds" % (what, seconds))
            time.sleep(0.01)

    def command(self, name, event=None, **arguments):
        """Executes a QMP command; with event, a function, waits for one that it accepts too."""
        text = json.dumps({"execute": name, "arguments": arguments})
        self.monitor.sendall(text.encode() + b"\n")
        result = None
        while result is None or event:
            message = json.loads(self.lines.readline())
            if "error" in message:
                raise Failure("%s: %s" % (name, message["error"]["desc"]))
            if "return" in message:
                result = message["return"]
            elif event and event(message):
                event = None
        return result

    def connect(self, port, timeout=30):
        """A stream to the guest's port."""
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(timeout)
        stream.connect(self.path("vsock"))
        stream.sendall(b"CONNECT %d\n" % port)
        answer = read_line(stream)
        if not answer.startswith(b"OK "):
            stream.close()
            raise ConnectionRefusedError("CONNECT %d: %r" % (port, answer))
        return stream

    def ask(self, port, request=b""):
        """Connects, sends a request, returns the whole answer."""
        with self.connect(port) as stream:
            if request:
                stream.sendall(request)
            return read_all(stream).decode().split()

    def program_status(self):
        """Resident memory in KiB and open fds of provium-vsock."""
        base = "/proc/%d/" % self.program.pid
        with open(base + "status", encoding="ascii") as status:
            resident = next(line for line in status if line.startswith("VmRSS"))
        return int(resident.split()[1]), len(os.listdir(base + "fd"))

    def program_seconds(self):
        """Processor time that provium-vsock has taken."""
        with open("/proc/%d/stat" % self.program.pid, encoding="ascii") as status:
            fields = status.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        for process in (self.qemu, self.program):
            if process and process.poll() is None:
                process.kill()
            if process:
                process.wait()
        for thing in (self.monitor, self.log):
            if thing:
                thing.close()
        os.close(self.life)
        self.directory.cleanup()


def read_line(stream):
    """A line, and no byte beyond it; less when the stream ends."""
    line = b""
    while not line.endswith(b"\n"):
        byte = stream.recv(1)
        if not byte:
            break
        line += byte
    return line


def read_all(stream):
    data = b""
    while True:
        part = stream.recv(65536)
        if not part:
            return data
        data += part
