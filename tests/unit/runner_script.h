/*
 * Test files for the runner's tests: a step a line, in the place of Lua.
 *
 *     test NAME            a test that passes
 *     start NAME           one that begins
 *     ok NAME              and passes
 *     fail NAME|TEXT       or fails
 *     todo NAME|TEXT
 *     file-fail TEXT, file-todo TEXT
 *     acquire MIB CPUS, release MIB CPUS
 *     guest N NAME CONSOLE, guest-end N; the console's file is made, with this name in it
 *     splat N TITLE
 *     need NAME            asks for a fixture; prints "NAME is TEXT, N fds" where it is there
 *     built NAME           it is built, where that is ours to do; with one fd
 *     spoil NAME           or could not be
 *     if-build NAME        ends the file well where NAME is not ours to build
 *     sleep MS, print TEXT, flood MIB, hang, raise N, exit N, status N
 *     where TEXT           tells TEXT when it is asked to end (SIGTERM), and ends; "": does not end
 *     unless PATH          ends the file well where there is such a file; else makes it
 *     garbage N            sends N bytes that are no message
 *     orphan               leaves a process behind that goes on, in a session of its own
 *     litter               makes a file in TMPDIR, and a directory that nobody may enter
 */
#ifndef TESTS_RUNNER_SCRIPT_H
#define TESTS_RUNNER_SCRIPT_H

#include "host/lua/harness.h"

/* As lua_run_file. */
int script_run(const char *path, const struct harness *harness);

#endif
