/*
 * An init that notes when it began, executes the program that its argument names, and is executed
 * by that again. Then it says both times on the console, and powers off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#define BEGAN "BENCH_BEGAN"

int main(int argc, char **argv)
{
	struct timespec now;
	const char *began;
	char text[128];
	int length;

	clock_gettime(CLOCK_BOOTTIME, &now);
	length = snprintf(text, sizeof(text), "%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
	began = getenv(BEGAN);
	if (!began && argc > 1) {
		setenv(BEGAN, text, 1);
		execv(argv[1], argv + 1);
		return 1;
	}
	length = snprintf(text, sizeof(text), "INIT %s %lld.%09ld\n", began ? began : "-",
			  (long long)now.tv_sec, now.tv_nsec);
	if (write(STDOUT_FILENO, text, (size_t)length) != length)
		return 1;
	reboot(RB_POWER_OFF);
	return 1;
}
