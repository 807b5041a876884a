/*
 * snprintf() and vsnprintf() of the guest's programs, in the place of the C library's, which bring
 * floating point and wide characters along: a tenth of the agent's size.
 *
 * As in printf(3), for the conversions d i u x c s p m and %, the flags 0 and -, a width, a
 * precision of strings (both also as *), and the lengths l, ll, z, j and t. Anything else ends the
 * output: the compiler checks every format in this project, and the unit tests compare with the C
 * library's.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct output {
	char *place;
	/* With the NUL. */
	size_t size;
	/* Of the whole text, also of what found no room. */
	size_t length;
};

struct conversion {
	bool zero;
	bool left;
	int width;
	/* -1: none. */
	int precision;
	/* Bytes of an integer argument. */
	size_t bytes;
	char type;
};

static void put(struct output *output, const char *text, size_t length)
{
	size_t room = output->length < output->size ? output->size - output->length : 0;

	if (room > 1)
		memcpy(output->place + output->length, text, length < room ? length : room - 1);
	output->length += length;
}

static void put_padding(struct output *output, char padding, int count)
{
	while (count-- > 0)
		put(output, &padding, 1);
}

static void put_text(struct output *output, const struct conversion *conversion, const char *text,
		     size_t length)
{
	int padding = conversion->width - (int)length;

	if (!conversion->left)
		put_padding(output, ' ', padding);
	put(output, text, length);
	if (conversion->left)
		put_padding(output, ' ', padding);
}

static void put_number(struct output *output, const struct conversion *conversion, uint64_t value,
		       bool negative)
{
	unsigned int base = conversion->type == 'x' || conversion->type == 'p' ? 16 : 10;
	char digits[24];
	size_t at = sizeof(digits);

	do
		digits[--at] = "0123456789abcdef"[value % base];
	while (value /= base);
	if (conversion->zero && !conversion->left) {
		int padding = conversion->width - (int)(sizeof(digits) - at) - negative;

		if (negative)
			put(output, "-", 1);
		put_padding(output, '0', padding);
		put(output, digits + at, sizeof(digits) - at);
		return;
	}
	if (conversion->type == 'p') {
		digits[--at] = 'x';
		digits[--at] = '0';
	}
	if (negative)
		digits[--at] = '-';
	put_text(output, conversion, digits + at, sizeof(digits) - at);
}

static int parse_number(const char **format, int star)
{
	int number = 0;

	if (**format == '*') {
		(*format)++;
		return star;
	}
	for (; **format >= '0' && **format <= '9'; (*format)++)
		number = number * 10 + (**format - '0');
	return number;
}

static size_t parse_length(const char **format)
{
	size_t bytes = sizeof(int);

	for (;; (*format)++) {
		switch (**format) {
		case 'l':
			bytes = bytes == sizeof(long) ? sizeof(long long) : sizeof(long);
			break;
		case 'z':
		case 't':
			bytes = sizeof(size_t);
			break;
		case 'j':
			bytes = sizeof(intmax_t);
			break;
		default:
			return bytes;
		}
	}
}

/* A va_list in a struct can be handed on by address on every architecture. */
struct arguments {
	va_list list;
};

/* format: behind the percent sign; returns where it goes on. */
static const char *parse(const char *format, struct conversion *conversion,
			 struct arguments *arguments)
{
	*conversion = (struct conversion){ .precision = -1 };
	for (;; format++) {
		if (*format == '0')
			conversion->zero = true;
		else if (*format == '-')
			conversion->left = true;
		else
			break;
	}
	conversion->width =
		parse_number(&format, *format == '*' ? va_arg(arguments->list, int) : 0);
	if (*format == '.') {
		format++;
		conversion->precision =
			parse_number(&format, *format == '*' ? va_arg(arguments->list, int) : 0);
	}
	conversion->bytes = parse_length(&format);
	conversion->type = *format;
	return *format ? format + 1 : format;
}

static void put_signed(struct output *output, const struct conversion *conversion,
		       struct arguments *arguments)
{
	int64_t value = conversion->bytes == sizeof(int) ? va_arg(arguments->list, int)
							 : va_arg(arguments->list, int64_t);

	put_number(output, conversion, value < 0 ? -(uint64_t)value : (uint64_t)value, value < 0);
}

static void put_unsigned(struct output *output, const struct conversion *conversion,
			 struct arguments *arguments)
{
	uint64_t value = conversion->bytes == sizeof(int) ? va_arg(arguments->list, unsigned int)
							  : va_arg(arguments->list, uint64_t);

	put_number(output, conversion, value, false);
}

static void put_string(struct output *output, const struct conversion *conversion, const char *text)
{
	size_t most = conversion->precision < 0 ? SIZE_MAX / 2 : (size_t)conversion->precision;

	if (!text)
		text = "(null)";
	put_text(output, conversion, text, strnlen(text, most));
}

/* False: nothing that is known here. */
static bool convert(struct output *output, const struct conversion *conversion,
		    struct arguments *arguments, int error)
{
	char character;

	switch (conversion->type) {
	case 'd':
	case 'i':
		put_signed(output, conversion, arguments);
		return true;
	case 'u':
	case 'x':
		put_unsigned(output, conversion, arguments);
		return true;
	case 'p':
		put_number(output, conversion, (uintptr_t)va_arg(arguments->list, void *), false);
		return true;
	case 's':
		put_string(output, conversion, va_arg(arguments->list, const char *));
		return true;
	case 'm':
		put_string(output, conversion, strerror(error));
		return true;
	case 'c':
		character = (char)va_arg(arguments->list, int);
		put_text(output, conversion, &character, 1);
		return true;
	case '%':
		put(output, "%", 1);
		return true;
	default:
		return false;
	}
}

int vsnprintf(char *place, size_t size, const char *format, va_list list)
{
	struct output output = { place, size, 0 };
	struct arguments arguments;
	int error = errno;

	va_copy(arguments.list, list);
	while (*format) {
		size_t literal = (size_t)(strchrnul(format, '%') - format);
		struct conversion conversion;

		put(&output, format, literal);
		format += literal;
		if (!*format)
			break;
		format = parse(format + 1, &conversion, &arguments);
		if (!convert(&output, &conversion, &arguments, error))
			break;
	}
	va_end(arguments.list);
	if (size > 0)
		place[output.length < size ? output.length : size - 1] = '\0';
	return output.length > INT_MAX ? -1 : (int)output.length;
}

int snprintf(char *place, size_t size, const char *format, ...)
{
	va_list list;
	int length;

	va_start(list, format);
	length = vsnprintf(place, size, format, list);
	va_end(list);
	return length;
}
