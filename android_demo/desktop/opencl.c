/* This computer's OpenCL (PoCL, which computes on the CPU), shown as a GPU without images: its images cannot be written as the GPU
 * delegate does. The other functions are OpenCL's own: `build.py` links this library to it. */
#include <dlfcn.h>
#include <string.h>

#define OWN "libOpenCL.so.1"
enum { ALL = 0xFFFFFFFF, IMAGE_SUPPORT = 0x1016, EXTENSIONS = 0x1030, IMAGE_PITCH_ALIGNMENT = 0x104A };

int clGetDeviceIDs(void *platform, unsigned long type, unsigned count, void **devices, unsigned *found) {
  int (*own)(void *, unsigned long, unsigned, void **, unsigned *) = dlsym(dlopen(OWN, RTLD_LAZY), "clGetDeviceIDs");
  return own(platform, ALL, count, devices, found);
}

int clGetDeviceInfo(void *device, unsigned what, unsigned long size, void *value, unsigned long *needed) {
  int (*own)(void *, unsigned, unsigned long, void *, unsigned long *) = dlsym(dlopen(OWN, RTLD_LAZY), "clGetDeviceInfo");
  int error = own(device, what, size, value, needed);
  if (error || !value) return error;
  if (what == IMAGE_SUPPORT || what == IMAGE_PITCH_ALIGNMENT) *(unsigned *)value = 0;
  if (what == EXTENSIONS)
    for (char *at; (at = strstr(value, "cl_khr_image2d_from_buffer"));) memset(at, ' ', strlen("cl_khr_image2d_from_buffer"));
  return 0;
}
