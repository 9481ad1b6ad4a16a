/* What the static program does without. libevent and SQLite refer to functions of libc that load shared
 * libraries at run time (name services, extensions). This program resolves names by itself and loads
 * nothing, so these all fail. They are linked into the static program alone, never into a dynamic one. */
#include <dlfcn.h>
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
