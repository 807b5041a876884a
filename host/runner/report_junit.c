/*
 * JUnit's XML, as CI systems read it: a test suite for each file, a test case for each subtest, and
 * one for the file itself where it has none or failed as a whole.
 */
#include "host/runner/report.h"

#include <libxml/xmlwriter.h>
#include <string.h>

#include "host/lib/error.h"

/* Writes; the first failure stays, and nothing is written after it. */
struct writer {
	xmlTextWriterPtr xml;
	bool failed;
};

static void check(struct writer *writer, int outcome)
{
	writer->failed |= outcome < 0;
}

static void begin(struct writer *writer, const char *element)
{
	check(writer, xmlTextWriterStartElement(writer->xml, BAD_CAST element));
}

static void end(struct writer *writer)
{
	check(writer, xmlTextWriterEndElement(writer->xml));
}

static void attribute(struct writer *writer, const char *name, const char *value)
{
	check(writer, xmlTextWriterWriteAttribute(writer->xml, BAD_CAST name,
						  BAD_CAST(value ? value : "")));
}

static void number(struct writer *writer, const char *name, size_t value)
{
	check(writer, xmlTextWriterWriteFormatAttribute(writer->xml, BAD_CAST name, "%zu", value));
}

static void seconds(struct writer *writer, const char *name, uint64_t ns)
{
	check(writer, xmlTextWriterWriteFormatAttribute(writer->xml, BAD_CAST name, "%.3f",
							(double)ns / 1e9));
}

static void text(struct writer *writer, const char *value)
{
	check(writer, xmlTextWriterWriteString(writer->xml, BAD_CAST value));
}

/* Of what is said, an attribute takes the first line, or less; no character is cut. */
static void first_line(struct writer *writer, const char *message)
{
	size_t length = strcspn(message, "\n");
	char line[256];

	if (length >= sizeof(line)) {
		length = sizeof(line) - 1;
		while (length > 0 && ((unsigned char)message[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(line, message, length);
	line[length] = '\0';
	attribute(writer, "message", line);
}

static void said(struct writer *writer, const char *element, const char *message)
{
	begin(writer, element);
	if (message && *message) {
		first_line(writer, message);
		if (strcmp(element, "skipped") != 0)
			text(writer, message);
	}
	end(writer);
}

static void begin_case(struct writer *writer, const struct file_result *result, const char *name,
		       uint64_t ns)
{
	begin(writer, "testcase");
	attribute(writer, "name", name);
	attribute(writer, "classname", result->name);
	seconds(writer, "time", ns);
}

static void put_subtest(struct writer *writer, const struct file_result *result,
			const struct subtest *subtest)
{
	begin_case(writer, result, subtest->name, subtest->ended_ns - subtest->started_ns);
	if (subtest->outcome == HARNESS_TODO)
		said(writer, "skipped", subtest->message);
	else if (subtest->outcome == HARNESS_FAILED)
		said(writer, "failure", subtest->message);
	end(writer);
}

/* It has a test case of its own. */
static bool speaks_for_itself(const struct file_result *result)
{
	return result->n_subtests == 0 || result->message || result->n_splats > 0 ||
	       result->verdict == FILE_NOT_RUN;
}

static void put_file_case(struct writer *writer, const struct file_result *result)
{
	begin_case(writer, result, result->name, result->ended_ns - result->started_ns);
	if (result->verdict == FILE_NOT_RUN)
		said(writer, "skipped", "not run");
	else if (result->verdict == FILE_TODO)
		said(writer, "skipped", result->message);
	else if (result->verdict == FILE_FAILED && result->message)
		said(writer, "error", result->message);
	for (size_t i = 0; i < result->n_splats; i++) {
		begin(writer, "failure");
		attribute(writer, "message", result->splats[i].title);
		attribute(writer, "type", "kernel");
		if (result->splats[i].text)
			text(writer, result->splats[i].text);
		end(writer);
	}
	end(writer);
}

static void put_output(struct writer *writer, const struct file_result *result)
{
	bool any = result->output || result->log_directory;

	for (size_t i = 0; i < result->n_guests; i++)
		any |= result->guests[i].tail != NULL;
	if (!any)
		return;
	begin(writer, "system-out");
	for (size_t i = 0; i < result->n_guests; i++) {
		if (!result->guests[i].tail)
			continue;
		text(writer, "console of ");
		text(writer, result->guests[i].name ? result->guests[i].name : "a guest");
		text(writer, ":\n");
		text(writer, result->guests[i].tail);
		text(writer, "\n");
	}
	if (result->output) {
		text(writer, "output:\n");
		text(writer, result->output);
		text(writer, "\n");
	}
	if (result->log_directory) {
		text(writer, "logs: ");
		text(writer, result->log_directory);
		text(writer, "\n");
	}
	end(writer);
}

static void put_suite(struct writer *writer, const struct file_result *result)
{
	bool own = speaks_for_itself(result);
	size_t own_failures = result->n_splats > 0 && !result->message;
	size_t own_errors = result->verdict == FILE_FAILED && result->message;
	size_t own_skipped =
		own && (result->verdict == FILE_NOT_RUN || result->verdict == FILE_TODO);
	size_t failures = own_failures, skipped = own_skipped;

	/* Those that are listed below. */
	for (size_t i = 0; i < result->n_subtests; i++) {
		failures += result->subtests[i].outcome == HARNESS_FAILED;
		skipped += result->subtests[i].outcome == HARNESS_TODO;
	}
	begin(writer, "testsuite");
	attribute(writer, "name", result->name);
	number(writer, "tests", result->n_subtests + own);
	number(writer, "failures", failures);
	number(writer, "errors", own_errors);
	number(writer, "skipped", skipped);
	seconds(writer, "time", result->ended_ns - result->started_ns);
	for (size_t i = 0; i < result->n_subtests; i++)
		put_subtest(writer, result, &result->subtests[i]);
	if (own)
		put_file_case(writer, result);
	put_output(writer, result);
	end(writer);
}

int report_junit(FILE *out, const struct file_result *results, size_t count, uint64_t elapsed_ns,
		 struct provium_error *error)
{
	xmlBufferPtr buffer = xmlBufferCreate();
	struct writer writer = { .xml = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL };

	writer.failed = !writer.xml;
	if (writer.xml) {
		check(&writer, xmlTextWriterSetIndent(writer.xml, 1));
		check(&writer, xmlTextWriterStartDocument(writer.xml, NULL, "UTF-8", NULL));
		begin(&writer, "testsuites");
		attribute(&writer, "name", "provium");
		seconds(&writer, "time", elapsed_ns);
		for (size_t i = 0; i < count; i++)
			put_suite(&writer, &results[i]);
		check(&writer, xmlTextWriterEndDocument(writer.xml));
		xmlFreeTextWriter(writer.xml);
	}
	if (!writer.failed) {
		size_t size = (size_t)xmlBufferLength(buffer);

		writer.failed = fwrite(xmlBufferContent(buffer), 1, size, out) != size;
	}
	if (buffer)
		xmlBufferFree(buffer);
	if (writer.failed)
		return error_set(error, PROVIUM_HOST, 0, "JUnit: it could not be written");
	return 0;
}
