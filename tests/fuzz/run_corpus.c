// Runs a fuzz target over every file of the folders and files named on the command line, without libFuzzer: the kept
// corpus as a regression test for any compiler.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1u << 20)

static unsigned inputs;

// The input gets a block of exactly its size, so that the sanitizers see a read past its end.
static int run_bytes(const uint8_t *bytes, size_t size)
{
    uint8_t *block = calloc(1, size);
    if (block == NULL && size > 0)
        return -1;
    if (size > 0)
        memcpy(block, bytes, size);
    LLVMFuzzerTestOneInput(block, size);
    free(block);
    inputs++;
    return 0;
}

static int run_file(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    int failed = ferror(file) || !feof(file);
    fclose(file);
    if (failed) {
        fprintf(stderr, "%s: unreadable, or larger than %u bytes\n", path, INPUT_MAX);
        return -1;
    }
    fprintf(stderr, "%s\n", path); // the last name printed is the one that crashed
    return run_bytes(bytes, size);
}

static int run_folder(const char *path, DIR *folder)
{
    int status = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL && status == 0; entry = readdir(folder)) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        status = run_file(name);
    }
    return status;
}

static int run_path(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return run_file(path);
    int status = run_folder(path, folder);
    closedir(folder);
    return status;
}

int main(int argc, char **argv)
{
    if (run_bytes(NULL, 0) != 0)
        return 1;
    for (int i = 1; i < argc; i++)
        if (run_path(argv[i]) != 0)
            return 1;
    printf("%u inputs\n", inputs);
    return inputs > 1 ? 0 : 1;
}
