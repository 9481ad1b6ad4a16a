/* What the static program does without. libevent and SQLite refer to functions of libc that load shared
 * libraries at run time (name services, extensions). This program resolves names by itself and loads
 * nothing, so these all fail. SQLite also brings SQL functions and kinds of tables that no statement of ours
 * names (core/data/store has them all): their 600 KB stay out. All this is linked into the static program
 * alone, never into a dynamic one. */
#include <dlfcn.h>
#include <math.h>
#include <netdb.h>
#include <stddef.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    (void)node;
    (void)service;
    (void)hints;
    (void)result;
    return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list; /* none was ever made */
}

const char *gai_strerror(int code)
{
    (void)code;
    return "the system's name services are not used";
}

struct servent *getservbyname(const char *name, const char *protocol)
{
    (void)name;
    (void)protocol;
    return NULL;
}

struct protoent *getprotobynumber(int number)
{
    (void)number;
    return NULL;
}

/* The Makefile links with --wrap=dlopen: libc.a warns of every reference to that very name, even where it
 * is defined here, since its own code (character set modules) brings its dlopen along. */
void *__wrap_dlopen(const char *file, int mode); /* the linker's name, hence in no header */
void *__wrap_dlopen(const char *file, int mode)
{
    (void)file;
    (void)mode;
    return NULL;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
    (void)handle;
    (void)name;
    return NULL;
}

int dlclose(void *handle)
{
    (void)handle;
    return -1;
}

char *dlerror(void)
{
    static char text[] = "this program loads no shared libraries";
    return text;
}

/* libc's own door to shared libraries: modules for character sets, which its printf brings along and no
 * locale of ours ever asks for. Private names of glibc; elsewhere nothing refers to them. */
struct __gconv_loaded_object *__gconv_find_shlib(const char *name);
void __gconv_release_shlib(struct __gconv_loaded_object *object);

struct __gconv_loaded_object *__gconv_find_shlib(const char *name)
{
    (void)name;
    return NULL;
}

void __gconv_release_shlib(struct __gconv_loaded_object *object)
{
    (void)object; /* none was ever found */
}

/* ---- SQLite ---- */

/* SQL's mathematics: NULL to whoever would select sin(1). */
#define NO_FUNCTION(name)    \
    double name(double value) \
    {                        \
        (void)value;         \
        return NAN;          \
    }
#define NO_FUNCTION_OF_TWO(name)          \
    double name(double one, double other) \
    {                                     \
        (void)one;                        \
        (void)other;                      \
        return NAN;                       \
    }
NO_FUNCTION(acos)
NO_FUNCTION(acosh)
NO_FUNCTION(asin)
NO_FUNCTION(asinh)
NO_FUNCTION(atan)
NO_FUNCTION(atanh)
NO_FUNCTION(cos)
NO_FUNCTION(cosh)
NO_FUNCTION(exp)
NO_FUNCTION(log)
NO_FUNCTION(log10)
NO_FUNCTION(log2)
NO_FUNCTION(sin)
NO_FUNCTION(sinh)
NO_FUNCTION(tan)
NO_FUNCTION(tanh)
NO_FUNCTION_OF_TWO(atan2)
NO_FUNCTION_OF_TWO(fmod)
NO_FUNCTION_OF_TWO(pow)

/* Full text search and R-trees register nothing with a new connection (0 is SQLITE_OK). Private names of SQLite;
 * where it was compiled as one file nothing refers to them. */
struct sqlite3;
int sqlite3Fts3Init(struct sqlite3 *db);
int sqlite3Fts5Init(struct sqlite3 *db);
int sqlite3RtreeInit(struct sqlite3 *db);

int sqlite3Fts3Init(struct sqlite3 *db)
{
    (void)db;
    return 0;
}

int sqlite3Fts5Init(struct sqlite3 *db)
{
    (void)db;
    return 0;
}

int sqlite3RtreeInit(struct sqlite3 *db)
{
    (void)db;
    return 0;
}
