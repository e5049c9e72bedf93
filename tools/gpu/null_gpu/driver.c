/*
 * A Vulkan driver that plays a GPU which computes nothing and takes its time for it: what is left is what the CPU does, and
 * when the GPU would have had nothing to do. It passes on to Mesa's software driver whatever makes objects; commands are
 * counted and dropped, and a submission is over when a GPU with so much work before it would be done.
 *
 * NULL_GPU_DISPATCH_US: microseconds of a dispatch; 0 if not given.
 * NULL_GPU_BUS_GBS: billions of bytes that are copied a second; copies take no time if it is not given.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vulkan/vulkan.h>

#define HIDDEN static VKAPI_ATTR

static PFN_vkGetInstanceProcAddr real_instance_function;
static PFN_vkGetDeviceProcAddr real_device_function;
static PFN_vkVoidFunction negotiate;
static double dispatch_ns, ns_per_byte;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static double number(const char *name) {
  const char *value = getenv(name);
  return value ? atof(value) : 0;
}

static void load(void) {
  if (real_instance_function) return;
  void *driver = dlopen("libvulkan_lvp.so", RTLD_NOW | RTLD_LOCAL);
  if (!driver) {
    fprintf(stderr, "The null GPU needs Mesa's software driver (apt-get install mesa-vulkan-drivers): %s\n", dlerror());
    abort();
  }
  real_instance_function = (PFN_vkGetInstanceProcAddr)dlsym(driver, "vk_icdGetInstanceProcAddr");
  negotiate = (PFN_vkVoidFunction)dlsym(driver, "vk_icdNegotiateLoaderICDInterfaceVersion");
  dispatch_ns = 1e3 * number("NULL_GPU_DISPATCH_US");
  double bus = number("NULL_GPU_BUS_GBS");
  ns_per_byte = bus > 0 ? 1 / bus : 0;
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * t.tv_sec + t.tv_nsec;
}

/* What a command buffer holds, in nanoseconds of the GPU. */

#define COMMAND_BUFFERS 65536
static struct {
  VkCommandBuffer buffer;
  double ns;
} work[COMMAND_BUFFERS];

static double *work_of(VkCommandBuffer buffer) {
  unsigned at = ((uintptr_t)buffer >> 6) % COMMAND_BUFFERS;
  while (work[at].buffer && work[at].buffer != buffer) at = (at + 1) % COMMAND_BUFFERS;
  work[at].buffer = buffer;
  return &work[at].ns;
}

static PFN_vkBeginCommandBuffer real_begin;
HIDDEN VkResult begin(VkCommandBuffer buffer, const VkCommandBufferBeginInfo *info) {
  *work_of(buffer) = 0;
  return real_begin(buffer, info);
}

HIDDEN void dispatch(VkCommandBuffer buffer, uint32_t x, uint32_t y, uint32_t z) {
  *work_of(buffer) += dispatch_ns;
}

HIDDEN void copy(VkCommandBuffer buffer, VkBuffer from, VkBuffer to, uint32_t count, const VkBufferCopy *regions) {
  for (uint32_t i = 0; i < count; i++) *work_of(buffer) += ns_per_byte * regions[i].size;
}

HIDDEN void nothing(void) {}

/* Timeline semaphores, by which wgpu knows what is over. */

#define SEMAPHORES 64
#define SIGNALS 4096
static struct timeline {
  VkSemaphore semaphore;
  uint64_t value;
  struct {
    uint64_t value;
    double at;
  } signals[SIGNALS];
  unsigned first, end;
} timelines[SEMAPHORES];
static unsigned timeline_count;

static struct timeline *timeline_of(VkSemaphore semaphore) {
  for (unsigned i = 0; i < timeline_count; i++) {
    if (timelines[i].semaphore == semaphore) return &timelines[i];
  }
  return NULL;
}

static uint64_t value_at(struct timeline *t, double time) {
  for (; t->first != t->end && t->signals[t->first % SIGNALS].at <= time; t->first++) {
    t->value = t->signals[t->first % SIGNALS].value;
  }
  return t->value;
}

static PFN_vkCreateSemaphore real_create_semaphore;
HIDDEN VkResult create_semaphore(VkDevice device, const VkSemaphoreCreateInfo *info, const VkAllocationCallbacks *allocator,
                                 VkSemaphore *semaphore) {
  VkResult result = real_create_semaphore(device, info, allocator, semaphore);
  const VkSemaphoreTypeCreateInfo *type = info->pNext;
  if (result == VK_SUCCESS && type && type->sType == VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO &&
      type->semaphoreType == VK_SEMAPHORE_TYPE_TIMELINE) {
    if (timeline_count == SEMAPHORES) abort();
    struct timeline *t = &timelines[timeline_count++];
    t->semaphore = *semaphore;
    t->value = type->initialValue;
  }
  return result;
}

HIDDEN VkResult get_value(VkDevice device, VkSemaphore semaphore, uint64_t *value) {
  pthread_mutex_lock(&lock);
  *value = value_at(timeline_of(semaphore), now_ns());
  pthread_mutex_unlock(&lock);
  return VK_SUCCESS;
}

HIDDEN VkResult wait(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout) {
  double start = now_ns();
  for (;;) {
    double time = now_ns(), until = time;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < info->semaphoreCount; i++) {
      struct timeline *t = timeline_of(info->pSemaphores[i]);
      if (value_at(t, time) >= info->pValues[i]) continue;
      double at = time + 1e6; /* not submitted yet */
      for (unsigned s = t->first; s != t->end; s++) {
        if (t->signals[s % SIGNALS].value < info->pValues[i]) continue;
        at = t->signals[s % SIGNALS].at;
        break;
      }
      if (at > until) until = at;
    }
    pthread_mutex_unlock(&lock);
    if (until == time) return VK_SUCCESS;
    if (time - start >= timeout) return VK_TIMEOUT;
    if (until > start + timeout) until = start + timeout;
    double ns = until - time;
    struct timespec rest = {(time_t)(ns / 1e9), (long)(ns - 1e9 * (time_t)(ns / 1e9))};
    nanosleep(&rest, NULL);
  }
}

HIDDEN VkResult submit(VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence) {
  static double end; /* of all that was submitted */
  pthread_mutex_lock(&lock);
  double time = now_ns();
  if (end < time) end = time;
  for (uint32_t i = 0; i < count; i++) {
    for (uint32_t j = 0; j < submits[i].commandBufferCount; j++) end += *work_of(submits[i].pCommandBuffers[j]);
    for (const VkBaseInStructure *next = submits[i].pNext; next; next = next->pNext) {
      if (next->sType != VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO) continue;
      const VkTimelineSemaphoreSubmitInfo *values = (const void *)next;
      for (uint32_t s = 0; s < values->signalSemaphoreValueCount; s++) {
        struct timeline *t = timeline_of(submits[i].pSignalSemaphores[s]);
        if (!t) continue;
        if (t->end - t->first == SIGNALS) value_at(t, time);
        if (t->end - t->first == SIGNALS) abort();
        t->signals[t->end % SIGNALS].value = values->pSignalSemaphoreValues[s];
        t->signals[t->end++ % SIGNALS].at = end;
      }
    }
  }
  pthread_mutex_unlock(&lock);
  return VK_SUCCESS;
}

/* What the device says it is: one with subgroups of 32 and plenty of memory, and without a clock. */

static void change(VkPhysicalDeviceProperties *properties) {
  strcpy(properties->deviceName, "Null GPU");
  properties->deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
  properties->limits.timestampComputeAndGraphics = VK_FALSE;
  properties->limits.maxStorageBufferRange = INT32_MAX;
}

static PFN_vkGetPhysicalDeviceProperties real_properties;
HIDDEN void properties(VkPhysicalDevice device, VkPhysicalDeviceProperties *properties) {
  real_properties(device, properties);
  change(properties);
}

static PFN_vkGetPhysicalDeviceProperties2 real_properties2;
HIDDEN void properties2(VkPhysicalDevice device, VkPhysicalDeviceProperties2 *properties) {
  real_properties2(device, properties);
  change(&properties->properties);
  for (VkBaseOutStructure *next = properties->pNext; next; next = next->pNext) {
    if (next->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES) continue;
    VkPhysicalDeviceSubgroupSizeControlProperties *sizes = (void *)next;
    sizes->minSubgroupSize = sizes->maxSubgroupSize = 32;
  }
}

#define MEMORY_BYTES (80ull << 30)

/* Its memory is that of a graphics card, which the CPU does not see, and the CPU's. Both are the software driver's only type. */

enum { CARD, HOST };

static void lay_out(VkPhysicalDeviceMemoryProperties *memory) {
  VkMemoryPropertyFlags host =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  memory->memoryTypeCount = memory->memoryHeapCount = 2;
  memory->memoryTypes[CARD] = (VkMemoryType){VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, CARD};
  memory->memoryTypes[HOST] = (VkMemoryType){host, HOST};
  memory->memoryHeaps[CARD] = (VkMemoryHeap){MEMORY_BYTES, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
  memory->memoryHeaps[HOST] = (VkMemoryHeap){MEMORY_BYTES, 0};
}

static PFN_vkGetPhysicalDeviceMemoryProperties real_memory;
HIDDEN void memory(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties *memory) {
  real_memory(device, memory);
  lay_out(memory);
}

static PFN_vkGetPhysicalDeviceMemoryProperties2 real_memory2;
HIDDEN void memory2(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties2 *memory) {
  real_memory2(device, memory);
  lay_out(&memory->memoryProperties);
  for (VkBaseOutStructure *next = memory->pNext; next; next = next->pNext) {
    if (next->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT) continue;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget = (void *)next;
    for (int heap = CARD; heap <= HOST; heap++) {
      budget->heapBudget[heap] = MEMORY_BYTES; /* without it there is no memory for buffers in Deno */
      budget->heapUsage[heap] = 0;
    }
  }
}

static PFN_vkGetBufferMemoryRequirements real_requirements;
HIDDEN void requirements(VkDevice device, VkBuffer buffer, VkMemoryRequirements *requirements) {
  real_requirements(device, buffer, requirements);
  requirements->memoryTypeBits = 1 << CARD | 1 << HOST;
}

#define ALLOCATIONS 4096
static struct {
  VkDeviceMemory memory;
  uint64_t bytes;
} allocations[ALLOCATIONS]; /* of the card's memory */

static PFN_vkAllocateMemory real_allocate;
HIDDEN VkResult allocate(VkDevice device, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator,
                         VkDeviceMemory *memory) {
  VkMemoryAllocateInfo only = *info;
  only.memoryTypeIndex = 0;
  VkResult result = real_allocate(device, &only, allocator, memory);
  if (result != VK_SUCCESS || info->memoryTypeIndex != CARD) return result;
  unsigned at = 0;
  while (at < ALLOCATIONS && allocations[at].bytes) at++;
  if (at == ALLOCATIONS) abort();
  allocations[at].memory = *memory;
  allocations[at].bytes = info->allocationSize;
  return result;
}

static PFN_vkFreeMemory real_free;
HIDDEN void free_memory(VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks *allocator) {
  for (unsigned at = 0; at < ALLOCATIONS; at++) {
    if (allocations[at].memory == memory) allocations[at].bytes = 0;
  }
  real_free(device, memory, allocator);
}

/* Bytes of the card's memory that are taken. null_gpu.ts asks. */
uint64_t null_gpu_memory(void) {
  uint64_t bytes = 0;
  for (unsigned at = 0; at < ALLOCATIONS; at++) bytes += allocations[at].bytes;
  return bytes;
}

#define AS(name, function) \
  if (!strcmp(called, name)) return (PFN_vkVoidFunction)function;
#define INSTEAD(name, function, original) \
  if (!strcmp(called, name)) { \
    original = (void *)real; \
    return (PFN_vkVoidFunction)function; \
  }

static PFN_vkVoidFunction replaced(const char *called, PFN_vkVoidFunction real) {
  if (!real) return NULL;
  AS("vkCmdDispatch", dispatch)
  AS("vkCmdCopyBuffer", copy)
  if (!strncmp(called, "vkCmd", 5)) return (PFN_vkVoidFunction)nothing;
  INSTEAD("vkBeginCommandBuffer", begin, real_begin)
  INSTEAD("vkCreateSemaphore", create_semaphore, real_create_semaphore)
  AS("vkGetSemaphoreCounterValue", get_value)
  AS("vkGetSemaphoreCounterValueKHR", get_value)
  AS("vkWaitSemaphores", wait)
  AS("vkWaitSemaphoresKHR", wait)
  AS("vkQueueSubmit", submit)
  INSTEAD("vkGetBufferMemoryRequirements", requirements, real_requirements)
  INSTEAD("vkAllocateMemory", allocate, real_allocate)
  INSTEAD("vkFreeMemory", free_memory, real_free)
  INSTEAD("vkGetPhysicalDeviceProperties", properties, real_properties)
  INSTEAD("vkGetPhysicalDeviceProperties2", properties2, real_properties2)
  INSTEAD("vkGetPhysicalDeviceProperties2KHR", properties2, real_properties2)
  INSTEAD("vkGetPhysicalDeviceMemoryProperties", memory, real_memory)
  INSTEAD("vkGetPhysicalDeviceMemoryProperties2", memory2, real_memory2)
  INSTEAD("vkGetPhysicalDeviceMemoryProperties2KHR", memory2, real_memory2)
  return real;
}

HIDDEN PFN_vkVoidFunction device_function(VkDevice device, const char *name) {
  return replaced(name, real_device_function(device, name));
}

/* What the Vulkan loader asks for. */

PFN_vkVoidFunction vk_icdGetInstanceProcAddr(VkInstance instance, const char *name) {
  load();
  PFN_vkVoidFunction real = real_instance_function(instance, name);
  if (real && !strcmp(name, "vkGetDeviceProcAddr")) {
    real_device_function = (PFN_vkGetDeviceProcAddr)real;
    return (PFN_vkVoidFunction)device_function;
  }
  return replaced(name, real);
}

VkResult vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
  load();
  return ((VkResult(*)(uint32_t *))negotiate)(version);
}
