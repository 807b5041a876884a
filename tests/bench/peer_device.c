#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/bench/peer.h"

void peer_prepare(const char *directory, char *program, size_t size)
{
	FILE *file;

	snprintf(program, size, "%s/qemu", directory);
	file = fopen(program, "wxe");
	if (!file)
		die("%s: %s", program, strerror(errno));
	/* What only tries an accelerator has no initramfs. */
	fprintf(file,
		"#!/bin/sh\n"
		"case \" $* \" in *' -initrd '*)\n"
		"\tset -- \"$@\" -device virtio-serial-pci -device virtserialport,chardev=peer \\\n"
		"\t\t-chardev socket,id=peer,path=%s/peer,server=on,wait=off ;;\n"
		"esac\n"
		"exec qemu-system-x86_64 \"$@\"\n",
		directory);
	if (fchmod(fileno(file), 0700) < 0 || fclose(file) != 0)
		die("%s: %s", program, strerror(errno));
}

void peer_remove(const char *directory)
{
	static const char *const names[] = { "qemu", "peer" };
	char path[96];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
}
