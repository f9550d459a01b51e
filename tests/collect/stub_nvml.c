/* A library libnvidia-ml.so.1 with one GPU and one MIG instance of it, as pynvml loads it.
   With -DOLD_DRIVER it lacks the functions that drivers gained of late. */
#include <stdint.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

typedef struct { uint64_t total, free, used; } memory_t;
typedef struct { unsigned pid; uint64_t used; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned version; int sensor; int temperature; } temperature_t;

static int gpu, instance;

static int is_gpu(void *device) { return device == &gpu; }

static int answer_text(char *out, unsigned size, const char *text) {
    if (strlen(text) >= size) return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned flags) { return flags == 0 ? SUCCESS : INVALID_ARGUMENT; }

const char *nvmlErrorString(int code) { return code == NOT_FOUND ? "stub: not found" : "stub"; }

int nvmlSystemGetDriverVersion(char *out, unsigned size) { return answer_text(out, size, "580.65.06"); }

int nvmlSystemGetCudaDriverVersion(int *out) { *out = 13020; return SUCCESS; }

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    *device = strcmp(uuid, "GPU-one") == 0 ? &gpu : strcmp(uuid, "MIG-part") == 0 ? &instance : 0;
    return *device ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *device, void **board) {
    *board = &gpu;
    return device == &instance ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetName(void *device, char *out, unsigned size) {
    return answer_text(out, size, is_gpu(device) ? "NVIDIA Stub" : "NVIDIA Stub MIG 1g.10gb");
}

int nvmlDeviceGetUUID(void *device, char *out, unsigned size) {
    return answer_text(out, size, is_gpu(device) ? "GPU-one" : "MIG-part");
}

int nvmlDeviceGetMemoryInfo(void *device, memory_t *out) {
    out->total = (is_gpu(device) ? 81559ULL : 9856ULL) << 20; /* more than 32 bits hold */
    out->free = out->used = 1;
    return SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *out) {
    *out = 700000;
    return is_gpu(device) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetMaxClockInfo(void *device, int type, unsigned *out) {
    *out = type == 1 ? 1980 : 2619;
    return is_gpu(device) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetComputeMode(void *device, int *out) { *out = 3; return is_gpu(device) ? SUCCESS : NOT_SUPPORTED; }

int nvmlDeviceGetPersistenceMode(void *device, int *out) { (void)device; (void)out; return NOT_SUPPORTED; }

int nvmlDeviceGetClockInfo(void *device, int type, unsigned *out) {
    *out = type == 1 ? 1755 : 2600;
    return is_gpu(device) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *out) {
    *out = 350250;
    return is_gpu(device) ? SUCCESS : NOT_SUPPORTED;
}

static int list_processes(unsigned listed, unsigned *count, process_t *out) {
    unsigned room = *count;
    *count = listed;
    if (room < listed) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < listed; i++) out[i] = (process_t){4000 + i, 1ULL << 33, ~0u, ~0u};
    return SUCCESS;
}

#ifdef OLD_DRIVER
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *out) {
    *out = sensor == 0 ? 55 : 0;
    return is_gpu(device) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, uint64_t *out) {
    *out = 0x40;
    return is_gpu(device) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetComputeRunningProcesses_v2(void *device, unsigned *count, process_t *out) {
    return list_processes(is_gpu(device) ? 2 : 1, count, out);
}
#else
int nvmlDeviceGetTemperatureV(void *device, temperature_t *out) {
    if (out->version != (sizeof(temperature_t) | 1u << 24) || out->sensor != 0) return INVALID_ARGUMENT;
    out->temperature = 64;
    return is_gpu(device) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *device, uint64_t *out) {
    *out = 0x1 | 0x4 | 0x80 | 0x400;
    return is_gpu(device) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process_t *out) {
    return list_processes(is_gpu(device) ? 3 : 1, count, out);
}
#endif
