/* Runs a fuzzer's function over files instead of over what a fuzzer makes up: `replay DIRECTORY...`. Each
 * file is copied to a block of exactly its size, so that a sanitizer sees the first byte read beyond it.
 * It reports nothing but the count: a finding ends the process. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "rb");

    if (file == NULL || fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode)) {
        perror(path);
        exit(2);
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    fprintf(stderr, "%s\n", path); /* the last one named is the one that was at fault */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int replay_directory(const char *directory)
{
    struct dirent **names;
    int found = scandir(directory, &names, NULL, alphasort);
    int done = 0;

    if (found < 0) {
        perror(directory);
        exit(2);
    }
    for (int i = 0; i < found; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s", directory, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            done += replay_file(path);
        free(names[i]);
    }
    free(names);
    return done;
}

int main(int argc, char **argv)
{
    int done = 0;

    for (int i = 1; i < argc; i++)
        done += replay_directory(argv[i]);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    printf("%d files\n", done);
    return done > 0 ? 0 : 1;
}
