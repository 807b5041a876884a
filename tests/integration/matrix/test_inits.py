"""The inits and initramfs images of real users go their way, and the agent goes with them.

    test_inits.py KERNEL ROOT    KERNEL: a directory with vmlinuz and modules/
                                 ROOT: what scripts/roots makes for that kernel

Each guest is kept by `provium run`, and others work with it. It ends from inside, as its init ends
a system: the kernel says so on the console, and systemd leaves the disk clean.
"""

import json
import os
import subprocess
import sys
import time
import uuid

import image
import tap
from client import Client
from provium import TIMEOUT, Case, on_kernel

KERNEL, ROOT = sys.argv[1:]

PORT = 5123

# So much of the console is told with a failure.
CONSOLE_END = 3000

POWER_OFF, REBOOT = "reboot: Power down", "reboot: Restarting system"

# What keeps a guest running, and what no init kills that spares those of root's that begin with "@"
# (systemd.io, Root storage daemons): it would end the guest before init has.
KEEP = ["bash", "-c", "exec -a @keep sleep 100000"]
SPARED_BUSYBOX = ["/keep/busybox", "sh", "-c", 'exec -a @/busybox /keep/busybox "$0" "$@"']

# Lines of what is written last.
LATE = 20000

# Of Debian's root, and of no initramfs.
MARK = "/opt/sysvinit-core"

DISK_MODULES = ["--module", "virtio_blk", "--module", "ext4"]

# systemctl tells systemd, and is done; the connection may end before the rest is read.
SYSTEMD_ENDS = {POWER_OFF: ["systemctl", "poweroff"], REBOOT: ["systemctl", "reboot"]}


# What mkinitcpio puts together: an init that runs hooks, and goes to the root that they leave it.
HOOKS_INIT = b"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
for word in $(cat /proc/cmdline); do
	case $word in
	root=*) root=${word#root=} ;;
	rw | ro) mode=$word ;;
	esac
done
for hook in /hooks/*; do
	. "$hook"
done
for place in proc sys dev run; do
	mount -o move "/$place" "/new_root/$place"
done
exec env -i TERM=linux switch_root /new_root /sbin/init "$@"
"""
HOOKS = {
    "1-wait": b"until [ -b \"$root\" ]; do sleep 0.1; done\n",
    "2-filesystems": b"until grep -q ext4 /proc/filesystems; do sleep 0.1; done\n",
    "3-mount": b"mount -o \"$mode\" \"$root\" /new_root\n",
}


def busybox():
    with open("/bin/busybox", "rb") as file:
        return file.read()


def microcode():
    """An archive as packages of microcode have it put in front; these bytes are for no processor."""
    return image.archive({"kernel": None, "kernel/x86": None, "kernel/x86/microcode": None,
                          "kernel/x86/microcode/GenuineIntel.bin": bytes(1024),
                          "kernel/x86/microcode/AuthenticAMD.bin": bytes(1024)})


class Inits(Case):
    def environment(self, **changes):
        return super().environment(**{**on_kernel(KERNEL), **changes})

    def setUp(self):
        super().setUp()
        self.guest = None
        self.boots = 0

    def boot(self, *options, keep):
        if self.guest and self.guest.poll() is None:
            # Of a part that failed.
            self.guest.terminate()
            self.guest.wait(timeout=TIMEOUT)
        self.boots += 1
        self.socket, self.console = (self.path(f"{name}-{self.boots}")
                                     for name in ("socket", "console"))
        self.at = ["--connect", f"unix:{self.socket}"]
        self.begin = time.monotonic()
        self.guest = self.start("run", "--socket", self.socket, "--console", self.console,
                                "--memory", "1G", *options, "--", *keep)
        self.await_agent()
        self.answered = time.monotonic() - self.begin

    def await_agent(self):
        end = time.monotonic() + TIMEOUT
        while self.provium("info", *self.at)[0] != 0:
            self.assertIsNone(self.guest.poll(), self.told())
            self.assertLess(time.monotonic(), end, self.told())
            time.sleep(0.1)

    def told(self):
        text = self.guest.stderr.read().decode() if self.guest.poll() is not None else ""
        if os.path.exists(self.console):
            with open(self.console, encoding="utf-8", errors="replace") as file:
                text += file.read()[-CONSOLE_END:]
        return text

    def execute(self, *command):
        return self.provium("exec", *self.at, "--", *command)

    def output(self, *command):
        status, output, error = self.execute(*command)
        self.assertEqual(status, 0, f"{command}: {error}\n{self.told()}")
        return output.decode()

    def await_command(self, *command):
        end = time.monotonic() + TIMEOUT
        while self.execute(*command)[0] != 0:
            self.assertIsNone(self.guest.poll(), self.told())
            self.assertLess(time.monotonic(), end, self.told())
            time.sleep(0.1)

    def info(self):
        status, output, error = self.provium("info", *self.at, "--json")
        self.assertEqual((status, error), (0, ""))
        return json.loads(output)

    def start_witness(self, name, *command):
        status, _, error = self.provium("job", "start", *self.at, "--name", name, "--input", "--",
                                        *command)
        self.assertEqual(status, 0, error)

    def check_witness(self, name):
        """A job that was started before goes on: what it is sent now comes back."""
        status, _, error = self.provium("job", "send", *self.at, name, data=b"on\n")
        self.assertEqual(status, 0, error)
        end = time.monotonic() + TIMEOUT
        while b"on\n" not in self.provium("job", "output", *self.at, name)[1]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def check_agent(self, init):
        """It is the one of before, in the root of the init, which is the real one."""
        info = self.info()
        self.assertEqual(info["restarts"], 0, info)
        self.assertEqual(info["init_error_path"], "", info)
        self.assertFalse(info["own_root"], info)
        self.assertEqual(self.output(*self.shell, "cat /proc/1/comm; readlink /proc/1/exe"), init)

    def end(self, command, line):
        """
        The guest ends by what ends it from inside, and as that ends it, though an init that kills
        every process before kills the agent with them.
        """
        begin = time.monotonic()
        self.execute(*command)
        self.assertEqual(self.guest.wait(timeout=TIMEOUT), 125)
        seconds = time.monotonic() - begin
        self.assertIn(line, self.told())
        self.assert_nothing_left()
        return seconds

    # Systems on a disk

    def disk(self):
        """A copy of ROOT's."""
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", os.path.join(ROOT, "disk"),
                        self.path("disk")], check=True, timeout=TIMEOUT)
        return ["--disk", self.path("disk")]

    def write_late(self):
        """What nobody has synced when the end begins."""
        self.output(*self.shell, f"seq {LATE} >/late")

    def check_disk(self):
        """What was written is there; nothing of ours has kept it from being written and left."""
        path = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        late = subprocess.run(["debugfs", "-R", "cat /late", self.path("disk")], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT,
                              env=path)
        self.assertEqual(len(late.stdout.split()), LATE)
        head = subprocess.run(["dumpe2fs", "-h", self.path("disk")], check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT,
                              env=path)
        self.assertRegex(head.stdout, r"Filesystem state: +clean\n")
        self.assertNotIn("needs_recovery", head.stdout)

    def check_systemd(self):
        """Until it has started all that it is to start."""
        end = time.monotonic() + TIMEOUT
        state = ""
        # One that has just begun cannot be asked yet, and that of an initramfs ends meanwhile.
        while state in ("", "offline"):
            self.assertLess(time.monotonic(), end, self.told())
            time.sleep(0.1)
            output = self.execute("systemctl", "is-system-running", "--wait")[1]
            state = output.decode().strip()
        self.assertIn(state, ("running", "degraded"), self.told())
        failed = self.output("systemctl", "--failed", "--plain", "--no-legend").split("\n")
        self.check_agent("systemd\n/usr/lib/systemd/systemd\n")
        return " ".join([state, *(line.split(" ")[0] for line in failed)]).strip()

    def test_systemd(self):
        """On a root that the wrapper has mounted."""
        self.shell = ["sh", "-c"]
        for line, command in SYSTEMD_ENDS.items():
            with self.subTest(command=command):
                self.boot(*self.disk(), *DISK_MODULES, "--root", "/dev/vda", "--append", "rw",
                          keep=KEEP)
                self.start_witness("witness", "cat")
                state = self.check_systemd()
                self.check_witness("witness")
                ready = time.monotonic() - self.begin
                self.write_late()
                seconds = self.end(command, line)
                self.check_disk()
                print(f"# systemd: agent {self.answered:.1f} s, {state} {ready:.1f} s, "
                      f"{command[1]} {seconds:.1f} s")

    def test_squashfs(self):
        """A root that nobody can write to."""
        self.shell = ["sh", "-c"]
        for line, command in SYSTEMD_ENDS.items():
            with self.subTest(command=command):
                self.boot("--disk", os.path.join(ROOT, "squashfs") + ",ro", "--root", "/dev/vda",
                          "--module", "squashfs", "--append", "rootfstype=squashfs", keep=KEEP)
                self.start_witness("witness", "cat")
                state = self.check_systemd()
                self.check_witness("witness")
                self.assertIn("/ squashfs ro,", self.output("cat", "/proc/mounts"))
                seconds = self.end(command, line)
                print(f"# systemd on squashfs: agent {self.answered:.1f} s, {state}, "
                      f"{command[1]} {seconds:.1f} s")

    def initramfs(self, name, early):
        with open(os.path.join(ROOT, name), "rb") as file:
            data = file.read()
        return self.write("initramfs", (microcode() if early else b"") + data)

    def test_initramfs(self):
        """The agent goes with init from Debian's initramfs to the root that this finds, on the
        connection that it had before, and so do its jobs, save those that systemd kills."""
        self.shell = ["sh", "-c"]
        for name in ("initramfs-tools", "dracut"):
            for early, (line, command) in enumerate(SYSTEMD_ENDS.items()):
                with self.subTest(initramfs=name, early=early):
                    self.in_initramfs(name, self.initramfs(name, early),
                                      "LABEL=root" if early else self.uuid(), line, command)

    def test_hooks(self):
        """A shell script with hooks that ends in switch_root, as mkinitcpio's."""
        self.shell = ["sh", "-c"]
        files = {"bin": None, "hooks": None, "new_root": None, "bin/busybox": busybox(),
                 "init": HOOKS_INIT,
                 **{f"hooks/{name}": text for name, text in HOOKS.items()}}
        for line, command in SYSTEMD_ENDS.items():
            with self.subTest(command=command):
                self.in_initramfs("hooks", self.write("initramfs", image.archive(files)),
                                  "/dev/vda", line, command, *DISK_MODULES)

    def uuid(self):
        with open(os.path.join(ROOT, "disk"), "rb") as file:
            file.seek(1024 + 0x68)
            return f"UUID={uuid.UUID(bytes=file.read(16))}"

    def in_initramfs(self, name, initramfs, root, line, command, *options):
        self.boot(*self.disk(), "--initrd", initramfs, *options,
                  "--file", "/keep/busybox=/bin/busybox",
                  "--append", f"root={root} rw provium.hold",
                  keep=[*SPARED_BUSYBOX, "sleep", "100000"])
        with open(self.socket + ".token", "rb") as file:
            token = file.read()
        with Client(self.socket, token=token, port=PORT) as client:
            self.start_witness("spared", *SPARED_BUSYBOX, "cat")
            self.start_witness("killed", "/keep/busybox", "cat")
            self.assertNotEqual(self.execute("test", "-d", MARK)[0], 0)
            self.assertEqual(client.call("release_init").kind, "ok")
            self.await_command("test", "-d", MARK)
            moved = time.monotonic() - self.begin
            state = self.check_systemd()
            ready = time.monotonic() - self.begin
            self.assertEqual(client.call("ping").kind, "pong")
            found = client.call("exec", argv=[b"cat", b"/etc/hostname"])
            self.assertEqual(found.stdout, b"test\n")
            self.check_witness("spared")
            if name == "dracut":
                status = self.provium("job", "wait", *self.at, "--no-wait", "killed")[0]
                self.assertIn(status, (128 + 15, 128 + 9))
            else:
                self.check_witness("killed")
            self.write_late()
        seconds = self.end(command, line)
        self.check_disk()
        print(f"# {name}, root={root.split('=')[0]}: agent {self.answered:.1f} s, "
              f"root {moved:.1f} s, {state} {ready:.1f} s, {command[1]} {seconds:.1f} s")

    # Others on the same disk

    def on_disk(self, name, path, init, ends, arguments=""):
        self.shell = ["sh", "-c"]
        for line, command in ends.items():
            with self.subTest(init=name, command=command):
                self.boot(*self.disk(), *DISK_MODULES, "--root", "/dev/vda", "--append",
                          f"rw -- {arguments}", "--init", path, keep=KEEP)
                self.start_witness("witness", "cat")
                self.await_command("test", "-e", "/run/reached")
                self.check_agent(init)
                self.check_witness("witness")
                reached = time.monotonic() - self.begin
                self.write_late()
                seconds = self.end(command, line)
                self.check_disk()
                print(f"# {name}: agent {self.answered:.1f} s, there {reached:.1f} s, "
                      f"{command[-1]} {seconds:.1f} s")

    def test_sysvinit(self):
        path = "/opt/sysvinit-core/sbin/"
        self.on_disk("sysvinit", path + "init", f"init\n{path}init\n",
                     {POWER_OFF: [path + "telinit", "0"],
                      REBOOT: [path + "telinit", "6"]})

    def test_s6(self):
        self.on_disk("s6", "/etc/s6/init", "s6-svscan\n/usr/bin/s6-svscan\n",
                     {POWER_OFF: ["s6-svscanctl", "-t", "/run/service"],
                      REBOOT: ["kill", "-INT", "1"]})

    def test_runit(self):
        path = "/usr/lib/runit/runit-init"
        self.on_disk("runit", path, "runit\n/usr/sbin/runit\n",
                     {POWER_OFF: [path, "0"], REBOOT: [path, "6"]})

    def test_finit(self):
        self.on_disk("finit", "/sbin/finit", "finit\n/usr/sbin/finit\n",
                     {POWER_OFF: ["/lib/finit/initctl", "poweroff"],
                      REBOOT: ["/lib/finit/initctl", "reboot"]})

    def test_one_program(self):
        """Inits of containers: what they start ends the guest, and nobody else."""
        ends = {line: ["sh", "-c", f"mount -o remount,ro / && exec busybox {command} -f"]
                for line, command in ((POWER_OFF, "poweroff"), (REBOOT, "reboot"))}
        for name in ("tini", "dumb-init", "catatonit"):
            self.on_disk(name, f"/usr/bin/{name}", f"{name}\n/usr/bin/{name}\n", ends, "/etc/main")

    # In an initramfs

    def in_image(self, name, files, init, ends):
        self.shell = ["/bin/busybox", "sh", "-c"]
        initrd = self.write("initrd", image.archive(
            {"bin": None, "dev": None, "proc": None, "bin/busybox": busybox(), **files}))
        for line, command in ends.items():
            with self.subTest(command=command):
                self.boot("--initrd", initrd, keep=["/bin/busybox", "sleep", "100000"])
                self.start_witness("witness", "/bin/busybox", "cat")
                self.await_command("/bin/busybox", "test", "-e", "/proc/1")
                self.check_agent(init)
                self.check_witness("witness")
                seconds = self.end(["/bin/busybox", *command], line)
                print(f"# {name}: agent {self.answered:.1f} s, {command[0]} {seconds:.1f} s")

    def test_busybox(self):
        inittab = (b"::sysinit:/bin/busybox mount -t proc proc /proc\n"
                   b"::respawn:/bin/busybox sleep 100000\n")
        self.in_image("busybox", {"etc": None, "etc/inittab": inittab, "sbin": None,
                                  "sbin/init": "/bin/busybox", "init": "/sbin/init"},
                      "init\n/bin/busybox\n", {POWER_OFF: ["poweroff"], REBOOT: ["reboot"]})

    def test_script(self):
        script = (b"#!/bin/busybox sh\nbusybox=/bin/busybox\n$busybox mount -t proc proc /proc\n"
                  b"while $busybox sleep 1; do :; done\n")
        self.in_image("script", {"init": script}, "init\n/bin/busybox\n",
                      {POWER_OFF: ["poweroff", "-f"], REBOOT: ["reboot", "-f"]})

    def test_none(self):
        self.in_image("none", {}, "provium-wrapper\n/provium-wrapper\n",
                      {POWER_OFF: ["poweroff", "-f"], REBOOT: ["reboot", "-f"]})


if __name__ == "__main__":
    tap.main()
