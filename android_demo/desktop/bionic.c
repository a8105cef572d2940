/* What Android's C library has and glibc has not, or has otherwise, for libraries that were built for Android.
 * `build.py` makes Android's libc.so, libm.so, libdl.so and liblog.so out of jumps to these and to glibc. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Names that differ. */
int *lend___errno(void) { return __errno_location(); }
int __xpg_strerror_r(int, char *, size_t);
int lend_strerror_r(int error, char *text, size_t size) { return __xpg_strerror_r(error, text, size); }

/* Calls that check their bounds; whoever calls them has checked them by himself here. */
void *lend___memmove_chk(void *to, const void *from, size_t count, size_t limit) { return memmove(to, from, count); }
void *lend___memcpy_chk(void *to, const void *from, size_t count, size_t limit) { return memcpy(to, from, count); }
int lend___open_2(const char *path, int flags) { return open(path, flags); }
ssize_t lend___read_chk(int file, void *to, size_t count, size_t limit) { return read(file, to, count); }
size_t lend___strlen_chk(const char *text, size_t limit) { return strlen(text); }
int lend___vsnprintf_chk(char *to, size_t size, int flags, size_t limit, const char *form, va_list values) { return vsnprintf(to, size, form, values); }
void lend___stack_chk_fail(void) { fputs("bionic: stack smashed\n", stderr); abort(); }

/* The system: Android 14. */
void lend_android_set_abort_message(const char *text) { fprintf(stderr, "bionic: %s\n", text); }
int lend___system_property_get(const char *key, char *value) {
  strcpy(value, strcmp(key, "ro.build.version.sdk") ? "" : "34");
  return strlen(value);
}
long lend_sysconf(int name) { /* the numbers of bionic's <bits/sysconf.h> */
  switch (name) {
    case 0x06: return sysconf(_SC_CLK_TCK);
    case 0x27:
    case 0x28: return sysconf(_SC_PAGESIZE);
    case 0x60: return sysconf(_SC_NPROCESSORS_CONF);
    case 0x61: return sysconf(_SC_NPROCESSORS_ONLN);
    case 0x62: return sysconf(_SC_PHYS_PAGES);
  }
  fprintf(stderr, "bionic: sysconf(%d) is not known here\n", name);
  return -1;
}

/* stdin, stdout and stderr are &__sF[0..2], of 152 bytes each. */
char *bionic_streams;
static FILE *stream(FILE *file) {
  long number = ((char *)file - bionic_streams) / 152;
  FILE *own[] = {stdin, stdout, stderr};
  return bionic_streams && (char *)file >= bionic_streams && number < 3 ? own[number] : file;
}
int lend_vfprintf(FILE *file, const char *form, va_list values) { return vfprintf(stream(file), form, values); }
int lend_fprintf(FILE *file, const char *form, ...) {
  va_list values;
  va_start(values, form);
  int count = vfprintf(stream(file), form, values);
  va_end(values);
  return count;
}
int lend_fputc(int one, FILE *file) { return fputc(one, stream(file)); }
int lend_fflush(FILE *file) { return fflush(file ? stream(file) : file); }
size_t lend_fwrite(const void *from, size_t size, size_t count, FILE *file) { return fwrite(from, size, count, stream(file)); }
int lend_fileno(FILE *file) { return fileno(stream(file)); }

/* The log, on stderr where BIONIC_LOG is set: a delegate says there what it refuses. */
int lend___android_log_vprint(int priority, const char *tag, const char *form, va_list values) {
  if (!getenv("BIONIC_LOG")) return 0;
  fprintf(stderr, "%c/%s: ", "??VDIWEF"[priority & 7], tag);
  int count = vfprintf(stderr, form, values);
  fputc('\n', stderr);
  return count;
}
int lend___android_log_print(int priority, const char *tag, const char *form, ...) {
  va_list values;
  va_start(values, form);
  int count = lend___android_log_vprint(priority, tag, form, values);
  va_end(values);
  return count;
}
int lend___android_log_write(int priority, const char *tag, const char *text) { return lend___android_log_print(priority, tag, "%s", text); }

/* Fills a stand-in's table of jumps: ours first, then glibc's. */
void bionic_fill(void **table, const char *const *names, int count) {
  void *libraries[] = {dlopen("libbionic.so", RTLD_LAZY), dlopen("libc.so.6", RTLD_LAZY), dlopen("libm.so.6", RTLD_LAZY)};
  for (int at = 0; at < count; at++) {
    char own[96];
    snprintf(own, sizeof own, "lend_%s", names[at]);
    table[at] = dlsym(libraries[0], own);
    for (int place = 1; place < 3 && !table[at]; place++) table[at] = dlsym(libraries[place], names[at]);
    if (!table[at]) fprintf(stderr, "bionic: nothing stands in for %s\n", names[at]);
  }
}
