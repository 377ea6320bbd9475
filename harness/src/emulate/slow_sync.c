/* fsync, fdatasync and msync that last as long as on another disk. Preloaded (LD_PRELOAD) into brokers under --emulate.
 *
 * RINGLOG_SYNC_US has quantiles as SHARE:MICROSECONDS with a blank between them: "0.5:2600 0.99:20000". A call lasts as long
 * as a time drawn from them, or as it takes by itself where that is longer. Between quantiles the time is interpolated; above
 * the last it is the last.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { POINTS_MAX = 8 };
static double shares[POINTS_MAX], times_us[POINTS_MAX];
static int points;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("RINGLOG_SYNC_US");
    while (text && *text && points < POINTS_MAX) {
        char *end;
        shares[points] = strtod(text, &end);
        if (*end != ':') return;
        times_us[points++] = strtod(end + 1, &end);
        text = *end == ' ' ? end + 1 : end;
    }
}

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* xorshift64*; each thread goes its own way. */
static double drawn(void) {
    static __thread uint64_t state;
    if (!state) state = (uint64_t)now_ns() ^ (uint64_t)(uintptr_t)&state ^ 0x9e3779b97f4a7c15ULL;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)((state * 0x2545f4914f6cdd1dULL) >> 11) / 9007199254740992.0;
}

static double time_us(double share) {
    if (!points) return 0;
    if (share <= shares[0]) return times_us[0];
    for (int at = 1; at < points; at++)
        if (share <= shares[at])
            return times_us[at - 1] + (times_us[at] - times_us[at - 1]) * (share - shares[at - 1]) / (shares[at] - shares[at - 1]);
    return times_us[points - 1];
}

static void wait_from(int64_t begin_ns) {
    int kept = errno;
    int64_t until_ns = begin_ns + (int64_t)(time_us(drawn()) * 1000);
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    while (now_ns() < until_ns) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    errno = kept;
}

int fsync(int fd) {
    static int (*own)(int);
    if (!own) own = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int64_t begin_ns = now_ns();
    int code = own(fd);
    wait_from(begin_ns);
    return code;
}

int fdatasync(int fd) {
    static int (*own)(int);
    if (!own) own = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int64_t begin_ns = now_ns();
    int code = own(fd);
    wait_from(begin_ns);
    return code;
}

int msync(void *address, size_t length, int flags) {
    static int (*own)(void *, size_t, int);
    if (!own) own = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");
    int64_t begin_ns = now_ns();
    int code = own(address, length, flags);
    if (flags & MS_SYNC) wait_from(begin_ns);
    return code;
}
