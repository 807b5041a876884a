#include "tests/random/tally.h"

#include <inttypes.h>
#include <string.h>

#include "common/util.h"
#include "tests/random/random.h"

#define TIMES_TOLD 12

void tally_program(struct tally *tally, const struct provium_program *program)
{
	unsigned int made = provium_program_made(program);

	tally->calls += made;
	for (unsigned int i = 0; i < made; i++) {
		uint32_t number = random_call_number(program, i);
		int64_t result = provium_program_result(program, (int)i);

		tally->made[number]++;
		tally->spent_ns[number] += provium_program_duration_ns(program, (int)i);
		if (result >= 0 || result < -4095) {
			tally->succeeded[number]++;
			tally->successes++;
		}
		if (provium_program_interrupted(program, (int)i))
			tally->interrupted++;
	}
}

void tally_loss(struct tally *tally, const struct provium_worker_end *end)
{
	char text[TALLY_REASON_SIZE];
	size_t i = 0;

	if (strstr(end->reason, "did not end at its deadline"))
		snprintf(text, sizeof(text), "a call did not end at its deadline");
	else if (end->signal)
		snprintf(text, sizeof(text), "signal %d (%s)", end->signal, strsignal(end->signal));
	else
		snprintf(text, sizeof(text), "exit");
	tally->lost++;
	while (i < tally->n_reasons && strcmp(tally->reasons[i].text, text) != 0)
		i++;
	if (i == TALLY_REASONS)
		return;
	if (i == tally->n_reasons)
		memcpy(tally->reasons[tally->n_reasons++].text, text, sizeof(text));
	tally->reasons[i].count++;
}

void tally_tell_progress(const struct tally *tally, FILE *file)
{
	double seconds = (double)(monotonic_ns() - tally->start_ns) / 1e9;

	fprintf(file,
		"# %" PRIu64 " programs, %" PRIu64 " calls, %" PRIu64 " interrupted, %" PRIu64
		" workers ended, %" PRIu64 " splats, %.0f s, %.0f programs/s\n",
		tally->programs, tally->calls, tally->interrupted, tally->lost, tally->splats,
		seconds, (double)tally->programs / seconds);
	fflush(file);
}

void tally_tell_figures(const struct tally *tally, FILE *file)
{
	unsigned int distinct = 0, fine = 0;

	for (size_t i = 0; i < TALLY_NUMBERS; i++) {
		distinct += tally->made[i] > 0;
		fine += tally->succeeded[i] > 0;
	}
	tally_tell_progress(tally, file);
	fprintf(file, "calls: %" PRIu64 ", of which %.1f %% succeeded\n", tally->calls,
		100.0 * (double)tally->successes / (double)MAX(tally->calls, UINT64_C(1)));
	fprintf(file, "distinct calls: %u, of which %u have succeeded at least once\n", distinct,
		fine);
	fprintf(file, "interrupted at their deadline: %" PRIu64 "\n", tally->interrupted);
	fprintf(file,
		"workers: %" PRIu64 ", of which %" PRIu64 " were ended by programs; %" PRIu64
		" programs had no means to run\n",
		tally->workers, tally->lost, tally->without_means);
	for (size_t i = 0; i < tally->n_reasons; i++)
		fprintf(file, "  %6" PRIu64 "  %s\n", tally->reasons[i].count,
			tally->reasons[i].text);
	fprintf(file, "splats of the kernel: %" PRIu64 "\n", tally->splats);
}

void tally_tell_times(const struct tally *tally, const char *arch, FILE *file)
{
	bool told[TALLY_NUMBERS] = { false };

	for (int shown = 0; shown < TIMES_TOLD; shown++) {
		uint32_t most = TALLY_NUMBERS;
		const char *name;

		for (uint32_t i = 0; i < TALLY_NUMBERS; i++)
			if (!told[i] &&
			    (most == TALLY_NUMBERS || tally->spent_ns[i] > tally->spent_ns[most]))
				most = i;
		told[most] = true;
		name = provium_syscall_name(arch, most);
		fprintf(file, "# %6" PRIu64 " ms in %u calls of %s\n",
			tally->spent_ns[most] / 1000000u, tally->made[most],
			name ? name : "one without a name");
	}
}
