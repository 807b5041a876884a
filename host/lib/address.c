#include "address.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/error.h"
#include "proto/limits.h"

static const char forms[] = "vsock:CID[:PORT], unix:PATH[:PORT] or agent-unix:PATH";

static bool all_digits(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

/* Decimal digits alone, up to 2^32-1. */
static bool parse_u32(const char *text, uint32_t *value)
{
	uint64_t sum = 0;

	if (!all_digits(text))
		return false;
	for (; *text; text++) {
		sum = sum * 10 + (uint64_t)(*text - '0');
		if (sum > UINT32_MAX)
			return false;
	}
	*value = (uint32_t)sum;
	return true;
}

/* 0 is nobody's port, 2^32-1 is VMADDR_PORT_ANY (vsock(7)). */
static int parse_port(const char *address, const char *text, uint32_t *port,
		      struct provium_error *error)
{
	if (!parse_u32(text, port) || *port == 0 || *port == UINT32_MAX)
		return error_set(error, PROVIUM_INVALID, 0,
				 "address \"%s\": port \"%s\" is not a number from 1 to 4294967294",
				 address, text);
	return 0;
}

/* What vsock(7) says of the CIDs that are no guest's; NULL for one that may be. */
static const char *reserved_cid(uint32_t cid)
{
	switch (cid) {
	case 0:
		return "the hypervisor's (VMADDR_CID_HYPERVISOR)";
	case 1:
		return "this machine itself (VMADDR_CID_LOCAL)";
	case 2:
		return "the host's (VMADDR_CID_HOST)";
	case UINT32_MAX:
		return "the wildcard (VMADDR_CID_ANY)";
	default:
		return NULL;
	}
}

static int parse_vsock(const char *text, struct address *address, struct provium_error *error)
{
	const char *rest = text + strlen("vsock:");
	const char *colon = strchr(rest, ':');
	size_t length = colon ? (size_t)(colon - rest) : strlen(rest);
	char cid[16] = "";

	address->kind = ADDRESS_VSOCK;
	if (length < sizeof(cid))
		memcpy(cid, rest, length);
	if (!parse_u32(cid, &address->cid))
		return error_set(
			error, PROVIUM_INVALID, 0,
			"address \"%s\": CID \"%.*s\" is not a number from 3 to 4294967294", text,
			(int)length, rest);
	if (reserved_cid(address->cid))
		return error_set(error, PROVIUM_INVALID, 0,
				 "address \"%s\": CID %u is %s; guests have CIDs from 3 on", text,
				 address->cid, reserved_cid(address->cid));
	return colon ? parse_port(text, colon + 1, &address->port, error) : 0;
}

int address_set_path(struct address *address, const char *path, struct provium_error *error)
{
	size_t length = strlen(path);

	if (length == 0)
		return error_set(error, PROVIUM_INVALID, 0, "the path of the Unix socket is empty");
	if (length >= sizeof(address->path))
		return error_set(
			error, PROVIUM_INVALID, 0,
			"the path of the Unix socket has %zu bytes, at most %zu are possible "
			"(unix(7)): %s",
			length, sizeof(address->path) - 1, path);
	memcpy(address->path, path, length + 1);
	return 0;
}

static int parse_hybrid(const char *text, struct address *address, struct provium_error *error)
{
	const char *path = text + strlen("unix:");
	const char *colon = strrchr(path, ':');
	cleanup_free char *copy = NULL;

	address->kind = ADDRESS_HYBRID;
	if (!colon || !all_digits(colon + 1))
		return address_set_path(address, path, error);
	if (parse_port(text, colon + 1, &address->port, error) < 0)
		return -1;
	copy = strndup(path, (size_t)(colon - path));
	if (!copy)
		return error_set(error, PROVIUM_HOST, ENOMEM, "address");
	return address_set_path(address, copy, error);
}

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

int address_parse(const char *text, struct address *address, struct provium_error *error)
{
	*address = (struct address){ .port = PROVIUM_PORT };
	if (!text || !*text)
		return error_set(error, PROVIUM_INVALID, 0, "no address: give %s", forms);
	if (has_prefix(text, "vsock:"))
		return parse_vsock(text, address, error);
	if (has_prefix(text, "unix:"))
		return parse_hybrid(text, address, error);
	if (has_prefix(text, "agent-unix:")) {
		address->kind = ADDRESS_AGENT;
		return address_set_path(address, text + strlen("agent-unix:"), error);
	}
	return error_set(error, PROVIUM_INVALID, 0, "address \"%s\": give %s", text, forms);
}

bool address_format(const struct address *address, char *text, size_t size)
{
	int length = 0;

	switch (address->kind) {
	case ADDRESS_VSOCK:
		length = snprintf(text, size, "vsock:%" PRIu32 ":%" PRIu32, address->cid,
				  address->port);
		break;
	case ADDRESS_HYBRID:
		length = snprintf(text, size, "unix:%s:%" PRIu32, address->path, address->port);
		break;
	case ADDRESS_AGENT:
		length = snprintf(text, size, "agent-unix:%s", address->path);
		break;
	}
	return length >= 0 && (size_t)length < size;
}
