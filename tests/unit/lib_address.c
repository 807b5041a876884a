/* The text form of addresses, read and written. No socket is made here. */
#include "host/lib/address.h"

#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

static const struct {
	const char *text;
	enum address_kind kind;
	uint32_t cid;
	uint32_t port;
	const char *path;
} good[] = {
	{ "vsock:3", ADDRESS_VSOCK, 3, PROVIUM_PORT, "" },
	{ "vsock:42:1", ADDRESS_VSOCK, 42, 1, "" },
	{ "vsock:4294967294:4294967294", ADDRESS_VSOCK, 4294967294u, 4294967294u, "" },
	{ "unix:/run/vm.sock", ADDRESS_HYBRID, 0, PROVIUM_PORT, "/run/vm.sock" },
	{ "unix:/run/vm.sock:77", ADDRESS_HYBRID, 0, 77, "/run/vm.sock" },
	{ "unix:vm.sock", ADDRESS_HYBRID, 0, PROVIUM_PORT, "vm.sock" },
	{ "unix:/a:b", ADDRESS_HYBRID, 0, PROVIUM_PORT, "/a:b" },
	{ "unix:/a:b:9", ADDRESS_HYBRID, 0, 9, "/a:b" },
	{ "unix:/a:", ADDRESS_HYBRID, 0, PROVIUM_PORT, "/a:" },
	{ "unix:/a:9x", ADDRESS_HYBRID, 0, PROVIUM_PORT, "/a:9x" },
	{ "agent-unix:/a:9", ADDRESS_AGENT, 0, PROVIUM_PORT, "/a:9" },
};

static const struct {
	const char *text;
	/* Must be in the message. */
	const char *why;
} bad[] = {
	{ NULL, "no address" },
	{ "", "no address" },
	{ "tcp:localhost", "vsock:CID" },
	{ "/run/vm.sock", "unix:PATH" },
	{ "VSOCK:3", "vsock:CID" },
	{ "vsock:", "CID \"\"" },
	{ "vsock:x", "CID \"x\"" },
	{ "vsock:-3", "CID \"-3\"" },
	{ "vsock: 3", "CID \" 3\"" },
	{ "vsock:+3", "CID \"+3\"" },
	{ "vsock:3.0", "CID \"3.0\"" },
	{ "vsock:0x10", "CID \"0x10\"" },
	{ "vsock:4294967296", "CID \"4294967296\"" },
	{ "vsock:99999999999999999999999999", "not a number" },
	{ "vsock:00000000000000000003", "not a number" },
	{ "vsock:0", "hypervisor" },
	{ "vsock:1", "this machine itself" },
	{ "vsock:2", "host's" },
	{ "vsock:4294967295", "wildcard" },
	{ "vsock:3:", "port \"\"" },
	{ "vsock:3:0", "port \"0\"" },
	{ "vsock:3:4294967295", "port \"4294967295\"" },
	{ "vsock:3:4294967296", "port \"4294967296\"" },
	{ "vsock:3:1:2", "port \"1:2\"" },
	{ "vsock:3:x", "port \"x\"" },
	{ "unix:", "path of the Unix socket is empty" },
	{ "unix::77", "path of the Unix socket is empty" },
	{ "unix:/a:0", "port \"0\"" },
	{ "unix:/a:99999999999", "port \"99999999999\"" },
	{ "agent-unix:", "path of the Unix socket is empty" },
};

START_TEST(test_good)
{
	struct address address;
	struct provium_error error;

	if (address_parse(good[_i].text, &address, &error) < 0)
		ck_abort_msg("%s: %s", good[_i].text, error.message);
	ck_assert_int_eq(address.kind, good[_i].kind);
	ck_assert_uint_eq(address.cid, good[_i].cid);
	ck_assert_uint_eq(address.port, good[_i].port);
	ck_assert_str_eq(address.path, good[_i].path);
}
END_TEST

START_TEST(test_bad)
{
	struct address address;
	struct provium_error error;

	ck_assert_int_eq(address_parse(bad[_i].text, &address, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	if (!strstr(error.message, bad[_i].why))
		ck_abort_msg("\"%s\" lacks \"%s\"", error.message, bad[_i].why);
	ck_assert_int_eq(address_parse(bad[_i].text, &address, NULL), -1);
}
END_TEST

/* unix(7): sun_path has 108 bytes, its NUL included. */
START_TEST(test_long_path)
{
	const char *const prefixes[] = { "unix:", "agent-unix:" };
	struct address address;
	struct provium_error error;
	char text[200];

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t length = strlen(prefixes[i]);

		strcpy(text, prefixes[i]);
		memset(text + length, 'p', 108);
		text[length + 107] = '\0';
		ck_assert_int_eq(address_parse(text, &address, &error), 0);
		ck_assert_uint_eq(strlen(address.path), 107);

		memset(text + length, 'p', 108);
		text[length + 108] = '\0';
		ck_assert_int_eq(address_parse(text, &address, &error), -1);
		ck_assert_int_eq(error.code, PROVIUM_INVALID);
		ck_assert_ptr_nonnull(strstr(error.message, "108 bytes, at most 107"));
	}
}
END_TEST

/* What is written is read as the same, and holds the port. */
START_TEST(test_format)
{
	struct address address, again;
	char text[PROVIUM_ADDRESS_SIZE];

	ck_assert_int_eq(address_parse(good[_i].text, &address, NULL), 0);
	ck_assert(address_format(&address, text, sizeof(text)));
	ck_assert_int_eq(address_parse(text, &again, NULL), 0);
	ck_assert_int_eq(again.kind, address.kind);
	ck_assert_uint_eq(again.cid, address.cid);
	ck_assert_uint_eq(again.port, address.port);
	ck_assert_str_eq(again.path, address.path);
}
END_TEST

START_TEST(test_format_texts)
{
	struct address address = { .kind = ADDRESS_VSOCK, .cid = 4294967294u, .port = 4294967294u };
	char text[PROVIUM_ADDRESS_SIZE];

	ck_assert(address_format(&address, text, sizeof(text)));
	ck_assert_str_eq(text, "vsock:4294967294:4294967294");
	ck_assert(address_format(&address, text, strlen("vsock:4294967294:4294967294") + 1));
	ck_assert(!address_format(&address, text, strlen("vsock:4294967294:4294967294")));
	ck_assert(!address_format(&address, text, 0));
	/* The longest of all. */
	address.kind = ADDRESS_HYBRID;
	memset(address.path, 'p', sizeof(address.path) - 1);
	ck_assert(address_format(&address, text, sizeof(text)));
	ck_assert_uint_eq(strlen(text), strlen("unix::4294967294") + sizeof(address.path) - 1);
	address.kind = ADDRESS_AGENT;
	ck_assert(address_format(&address, text, sizeof(text)));
	ck_assert_uint_eq(strlen(text), strlen("agent-unix:") + sizeof(address.path) - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-address");
	TCase *tcase = unit_counted_case("parse");

	tcase_add_loop_test(tcase, test_good, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tcase, test_bad, 0, ARRAY_SIZE(bad));
	tcase_add_test(tcase, test_long_path);
	tcase_add_loop_test(tcase, test_format, 0, ARRAY_SIZE(good));
	tcase_add_test(tcase, test_format_texts);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
