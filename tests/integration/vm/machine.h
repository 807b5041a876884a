/* What the tests of VMs share: a place of their own, a kernel, and a boot that must succeed. */
#ifndef TESTS_VM_MACHINE_H
#define TESTS_VM_MACHINE_H

#include <stdint.h>

#include "host/include/provium.h"

/* The directory that stands for TMPDIR during a test; machine_finish wants it empty. */
extern char machine_directory[];

/* What the VM told while it booted, a line each. */
extern char machine_notices[4096];

/* argv[1] of the test program: a directory with vmlinuz and modules/. */
extern const char *machine_kernels;

/* Fixture: fresh directory, fresh options with kernel and modules. */
void machine_start(void);
void machine_finish(void);

/* The options of a VM that boots. */
struct provium_vm_options machine_options(void);

/* Boots or fails the test. */
struct provium_vm *machine_boot(const struct provium_vm_options *options);

/* Wants the boot to fail with the code, and the message to hold the text. */
void machine_refuse(const struct provium_vm_options *options, enum provium_code code,
		    const char *text);

/* Runs a shell command in the guest, and wants its output. */
void machine_expect(struct provium_connection *connection, const char *shell, const char *wanted);

/* The children of this process whose name is that; returns how many, and the last one's pid. */
int machine_children(const char *name, int *pid);

/* Removes the private directory that a killed program has left there. */
void machine_clear(void);

/* Makes a file in the directory, and machine_path its path. */
void machine_put(const char *name, const char *text, unsigned int mode);
extern char machine_path[];

/* Runs a shell command on this machine, in the directory; it must succeed. */
void machine_on_host(const char *command);

/* Milliseconds on CLOCK_MONOTONIC. */
uint64_t machine_now_ms(void);

#endif
