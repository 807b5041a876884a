/*
 * A plugin for QEMU's TCG that adds up the instructions of the guest's kernel and of its programs
 * in a file, given as counts=PATH. For one processor: more would add to the same numbers.
 *
 * The interface is that of QEMU 7.2 (include/qemu/qemu-plugin.h, docs/devel/tcg-plugins.rst), which
 * Debian has no header of. A QEMU whose plugins have another version refuses it.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/bench/counts.h"

#define EXPORTED __attribute__((visibility("default")))

struct qemu_plugin_tb;

enum qemu_plugin_op {
	QEMU_PLUGIN_INLINE_ADD_U64,
};

typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(uint64_t id, struct qemu_plugin_tb *tb);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, qemu_plugin_vcpu_tb_trans_cb_t on_block);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op,
					      void *number, uint64_t operand);

EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static struct counts *counts;

/* A block of code is translated: whenever it runs, its length is added. */
static void on_block(uint64_t id, struct qemu_plugin_tb *tb)
{
	bool upper = qemu_plugin_tb_vaddr(tb) >> 63;

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(
		tb, QEMU_PLUGIN_INLINE_ADD_U64,
		(void *)(upper ? &counts->kernel : &counts->programs), qemu_plugin_tb_n_insns(tb));
}

/* Anything but 0 ends QEMU. */
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	static const char option[] = "counts=";
	const char *path;
	int fd;

	(void)info;
	if (argc != 1 || strncmp(argv[0], option, strlen(option)) != 0) {
		fprintf(stderr, "count-plugin: give counts=PATH\n");
		return -1;
	}
	path = argv[0] + strlen(option);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*counts)) < 0) {
		perror(path);
		return -1;
	}
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (counts == MAP_FAILED) {
		perror(path);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
	return 0;
}
