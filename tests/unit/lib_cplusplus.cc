// provium.h serves C++: as a whole without a warning, and with names that link.
#include "host/include/provium.h"

#include <cstdio>
#include <cstring>

int main()
{
	provium_connection *connection = nullptr;
	provium_exec_options options = {};
	provium_vm_options vm_options = {};
	provium_error error;
	bool fine;

	options.stdin_kind = PROVIUM_STDIN_STREAM;
	vm_options.memory = 1 << 20;
	fine = options.argv == nullptr && vm_options.kernel == nullptr &&
	       provium_connect("nowhere", 0, &connection, &error) == -1 &&
	       error.code == PROVIUM_INVALID && std::strstr(error.message, "nowhere") &&
	       std::strcmp(provium_version(), PROVIUM_VERSION) == 0;
	std::printf("1..1\n%s 1 - C++\n", fine ? "ok" : "not ok");
	return fine ? 0 : 1;
}
