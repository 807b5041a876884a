#include "lib_programs.h"

#include <fcntl.h>
#include <sys/syscall.h>

struct provium_program *program;

void program_start(void)
{
	real_start();
	program = provium_program_new();
	ck_assert_ptr_nonnull(program);
}

void program_finish(void)
{
	provium_program_free(program);
	real_finish();
}

void program_run(void)
{
	check_ok(provium_program_run(connection, program, SOON, &error));
}

int64_t result_of(int call)
{
	return provium_program_result(program, call);
}

int call_open(const char *name, int flags)
{
	return PROVIUM_CALL(program, SYS_openat, VALUE(AT_FDCWD),
			    provium_address(provium_program_string(program, name)), VALUE(flags),
			    VALUE(0600));
}

int call_close(int call)
{
	return PROVIUM_CALL(program, SYS_close, provium_result_of(call));
}
