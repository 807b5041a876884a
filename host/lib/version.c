#include "host/include/provium.h"

const char *provium_version(void)
{
	return PROVIUM_VERSION;
}
