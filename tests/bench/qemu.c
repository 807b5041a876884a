#include "tests/bench/qemu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"

void qemu_prepare(const char *directory, const struct guest_options *options, char *program,
		  size_t size)
{
	FILE *file;

	snprintf(program, size, "%s/qemu", directory);
	file = fopen(program, "wxe");
	if (!file)
		die("%s: %s", program, strerror(errno));
	/* What only tries an accelerator has no initramfs. */
	fprintf(file, "#!/bin/sh\ncase \" $* \" in *' -initrd '*)\n");
	if (options->peer)
		fprintf(file,
			"\tset -- \"$@\" -device virtio-serial-pci \\\n"
			"\t\t-device virtserialport,chardev=peer \\\n"
			"\t\t-chardev socket,id=peer,path=%s/" QEMU_PEER ",server=on,wait=off\n",
			directory);
	if (options->plugin)
		fprintf(file, "\tset -- \"$@\" -plugin '%s,counts=%s/" QEMU_COUNTS "'\n",
			options->plugin, directory);
	fprintf(file, "esac\nexec qemu-system-x86_64 \"$@\"\n");
	if (fchmod(fileno(file), 0700) < 0 || fclose(file) != 0)
		die("%s: %s", program, strerror(errno));
}

void qemu_remove(const char *directory)
{
	static const char *const names[] = { "qemu", QEMU_PEER, QEMU_COUNTS };
	char path[96];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
}
