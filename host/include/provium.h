/*
 * libprovium: boots a Linux kernel in a virtual machine and drives the agent inside it.
 *
 * Two kinds of handle: a provium_vm is a running QEMU, a provium_connection is one connection to an
 * agent, in a VM of this library or of somebody else (Firecracker, Cloud Hypervisor, libvirt).
 *
 * Calls block. Each that waits takes a timeout in milliseconds; PROVIUM_FOREVER waits without one.
 * A call that passed its timeout fails with PROVIUM_TIMED_OUT and has cancelled what it asked for
 * (provium_exec_wait only waited: the command runs on).
 *
 * Calls that can fail return 0, or -1 and an error value; the error argument may be NULL, and means
 * nothing where 0 is returned.
 *
 * There is no global state. Different threads may use different handles at the same time; one
 * handle is used by one thread at a time. A VM's processes die with the thread that booted it
 * (prctl(2), PR_SET_PDEATHSIG), so that a test that crashes leaves none behind.
 *
 * The structs of options may be cleared to zero: every zero is the default that is documented.
 * Strings and buffers that are passed in stay the caller's and are needed during the call only,
 * unless said otherwise.
 */
#ifndef PROVIUM_H
#define PROVIUM_H

#include "provium_core.h"
#include "provium_exec.h"
#include "provium_file.h"
#include "provium_job.h"
#include "provium_kernel.h"
#include "provium_names.h"
#include "provium_program.h"
#include "provium_snapshot.h"
#include "provium_vm.h"
#include "provium_worker.h"

#endif
