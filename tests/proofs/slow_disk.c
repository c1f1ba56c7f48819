/* A disk that takes its time, for one program and its children: calls on files below SLOW_UNDER wait as long as the
 * page in the file SLOW_CONTROL says: ms for sync, write, open and read, and a word that holds them all while it is
 * not 0, as a frozen file system does. Loaded before libc. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SYNC, WRITE, OPEN, READ, FROZEN, WORDS };
static volatile int64_t *control;
static const char *under;

static void nap(int64_t ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t)) {}
}

static void wait_for_disk(int what) {
    if (what != READ) while (control[FROZEN]) nap(5);
    if (control[what] > 0) nap(control[what]);
}

static int is_slow(const char *path) { return control && path && !strncmp(path, under, strlen(under)); }

static void slow_fd(int fd, int what) {
    if (!control || (!control[what] && !control[FROZEN])) return;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return;
    path[n] = 0;
    if (is_slow(path)) wait_for_disk(what);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    under = getenv("SLOW_UNDER");
    const char *path = getenv("SLOW_CONTROL");
    int file = path && under ? REAL(open)(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *page = mmap(0, WORDS * sizeof *control, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) control = page;
    close(file);
}

int fsync(int fd) { slow_fd(fd, SYNC); return REAL(fsync)(fd); }
int fdatasync(int fd) { slow_fd(fd, SYNC); return REAL(fdatasync)(fd); }
ssize_t write(int fd, const void *p, size_t n) { slow_fd(fd, WRITE); return REAL(write)(fd, p, n); }
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { slow_fd(fd, WRITE); return REAL(pwrite)(fd, p, n, at); }
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) {
    slow_fd(fd, WRITE);
    return REAL(pwrite64)(fd, p, n, at);
}
int ftruncate(int fd, off_t n) { slow_fd(fd, WRITE); return REAL(ftruncate)(fd, n); }
int ftruncate64(int fd, off64_t n) { slow_fd(fd, WRITE); return REAL(ftruncate64)(fd, n); }
ssize_t read(int fd, void *p, size_t n) { slow_fd(fd, READ); return REAL(read)(fd, p, n); }
ssize_t pread64(int fd, void *p, size_t n, off64_t at) { slow_fd(fd, READ); return REAL(pread64)(fd, p, n, at); }

int rename(const char *from, const char *to) {
    if (is_slow(to)) wait_for_disk(WRITE);
    return REAL(rename)(from, to);
}

#define OPENS(name)                                                                                                    \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                        \
        va_end(rest);                                                                                                  \
        if (is_slow(path)) wait_for_disk(OPEN);                                                                        \
        return REAL(name)(path, flags, mode);                                                                          \
    }
OPENS(open)
OPENS(open64)
