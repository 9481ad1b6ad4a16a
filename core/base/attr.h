/* Compiler attributes used on prototypes, and small compile-time helpers. */
#ifndef AILERON_BASE_ATTR_H
#define AILERON_BASE_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NONNULL __attribute__((nonnull))
#define NONNULL_AT(...) __attribute__((nonnull(__VA_ARGS__)))
#define MUSTUSE __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define NORETURN __attribute__((noreturn))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define UNUSED __attribute__((unused))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
