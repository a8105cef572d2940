/* answer [-g GPU.so] TFLITE.so MODEL INPUTS OUTPUTS: Android's own TensorFlow Lite over a file of raw input tensors, by its C API:
 * XNNPACK with one thread, as Java's Interpreter sets it up, or the GPU delegate. Prints its version and how many inputs it answered. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *Any;
typedef struct { /* filled by the library, handed back by its address: larger than that of any release */
  int threads;
  char rest[252];
} XNNPackOptions;
typedef struct {
  int32_t precision_loss_allowed, preference, priorities[3];
  int64_t flags; /* 1: quantised models are allowed */
  char rest[128];
} GpuOptions;

static Any fail(const char *text) {
  fprintf(stderr, "answer: %s\n", text);
  exit(2);
}
static Any opened(const char *path) {
  Any library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  return library ? library : fail(dlerror());
}
#define OF(library, result, name, ...) result (*name)(__VA_ARGS__) = dlsym(library, #name) ?: fail(#name " is missing")

static Any delegate(Any tflite, const char *gpu) {
  if (!gpu) {
    OF(tflite, XNNPackOptions, TfLiteXNNPackDelegateOptionsDefault, void);
    OF(tflite, Any, TfLiteXNNPackDelegateCreate, XNNPackOptions *);
    XNNPackOptions options = TfLiteXNNPackDelegateOptionsDefault();
    options.threads = 1;
    return TfLiteXNNPackDelegateCreate(&options);
  }
  Any library = opened(gpu);
  OF(library, GpuOptions, TfLiteGpuDelegateOptionsV2Default, void);
  OF(library, Any, TfLiteGpuDelegateV2Create, GpuOptions *);
  GpuOptions options = TfLiteGpuDelegateOptionsV2Default();
  options.flags = 1;
  return TfLiteGpuDelegateV2Create(&options);
}

int main(int count, char **words) {
  const char *gpu = NULL;
  if (count == 7 && !strcmp(words[1], "-g")) gpu = words[2], words += 2;
  Any tflite = opened(words[1]);
  OF(tflite, const char *, TfLiteVersion, void);
  OF(tflite, Any, TfLiteModelCreateFromFile, const char *);
  OF(tflite, Any, TfLiteInterpreterOptionsCreate, void);
  OF(tflite, void, TfLiteInterpreterOptionsAddDelegate, Any, Any);
  OF(tflite, Any, TfLiteInterpreterCreate, Any, Any);
  OF(tflite, int, TfLiteInterpreterAllocateTensors, Any);
  OF(tflite, Any, TfLiteInterpreterGetInputTensor, Any, int);
  OF(tflite, Any, TfLiteInterpreterGetOutputTensor, Any, int);
  OF(tflite, size_t, TfLiteTensorByteSize, Any);
  OF(tflite, int, TfLiteTensorCopyFromBuffer, Any, const void *, size_t);
  OF(tflite, int, TfLiteTensorCopyToBuffer, Any, void *, size_t);
  OF(tflite, int, TfLiteInterpreterInvoke, Any);
  Any options = TfLiteInterpreterOptionsCreate(), model = TfLiteModelCreateFromFile(words[2]) ?: fail("no model");
  TfLiteInterpreterOptionsAddDelegate(options, delegate(tflite, gpu));
  Any interpreter = TfLiteInterpreterCreate(model, options) ?: fail("no interpreter");
  if (TfLiteInterpreterAllocateTensors(interpreter)) fail("no memory for tensors");
  Any input = TfLiteInterpreterGetInputTensor(interpreter, 0), output = TfLiteInterpreterGetOutputTensor(interpreter, 0);
  size_t taken = TfLiteTensorByteSize(input), given = TfLiteTensorByteSize(output);
  char *in = malloc(taken), *out = malloc(given);
  FILE *from = fopen(words[3], "rb") ?: fail("no inputs"), *to = fopen(words[4], "wb") ?: fail("no place for outputs");
  int answered = 0;
  for (; fread(in, 1, taken, from) == taken; answered++) {
    TfLiteTensorCopyFromBuffer(input, in, taken);
    if (TfLiteInterpreterInvoke(interpreter)) fail("an inference failed");
    TfLiteTensorCopyToBuffer(output, out, given);
    fwrite(out, 1, given, to);
  }
  fclose(to);
  printf("%s %d\n", TfLiteVersion(), answered);
  return 0;
}
