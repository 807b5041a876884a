#include "host/lua/toml_json.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include <toml.hpp>

namespace
{

/* Those of a person are a hundredth of it. */
constexpr std::size_t max_size = 1 << 20;

void append_string(std::string &json, const std::string &text)
{
	json += '"';
	for (unsigned char byte : text) {
		char escaped[8];

		if (byte == '"' || byte == '\\' || byte < 0x20) {
			std::snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
			json += escaped;
		} else {
			json += static_cast<char>(byte);
		}
	}
	json += '"';
}

/* NOLINTBEGIN(misc-no-recursion): as deep as the user's own file, which toml11 has walked so */

void append(std::string &json, const toml::value &value);

void append_table(std::string &json, const toml::value &value)
{
	const char *separator = "{";

	for (const auto &entry : value.as_table()) {
		json += separator;
		append_string(json, entry.first);
		json += ':';
		append(json, entry.second);
		separator = ",";
	}
	json += *separator == '{' ? "{}" : "}";
}

void append_array(std::string &json, const toml::value &value)
{
	const char *separator = "[";

	for (const auto &element : value.as_array()) {
		json += separator;
		append(json, element);
		separator = ",";
	}
	json += *separator == '[' ? "[]" : "]";
}

void append_float(std::string &json, double number)
{
	char text[40];

	/* JSON has no infinity, and no setting of ours is one. */
	std::snprintf(text, sizeof(text), "%.17g", std::isfinite(number) ? number : 0.0);
	json += text;
	if (!std::strpbrk(text, ".e"))
		json += ".0";
}

void append(std::string &json, const toml::value &value)
{
	if (value.is_table()) {
		append_table(json, value);
	} else if (value.is_array()) {
		append_array(json, value);
	} else if (value.is_string()) {
		append_string(json, value.as_string().str);
	} else if (value.is_boolean()) {
		json += value.as_boolean() ? "true" : "false";
	} else if (value.is_integer()) {
		json += std::to_string(value.as_integer());
	} else if (value.is_floating()) {
		append_float(json, value.as_floating());
	} else {
		std::ostringstream text;

		text << value;
		append_string(json, text.str());
	}
}

/* NOLINTEND(misc-no-recursion) */

char *convert(const char *path, std::string &failure)
{
	std::ifstream file(path, std::ios::binary);
	std::string content(max_size + 1, '\0');
	std::string json;

	if (!file) {
		failure = std::string(path) + ": " + std::strerror(errno);
		return nullptr;
	}
	file.read(&content[0], static_cast<std::streamsize>(content.size()));
	if (file.bad()) {
		failure = std::string(path) + ": cannot be read";
		return nullptr;
	}
	content.resize(static_cast<std::size_t>(file.gcount()));
	if (content.size() > max_size) {
		failure = std::string(path) + ": longer than 1 MiB";
		return nullptr;
	}

	std::istringstream input(content);

	append(json, toml::parse(input, path));
	return strdup(json.c_str());
}

} /* namespace */

char *toml_file_to_json(const char *path, char *reason, size_t size)
{
	std::string failure = "not enough memory";
	char *json = nullptr;

	try {
		json = convert(path, failure);
	} catch (const std::exception &error) {
		failure = error.what();
	}
	if (!json)
		std::snprintf(reason, size, "%s", failure.c_str());
	return json;
}
