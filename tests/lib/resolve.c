/* What a program of another libc finds in its image: prints the address of the name that it is given, and its own. */
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char text[256];
    struct addrinfo *found;
    struct passwd *own = getpwuid(getuid());

    if (argc != 2 || getaddrinfo(argv[1], "443", NULL, &found) != 0 ||
        getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
        return 1;
    printf("%s %s\n", text, own != NULL ? own->pw_name : "?");
    freeaddrinfo(found);
    return 0;
}
